//! `GET /anomalies/{user_id}`: a user's anomalies, newest first.

use serde_json::{Value, json};

use crate::event_set::{Stored, anomalies, listed};
use crate::events::{SECOND, at, event, micros};
use crate::keys::key_for;
use crate::pages::follow;
use crate::stack::{Stack, fresh};

#[tokio::test]
async fn anomalies_come_newest_first_a_hundred_unless_asked_otherwise() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    // Four events per second put 20 in a window, so that every event from the eleventh on is anomalous.
    let mut anomalies = Vec::new();
    for index in 0..112 {
        anomalies.push(stack.ingest(&event(&user, "x", at(index * SECOND / 4))).await);
    }
    anomalies.retain(|anomaly| !anomaly.is_null());
    anomalies.reverse();
    assert_eq!(anomalies.len(), 102);
    stack.get_anomalies(&user).await.expect(200, &json!(anomalies[..100]));
    for limit in [1, 2, 100] {
        let answer = stack.get_anomalies_where(&user, &format!("limit={limit}")).await;
        answer.expect(200, &json!(anomalies[..limit]));
    }
}

#[tokio::test]
async fn bad_limit_and_unknown_parameter_are_rejected() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (limit, kind) in
        [("0", "greater_than_equal"), ("101", "less_than_equal"), ("abc", "int_parsing"), ("", "int_parsing")]
    {
        let answer = stack.get_anomalies_where(&user, &format!("limit={limit}")).await;
        answer.expect_faults(&[("query.limit", kind)]);
    }
    stack.get_anomalies_where(&user, "nobody=1").await.expect_faults(&[("query.nobody", "extra_forbidden")]);
}

#[tokio::test]
async fn nobody_has_no_anomalies() {
    Stack::connect().get_anomalies(&fresh("user")).await.expect(200, &json!([]));
}

#[tokio::test]
async fn limited_key_lists_only_the_anomalies_of_its_agents() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for index in 0..30 {
        let mut event = Stored::new(format!("{index:02}"), "x", index * SECOND / 10);
        event.agent = format!("agent {}", index % 3);
        stack.ingest(&event.body(&user)).await;
    }
    let all = stack.get_anomalies(&user).await.list();
    assert_eq!(listed(&all).len(), 20);
    let limited = stack.with_key(key_for(&["agent 1", "agent 2"]).await);
    let mut own: Vec<Value> = all.iter().filter(|anomaly| anomaly["agent_id"] != "agent 0").cloned().collect();
    // Events of other agents count as well.
    for anomaly in &mut own {
        (anomaly["count"], anomaly["window_start"]) = (Value::Null, Value::Null);
    }
    limited.get_anomalies(&user).await.expect(200, &json!(own));
    // The limit counts only anomalies that the key may access.
    limited.get_anomalies_where(&user, "limit=5").await.expect(200, &json!(own[..5]));
    let other = stack.with_key(key_for(&["agent 3"]).await);
    other.get_anomalies(&user).await.expect(200, &json!([]));
}

#[tokio::test]
async fn limited_key_gets_no_anomaly_of_another_agent_in_a_response() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for index in 0..10 {
        stack.ingest(&Stored::new(format!("{index}"), "x", SECOND).body(&user)).await;
    }
    let mut late = Stored::new("late", "x", 0);
    late.agent = "agent 1".to_owned();
    let anomaly = stack.with_key(key_for(&["agent 1"]).await).ingest(&late.body(&user)).await;
    assert_eq!(anomaly, Value::Null, "it belongs to the agent of the ten events");
    assert_eq!(stack.get_anomalies(&user).await.list().len(), 1);
}

/// Stores thirty events, ten per second, of which the last twenty are anomalies, and returns the anomalies newest
/// first.
async fn twenty_anomalies(stack: &Stack, user: &str) -> Vec<Value> {
    let events: Vec<_> = (0..30).map(|index| Stored::new(format!("{index:02}"), "x", index * SECOND / 10)).collect();
    let bodies: Vec<_> = events.iter().map(|event| event.body(user)).collect();
    stack.store_events(&bodies).await;
    let found = stack.get_anomalies(user).await.list();
    assert_eq!(listed(&found), anomalies(user, &events));
    assert!(found.is_sorted_by(|newer, older| micros(&newer["detected_at"]) > micros(&older["detected_at"])));
    found
}

#[tokio::test]
async fn links_visit_every_anomaly_once_and_end_at_the_last_page() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let all = twenty_anomalies(&stack, &user).await;
    for limit in [1, 3, 10, 19, 20, 21] {
        let query = format!("limit={limit}");
        let pages = follow(&query, async |query| stack.get_anomalies_where(&user, query).await).await;
        assert!(pages.iter().all(|page| page.len() <= limit), "{limit}: {pages:?}");
        assert_eq!(pages.concat(), all, "limit {limit}");
    }
    assert_eq!(stack.get_anomalies(&fresh("nobody")).await.next_page(), None);
}

#[tokio::test]
async fn since_until_and_severity_choose_what_is_shown_on_every_page() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let all = twenty_anomalies(&stack, &user).await;
    // The newest anomaly is the thirtieth event, at 2.9 s, and the oldest is the eleventh, at 1 s.
    let of = |severity: &str| all.iter().filter(|anomaly| anomaly["severity"] == severity).cloned().collect::<Vec<_>>();
    let (warnings, critical) = (of("warning"), of("critical"));
    assert_eq!((warnings.len(), critical.len()), (5, 15));
    let two = at(2 * SECOND);
    let cases = [
        (format!("since={two}"), &all[..10]),
        (format!("until={two}"), &all[9..]),
        (format!("since={}&until={two}", at(3 * SECOND / 2)), &all[9..15]),
        (format!("since={}", at(3 * SECOND)), &[]),
        ("severity=warning".to_owned(), &warnings),
        ("severity=critical".to_owned(), &critical),
        (format!("severity=critical&until={two}"), &critical[9..]),
    ];
    for (query, expected) in cases {
        stack.get_anomalies_where(&user, &query).await.expect(200, &json!(expected));
        let query = format!("limit=2&{query}");
        let pages = follow(&query, async |query| stack.get_anomalies_where(&user, query).await).await;
        assert_eq!(pages.concat(), expected, "{query}");
    }
}

#[tokio::test]
async fn bad_parameters_are_refused() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for severity in ["", "Warning", "grave"] {
        let answer = stack.get_anomalies_where(&user, &format!("severity={severity}")).await;
        answer.expect_faults(&[("query.severity", "literal_error")]);
    }
    for (query, loc) in [("since=x", "query.since"), ("until=", "query.until"), ("cursor=x", "query.cursor")] {
        stack.get_anomalies_where(&user, query).await.expect_fault_at(loc);
    }
    let answer = stack.get_anomalies_where(&user, "limit=0&since=x&until=x&cursor=x&severity=x").await;
    answer.check(answer.faults().len() == 5, "five faults");
}

#[tokio::test]
async fn a_cursor_of_another_user_shows_nothing_of_that_user() {
    let (stack, user, other) = (Stack::connect(), fresh("user"), fresh("user"));
    let all = twenty_anomalies(&stack, &user).await;
    twenty_anomalies(&stack, &other).await;
    let answer = stack.get_anomalies_where(&other, "limit=5").await;
    let next = answer.next_page().expect("a second page").to_owned();
    let pages = follow(&next, async |query| stack.get_anomalies_where(&user, query).await).await;
    assert_eq!(pages.concat(), all[5..]);
}
