//! `GET /events/{user_id}`: a user's events, newest first.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::auth::Scope;

use crate::events::{SECOND, at, event};
use crate::keys::{key_for, key_with};
use crate::pages::follow;
use crate::stack::{Stack, fresh};

/// The maximum response size of Lambda, in bytes:
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LAMBDA_ANSWER_BYTES: usize = 6 << 20;

/// Stores `count` events a second apart with alternating agents and types, and returns them newest first.
async fn stored_events(stack: &Stack, user: &str, count: usize) -> Vec<Value> {
    let mut events = Vec::new();
    for index in 0..count {
        let second = i64::try_from(index).expect("small") * SECOND;
        let mut event = event(user, ["x", "neutral"][index % 2], at(second));
        event["agent_id"] = json!(format!("agent {}", index % 3));
        event["event_id"] = json!(format!("{index:03}"));
        events.push(event);
    }
    stack.store_events(&events).await;
    let mut stored = follow("limit=100", async |query| stack.get_events_where(user, query).await).await.concat();
    assert_eq!(stored.len(), count);
    events.reverse();
    for (stored, sent) in stored.iter_mut().zip(&events) {
        assert_eq!((&stored["event_id"], &stored["timestamp"]), (&sent["event_id"], &sent["timestamp"]), "{stored}");
    }
    stored
}

fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event_id"].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn an_event_comes_back_with_all_that_is_known_of_it() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut sent = event(&user, "日本", "2026-01-02T13:00:00+01:00");
    sent["event_id"] = json!("a b+c");
    sent["payload"] = json!({"a": [1, null, {"b": "日本\n"}]});
    sent["nobody"] = json!(1);
    let received_at = stack.store_event(&sent).await["received_at"].clone();
    let answer = stack.get_events(&user).await;
    let mut events = answer.list();
    let skew = events[0].as_object_mut().expect("an object").remove("skew_ms").unwrap_or_default();
    answer.check(skew.is_i64(), "skew_ms");
    let expected = json!([{
        "event_id": "a b+c", "user_id": user, "agent_id": "agent", "signal_type": "日本", "timestamp": at(0),
        "event_time": at(0), "time_source": "client", "received_at": received_at, "payload": sent["payload"],
    }]);
    assert_eq!(json!(events), expected, "{answer}");
}

#[tokio::test]
async fn payloads_of_any_size_come_back_byte_for_byte() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut sent = BTreeMap::new();
    for (index, size) in [2, 100, 1_000, 1_023, 1_024, 1_025, 8_000, 60_000].into_iter().enumerate() {
        let start = r#"{ "z":1.10,  "a":12345678901234567890123,"é\u00e9": [ ],"t":""#;
        let payload = match size {
            2 => "{}".to_owned(),
            _ => format!("{start}{}\"\t}}", "ü".repeat((size - start.len()) / 2)),
        };
        let id = format!("{index}");
        let body = format!(
            r#"{{"user_id":"{user}","agent_id":"agent","signal_type":"x","timestamp":"{}","event_id":"{id}","payload": {payload} }}"#,
            at(0)
        );
        let answer = stack.post("/event", body).await;
        answer.check(matches!(answer.status(), 200 | 202), "the event to be accepted");
        stack.wait_until_stored(&json!({"user_id": user}), &json!(id)).await;
        sent.insert(id, payload);
    }
    let answer = stack.get_events(&user).await;
    let text = answer.bytes("application/json");
    let events: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_slice(text).expect("a list of objects");
    let stored: BTreeMap<String, String> = events
        .iter()
        .map(|event| (event["event_id"].get().trim_matches('"').to_owned(), event["payload"].get().to_owned()))
        .collect();
    assert_eq!(stored, sent);
}

#[tokio::test]
async fn page_of_the_largest_events_fits_in_a_lambda_response() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    // Lambda wraps a response in JSON, which escapes each quote and each backslash with another backslash.
    let payload = json!({"text": "\"".repeat(31_000)});
    for batch in 0..8 {
        let events: Vec<_> = (0..15)
            .map(|index| {
                let mut event = event(&user, "x", at((batch * 15 + index) * 60 * SECOND));
                event["payload"] = payload.clone();
                event
            })
            .collect();
        stack.store_events(&events).await;
    }
    let pages = follow("limit=100", async |query| {
        let answer = stack.get_events_where(&user, query).await;
        let text = String::from_utf8_lossy(answer.bytes("application/json")).into_owned();
        let wrapped = json!(text).to_string().len();
        assert!(wrapped < LAMBDA_ANSWER_BYTES, "{wrapped} bytes with {query}");
        answer
    })
    .await;
    let events = pages.concat();
    assert_eq!(events.len(), 120);
    assert!(events.iter().all(|event| event["payload"] == payload), "every payload as it was sent");
}

