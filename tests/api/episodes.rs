//! `GET /anomalies/{user_id}?group=episode`: anomalies grouped into episodes.

use serde_json::{Value, json};

use crate::events::{SECOND, at, event, micros};
use crate::keys::key_for;
use crate::stack::{Stack, eventually, fresh};

const MINUTE: i64 = 60 * SECOND;

/// Posts `count` events of `user` at one instant, by `agent`.
async fn flood(stack: &Stack, user: &str, agent: &str, count: usize, micros: i64) {
    let mut event = event(user, "x", at(micros));
    event["agent_id"] = json!(agent);
    stack.store_events(&vec![event; count]).await;
}

async fn episodes(stack: &Stack, user: &str, query: &str) -> Vec<Value> {
    stack.get_anomalies_where(user, &format!("group=episode{query}")).await.list()
}

fn span(episode: &Value) -> (i64, i64) {
    (micros(&episode["start"]), micros(&episode["end"]))
}

#[tokio::test]
async fn anomalies_a_minute_apart_are_one_episode_and_more_are_two() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    flood(&stack, &user, "a", 12, 0).await;
    flood(&stack, &user, "b", 16, MINUTE).await;
    flood(&stack, &user, "a", 11, 2 * MINUTE + 1).await;
    let found = episodes(&stack, &user, "").await;
    let [newer, older] = found.as_slice() else { panic!("{found:?}") };
    let expected = json!({
        "user_id": user, "agent_ids": ["a", "b"], "start": at(0), "end": at(MINUTE), "severity": "critical",
        "escalated_at": at(MINUTE), "peak_count": 16, "anomalies": 8, "rules": ["x:10"], "closed": true,
    });
    assert_eq!(*older, expected);
    assert_eq!((span(newer), &newer["severity"]), ((2 * MINUTE + 1, 2 * MINUTE + 1), &json!("warning")));
    assert_eq!((&newer["escalated_at"], &newer["peak_count"]), (&Value::Null, &json!(11)));
}

#[tokio::test]
async fn an_episode_of_just_now_is_not_closed() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    // Within the five minutes that a timestamp may be ahead, so that a slow machine does not close the episode.
    let ahead = shared::time::Timestamp::now().micros() + 120 * SECOND;
    let ahead = shared::time::Timestamp::from_micros(ahead).expect("an instant").to_string();
    stack.stored_events(&vec![event(&user, "x", ahead); 11]).await;
    let found = eventually("the episode is open", async || episodes(&stack, &user, "").await.pop()).await;
    assert_eq!(found["closed"], false);
}

#[tokio::test]
async fn pages_have_every_episode_once_and_whole() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for number in 0..7 {
        flood(&stack, &user, "a", 12, number * 10 * MINUTE).await;
    }
    let mut query = "group=episode&limit=2".to_owned();
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = stack.get_anomalies_where(&user, &query).await;
        let episodes = page.list();
        assert!(episodes.len() <= 2, "{episodes:?}");
        assert!(episodes.iter().all(|episode| episode["anomalies"] == 2 && episode.get("partial").is_none()), "{page}");
        found.extend(episodes.iter().map(|episode| micros(&episode["start"])));
        pages += 1;
        match page.next_page() {
            Some(next) => query = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(found, (0..7).rev().map(|number| number * 10 * MINUTE).collect::<Vec<_>>());
    assert!(pages <= 5, "{pages} pages");
}

#[tokio::test]
async fn episode_longer_than_the_read_limit_is_returned_in_parts() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    flood(&stack, &user, "a", 12, -10 * MINUTE).await;
    for second in 0..4 {
        flood(&stack, &user, "a", 300, second * 10 * SECOND).await;
    }
    let mut query = "group=episode".to_owned();
    let mut parts = Vec::new();
    loop {
        let page = stack.get_anomalies_where(&user, &query).await;
        parts.extend(page.list());
        match page.next_page() {
            Some(next) => query = next.to_owned(),
            None => break,
        }
    }
    let (whole, parts): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.get("partial").is_none());
    assert_eq!(whole.iter().map(span).collect::<Vec<_>>(), [(-10 * MINUTE, -10 * MINUTE)]);
    assert!(parts.len() > 1 && parts.iter().all(|part| part["partial"] == true), "{parts:?}");
    let anomalies: u64 = parts.iter().map(|part| part["anomalies"].as_u64().expect("a number")).sum();
    assert_eq!(anomalies, 4 * 290, "each anomaly is in one part");
}

#[tokio::test]
async fn an_episode_that_the_times_asked_for_may_cut_says_so() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    flood(&stack, &user, "a", 11, 0).await;
    flood(&stack, &user, "a", 11, MINUTE).await;
    let since = |micros: i64| format!("&since={}", at(micros));
    let cut = episodes(&stack, &user, &since(1)).await;
    assert_eq!((cut.len(), span(&cut[0]), &cut[0]["partial"]), (1, (MINUTE, MINUTE), &json!(true)));
    let whole = episodes(&stack, &user, &since(-2 * MINUTE)).await;
    assert_eq!((whole.len(), span(&whole[0]), whole[0].get("partial")), (1, (0, MINUTE), None));
    let cut = episodes(&stack, &user, &format!("&until={}", at(MINUTE - 1))).await;
    assert_eq!((span(&cut[0]), &cut[0]["partial"]), ((0, 0), &json!(true)));
}

#[tokio::test]
async fn a_key_for_one_agent_sees_the_episodes_of_that_agent() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    flood(&stack, &user, "mine", 11, 0).await;
    flood(&stack, &user, "theirs", 20, 30 * SECOND).await;
    flood(&stack, &user, "mine", 12, MINUTE + 30 * SECOND).await;
    let mine = stack.with_key(key_for(&["mine"]).await);
    let found = episodes(&mine, &user, "").await;
    let seen: Vec<_> = found.iter().map(|episode| (span(episode), episode["agent_ids"].clone())).collect();
    let minute_and_a_half = MINUTE + 30 * SECOND;
    assert_eq!(seen, [((minute_and_a_half, minute_and_a_half), json!(["mine"])), ((0, 0), json!(["mine"]))]);
}

#[tokio::test]
async fn severity_chooses_episodes_and_another_group_is_refused() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    flood(&stack, &user, "a", 11, 0).await;
    flood(&stack, &user, "a", 20, 10 * MINUTE).await;
    let severities = async |query: &str| {
        let found = episodes(&stack, &user, query).await;
        found.iter().map(|episode| (episode["severity"].clone(), episode["anomalies"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(severities("&severity=warning").await, [(json!("warning"), json!(1))]);
    // The complete episode, although some of its anomalies were warnings.
    assert_eq!(severities("&severity=critical").await, [(json!("critical"), json!(10))]);
    stack.get_anomalies_where(&user, "group=day").await.expect_faults(&[("query.group", "literal_error")]);
}
