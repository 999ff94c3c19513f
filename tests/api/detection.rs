//! Anomaly detection: which events are anomalous, and the contents of an anomaly.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::event_set::{Stored, anomalies, listed, mixed, normal, threshold, wait_for_anomalies};
use crate::events::{SECOND, at, event, micros};
use crate::stack::{Stack, eventually_equal, fresh};

#[tokio::test]
async fn eleven_identical_events_are_exactly_one_anomaly() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let answers = stack.post_alike(&event(&user, "x", at(0)), 11).await;
    assert!(answers[..10].iter().all(Value::is_null), "{answers:?}");

    let anomalies = stack.get_anomalies(&user).await.list();
    assert_eq!(anomalies, [answers[10].clone()], "GET /anomalies says what POST /event said");
    let (_, anomaly) = normal(&anomalies[0]);
    let expected = json!({
        "user_id": user, "agent_id": "agent", "signal_type": "x", "detected_at": 0, "count": 11, "window_start": 0,
        "severity": "warning", "rule": "x:10",
    });
    assert_eq!(anomaly, expected);
}

#[tokio::test]
async fn sixteenth_event_is_critical_and_earlier_ones_are_warnings() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let answers = stack.post_alike(&event(&user, "x", at(0)), 16).await;
    for (anomaly, count) in answers[10..].iter().zip(11..) {
        let severity = if count == 16 { "critical" } else { "warning" };
        assert_eq!((&anomaly["count"], &anomaly["severity"]), (&json!(count), &json!(severity)), "{anomaly}");
    }
    assert_eq!(stack.get_anomalies(&user).await.list().len(), 6);
}

#[tokio::test]
async fn every_signal_type_trips_one_past_its_own_threshold() {
    let stack = Stack::connect();
    for signal_type in ["stressed", "uncertain", "positive", "neutral", "anything else", "日本"] {
        let (user, threshold) = (fresh("user"), threshold(signal_type));
        let answers = stack.post_alike(&event(&user, signal_type, at(0)), threshold + 1).await;
        let first = answers.iter().position(|anomaly| !anomaly.is_null());
        assert_eq!(first, Some(threshold), "{signal_type}: {answers:?}");
        assert_eq!(answers[threshold]["rule"], format!("{signal_type}:{threshold}"));
    }
}

#[tokio::test]
async fn events_a_second_apart_are_not_anomalous_when_sent_fast() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for second in 0..20 {
        let anomaly = stack.ingest(&event(&user, "x", at(second * SECOND))).await;
        assert!(anomaly.is_null(), "{anomaly}");
    }
    stack.get_anomalies(&user).await.expect(200, &json!([]));
}

#[tokio::test]
async fn an_event_exactly_five_seconds_ago_is_outside_the_window() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    stack.post_alike(&event(&user, "x", at(0)), 10).await;
    let on_the_boundary = stack.ingest(&event(&user, "x", at(5 * SECOND))).await;
    assert!(on_the_boundary.is_null(), "{on_the_boundary}");
}

#[tokio::test]
async fn event_a_microsecond_under_five_seconds_ago_is_in_the_window() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    stack.post_alike(&event(&user, "x", at(0)), 10).await;
    let anomaly = stack.ingest(&event(&user, "x", at(5 * SECOND - 1))).await;
    assert_eq!(anomaly["count"], 11, "{anomaly}");
    assert_eq!(micros(&anomaly["window_start"]), 0);
    assert_eq!(micros(&anomaly["detected_at"]), 5 * SECOND - 1);
}

#[tokio::test]
async fn events_of_every_signal_type_and_agent_count() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (index, signal_type) in ["neutral", "positive", "a", "b", "uncertain"].iter().cycle().take(10).enumerate() {
        let mut event = event(&user, signal_type, at(0));
        event["agent_id"] = json!(format!("agent {index}"));
        assert!(stack.ingest(&event).await.is_null());
    }
    let anomaly = stack.ingest(&event(&user, "x", at(1))).await;
    assert_eq!((&anomaly["count"], &anomaly["rule"]), (&json!(11), &json!("x:10")), "{anomaly}");
}

#[tokio::test]
async fn events_of_other_users_do_not_count() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    stack.post_alike(&event(&user, "x", at(0)), 10).await;
    for other in [format!("{user}2"), user[..user.len() - 1].to_owned(), user.to_uppercase()] {
        let anomaly = stack.ingest(&event(&other, "x", at(0))).await;
        assert!(anomaly.is_null(), "{anomaly}");
    }
}