#[tokio::test]
async fn nobody_has_no_events() {
    let answer = Stack::connect().get_events(&fresh("user")).await;
    answer.expect(200, &json!([]));
    assert_eq!(answer.next_page(), None);
}

#[tokio::test]
async fn events_come_newest_first_a_hundred_unless_asked_otherwise() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let stored = stored_events(&stack, &user, 130).await;
    stack.get_events(&user).await.expect(200, &json!(stored[..100]));
    for limit in [1, 99] {
        let answer = stack.get_events_where(&user, &format!("limit={limit}")).await;
        answer.expect(200, &json!(stored[..limit]));
    }
}

#[tokio::test]
async fn events_of_one_instant_have_an_order_of_their_own() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (agent, id) in [("b", "1"), ("a", "2"), ("a", "1"), ("b", "2")] {
        let mut event = event(&user, "x", at(0));
        event["agent_id"] = json!(agent);
        event["event_id"] = json!(id);
        stack.ingest(&event).await;
    }
    let events = stack.get_events(&user).await.list();
    let order: Vec<_> = events.iter().map(|event| (event["agent_id"].as_str(), event["event_id"].as_str())).collect();
    let expected = [("b", "2"), ("b", "1"), ("a", "2"), ("a", "1")];
    assert_eq!(order, expected.map(|(agent, id)| (Some(agent), Some(id))));
}

#[tokio::test]
async fn links_visit_every_event_once_and_end_at_the_last_page() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let stored = stored_events(&stack, &user, 23).await;
    for limit in [1, 5, 22, 23, 24] {
        let query = format!("limit={limit}");
        let pages = follow(&query, async |query| stack.get_events_where(&user, query).await).await;
        assert!(pages.iter().all(|page| page.len() <= limit), "{limit}: {pages:?}");
        assert_eq!(pages.concat(), stored, "limit {limit}");
    }
}

#[tokio::test]
async fn an_event_stored_meanwhile_neither_repeats_nor_hides_another() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let stored = stored_events(&stack, &user, 6).await;
    let first = stack.get_events_where(&user, "limit=3").await;
    stack.ingest(&event(&user, "x", at(60 * SECOND))).await;
    let next = first.next_page().expect("a second page");
    stack.get_events_where(&user, next).await.expect(200, &json!(stored[3..]));
}

#[tokio::test]
async fn since_and_until_are_both_included() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let stored = stored_events(&stack, &user, 10).await;
    let expect = async |query: String, expected: &[Value]| {
        stack.get_events_where(&user, &query).await.expect(200, &json!(expected));
        let pages = follow(&format!("{query}&limit=2"), async |query| stack.get_events_where(&user, query).await).await;
        assert_eq!(pages.concat(), expected, "{query}");
    };
    expect(format!("since={}", at(4 * SECOND)), &stored[..6]).await;
    expect(format!("since={}", at(4 * SECOND + 1)), &stored[..5]).await;
    expect(format!("until={}", at(4 * SECOND)), &stored[5..]).await;
    expect(format!("until={}", at(4 * SECOND - 1)), &stored[6..]).await;
    expect(format!("since={}&until={}", at(2 * SECOND), at(7 * SECOND)), &stored[2..8]).await;
    expect(format!("since={0}&until={0}", at(3 * SECOND)), &stored[6..7]).await;
    expect(format!("since={}&until={}", at(7 * SECOND), at(2 * SECOND)), &[]).await;
    expect("since=2026-01-02T13:00:04%2B01:00".to_owned(), &stored[..6]).await;
    expect("since=1767355204".to_owned(), &stored[..6]).await;
    expect("since=2026-01-03".to_owned(), &[]).await;
}

#[tokio::test]
async fn a_signal_type_alone_is_shown_where_it_is_asked_for() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let stored = stored_events(&stack, &user, 40).await;
    let expected: Vec<_> = stored.iter().filter(|event| event["signal_type"] == "neutral").cloned().collect();
    stack.get_events_where(&user, "signal_type=neutral").await.expect(200, &json!(expected));
    let pages = follow("limit=3&signal_type=neutral", async |query| stack.get_events_where(&user, query).await).await;
    assert_eq!(pages.concat(), expected);
    let pages = follow("limit=1&signal_type=none", async |query| stack.get_events_where(&user, query).await).await;
    assert_eq!(pages.concat(), [] as [Value; 0]);
}

#[tokio::test]
async fn bad_parameters_are_named_at_once() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (query, loc, kind) in [
        ("limit=0", "query.limit", "greater_than_equal"),
        ("limit=101", "query.limit", "less_than_equal"),
        ("limit=", "query.limit", "int_parsing"),
        ("since=nonsense", "query.since", "datetime_from_date_parsing"),
        ("until=2026-02-30", "query.until", "datetime_from_date_parsing"),
    ] {
        stack.get_events_where(&user, query).await.expect_faults(&[(loc, kind)]);
    }
    stack.get_events_where(&user, "signal_type=a%2Fb").await.expect_fault_at("query.signal_type");
    stack.get_events_where(&user, "signal_type=").await.expect_fault_at("query.signal_type");
    let answer = stack.get_events_where(&user, "limit=x&since=x&until=x&cursor=x&signal_type=").await;
    answer.check(answer.faults().len() == 5, "five faults");
    stack.get_events_where(&user, "nobody=1").await.expect_faults(&[("query.nobody", "extra_forbidden")]);
}