#[tokio::test]
async fn a_late_event_is_answered_with_the_anomaly_it_causes() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let burst: Vec<_> = (0..10).map(|index| Stored::new(format!("burst-{index}"), "x", SECOND)).collect();
    for event in &burst {
        stack.ingest(&event.body(&user)).await;
    }
    let late = stack.ingest(&Stored::new("late", "x", 0).body(&user)).await;
    assert_eq!((&late["event_id"], &late["count"]), (&json!("burst-9"), &json!(11)), "{late}");
    assert_eq!(micros(&late["window_start"]), 0);
    assert_eq!(stack.get_anomalies(&user).await.list(), [late]);
}

#[tokio::test]
async fn response_prefers_own_anomaly_to_a_more_severe_caused_one() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (index, micros) in [0, SECOND].into_iter().cycle().take(20).enumerate() {
        stack.ingest(&Stored::new(format!("{index:02}"), "x", micros).body(&user)).await;
    }
    let own = stack.ingest(&Stored::new("own", "x", 0).body(&user)).await;
    assert_eq!((&own["event_id"], &own["count"], &own["severity"]), (&json!("own"), &json!(11), &json!("warning")));
    let graver = async || {
        let graver = stack.get_anomalies_where(&user, "limit=1").await.list();
        (graver[0]["count"].clone(), graver[0]["severity"].clone())
    };
    eventually_equal("the last event counts the new one", &(json!(21), json!("critical")), graver).await;
}

#[tokio::test]
async fn a_late_event_raises_the_anomalies_after_it() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut events: Vec<_> = (0..15).map(|index| Stored::new(format!("{index:02}"), "x", SECOND)).collect();
    for event in &events {
        stack.ingest(&event.body(&user)).await;
    }
    let late = Stored::new("late", "x", 0);
    let highest = stack.ingest(&late.body(&user)).await;
    assert_eq!((&highest["count"], &highest["severity"]), (&json!(16), &json!("critical")), "{highest}");
    events.push(late);
    assert_eq!(listed(&stack.get_anomalies(&user).await.list()), anomalies(&user, &events));
}

#[tokio::test]
async fn a_retry_with_the_same_id_and_timestamp_counts_once() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events: Vec<_> = (0..10).map(|index| Stored::new(format!("{index}"), "x", 0)).collect();
    for event in &events {
        let anomaly = stack.ingest(&event.body(&user)).await;
        assert!(anomaly.is_null(), "{anomaly}");
    }
    for event in &events {
        let retry = stack.post_again(&event.body(&user)).await.ok();
        assert_eq!((&retry["duplicate"], &retry["anomaly"]), (&json!(true), &Value::Null), "{retry}");
    }
    let eleventh = stack.ingest(&Stored::new("eleventh", "x", 0).body(&user)).await;
    assert_eq!(eleventh["count"], 11, "{eleventh}");
    assert_eq!(stack.get_anomalies(&user).await.list().len(), 1);
}

#[tokio::test]
async fn forty_concurrent_events_are_evaluated_like_sequential_ones() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events: Vec<_> = (0..40).map(|index| Stored::new(format!("{index:02}"), "x", 0)).collect();
    let answers = post_all_at_once(&stack, &user, &events).await;
    assert_eq!(anomalies(&user, &events).len(), 30);
    wait_for_anomalies(&stack, &user, &events).await;
    assert!(answers.iter().any(|anomaly| anomaly["severity"] == "critical"), "{answers:?}");
}

#[tokio::test]
async fn mixed_events_in_any_order_have_the_anomalies_of_their_set() {
    let stack = Stack::connect();
    for seed in 1..=4 {
        let user = fresh("user");
        let events = mixed(seed, 60);
        post_all_at_once(&stack, &user, &events).await;
        assert!(!anomalies(&user, &events).is_empty(), "seed {seed} tests nothing");
        wait_for_anomalies(&stack, &user, &events).await;
    }
}

/// Posts all `events` without waiting for responses, so that the client opens a connection for each.
async fn post_all_at_once(stack: &Stack, user: &str, events: &[Stored]) -> Vec<Value> {
    join_all(events.iter().map(|event| async { stack.ingest(&event.body(user)).await })).await
}