#[tokio::test]
async fn a_cursor_that_no_link_gave_is_refused() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for cursor in ["", "x", "1", "%00", "%23%23", "yesterday%23agent%231", "2026-01-02T12:00:00Z%23agent", "id%23a%231"]
    {
        let answer = stack.get_events_where(&user, &format!("cursor={cursor}")).await;
        answer.expect_fault_at("query.cursor");
    }
}

#[tokio::test]
async fn a_cursor_of_another_user_shows_nothing_of_that_user() {
    let (stack, user, other) = (Stack::connect(), fresh("user"), fresh("user"));
    let stored = stored_events(&stack, &user, 6).await;
    stored_events(&stack, &other, 6).await;
    let answer = stack.get_events_where(&other, "limit=2").await;
    let next = answer.next_page().expect("a second page").to_owned();
    let events = follow(&next, async |query| stack.get_events_where(&user, query).await).await.concat();
    assert!(events.iter().all(|event| event["user_id"] == user.as_str()), "{events:?}");
    assert_eq!(ids(&events), ids(&stored[2..]), "a cursor is a place in time, whoever's it was");
}

#[tokio::test]
async fn a_cursor_outside_the_time_asked_for_shows_nothing_outside_it() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let stored = stored_events(&stack, &user, 10).await;
    let answer = stack.get_events_where(&user, "limit=5").await;
    let cursor = answer.next_page().and_then(|next| next.split("cursor=").nth(1)).expect("a cursor").to_owned();
    for (bounds, expected) in [
        (format!("until={}", at(2 * SECOND)), &stored[7..]),
        (format!("since={}", at(8 * SECOND)), &[]),
        (format!("since={}", at(5 * SECOND)), &[]),
        (format!("since={}", at(4 * SECOND)), &stored[5..6]),
    ] {
        let answer = stack.get_events_where(&user, &format!("{bounds}&cursor={cursor}")).await;
        answer.expect(200, &json!(expected));
    }
}

#[tokio::test]
async fn a_key_for_some_agents_sees_their_events_alone() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let stored = stored_events(&stack, &user, 30).await;
    let limited = stack.with_key(key_for(&["agent 1"]).await);
    let own: Vec<_> = stored.iter().filter(|event| event["agent_id"] == "agent 1").cloned().collect();
    assert_eq!(own.len(), 10);
    limited.get_events(&user).await.expect(200, &json!(own));
    for limit in [1, 4] {
        let query = format!("limit={limit}");
        let pages = follow(&query, async |query| limited.get_events_where(&user, query).await).await;
        assert_eq!(pages.concat(), own, "limit {limit}");
    }
    let other = stack.with_key(key_for(&["agent"]).await);
    let pages = follow("limit=2", async |query| other.get_events_where(&user, query).await).await;
    assert_eq!(pages.concat(), [] as [Value; 0]);
}

#[tokio::test]
async fn page_link_of_a_limited_key_names_no_event_of_other_agents() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events: Vec<_> = (0..20)
        .map(|index| {
            let mut event = event(&user, "x", at(index * SECOND));
            event["agent_id"] = json!(if index == 0 { "own" } else { "hidden" });
            event["event_id"] = json!(format!("secret {index}"));
            event
        })
        .collect();
    stack.store_events(&events).await;
    let limited = stack.with_key(key_for(&["own"]).await);
    let mut query = "limit=1".to_owned();
    loop {
        let answer = limited.get_events_where(&user, &query).await;
        let Some(next) = answer.next_page() else { break };
        answer.check(!next.contains("hidden") && !next.contains("secret"), "nothing of another agent in the link");
        query = next.to_owned();
    }
}

#[tokio::test]
async fn reading_events_takes_the_scope_for_it() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let others: Vec<_> = Scope::ALL.into_iter().filter(|scope| *scope != Scope::EventsRead).collect();
    let caller = stack.with_key(key_with(&others).await);
    caller.get_events(&user).await.expect(403, &json!({"detail": "Forbidden"}));
    caller.get_events_where(&user, "cursor=x").await.expect(403, &json!({"detail": "Forbidden"}));
}

#[tokio::test]
async fn a_cursor_passes_over_nothing_that_its_reader_may_see() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    stored_events(&stack, &user, 3).await;
    let all = stack.get_events(&user).await.list();
    for agent in ["a", "~"] {
        let query = format!("cursor=2030-01-01T00:00:00Z%23{agent}%231");
        stack.get_events_where(&user, &query).await.expect(200, &json!(all));
    }
}
