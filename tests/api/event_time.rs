//! The time by which an event is evaluated, and the reported skew of the caller's clock.

use serde_json::{Value, json};

use crate::event_set::Stored;
use crate::events::{SECOND, at, event, micros};
use crate::stack::{Stack, eventually, fresh};

/// The maximum time that an accepted timestamp may be ahead of the server's clock.
const MAX_FUTURE: i64 = 300 * SECOND;

/// Returns the server's time, in the microseconds of [`at`].
pub async fn server_now(stack: &Stack) -> i64 {
    micros(&stack.store_event(&event(&fresh("clock"), "x", at(0))).await["received_at"])
}

/// Posts `event`, checks its skew and returns the event as stored.
async fn stored(stack: &Stack, event: &Value) -> Value {
    stack.stored_event(event).await;
    let user = event["user_id"].as_str().expect("a user");
    let answer = stack.get_events(user).await;
    let events = answer.list();
    answer.check(events.len() == 1, "one event");
    let millis = |field: &str| micros(&events[0][field]).div_euclid(1_000);
    let skew = millis("received_at") - millis("timestamp");
    answer.check(events[0]["skew_ms"] == skew, &format!("a skew of {skew} ms"));
    events[0].clone()
}

#[tokio::test]
async fn a_timestamp_of_the_past_is_the_event_time_however_old() {
    let stack = Stack::connect();
    for timestamp in ["0001-01-01T00:00:00.000000Z", "1970-01-01T00:00:00.000001Z", &at(123_456)] {
        let event = stored(&stack, &event(&fresh("user"), "x", timestamp)).await;
        let told = (&event["timestamp"], &event["event_time"], &event["time_source"]);
        assert_eq!(told, (&json!(timestamp), &json!(timestamp), &json!("client")), "{event}");
    }
}

#[tokio::test]
async fn a_timestamp_less_than_five_minutes_ahead_is_believed() {
    let stack = Stack::connect();
    let ahead = at(server_now(&stack).await + MAX_FUTURE - 10 * SECOND);
    for event_id in [None, Some("1")] {
        let mut sent = event(&fresh("user"), "x", ahead.clone());
        sent["event_id"] = json!(event_id);
        let event = stored(&stack, &sent).await;
        let told = (&event["timestamp"], &event["event_time"], &event["time_source"]);
        assert_eq!(told, (&json!(ahead), &json!(ahead), &json!("client")), "{event}");
        assert!(event["skew_ms"].as_i64().is_some_and(|skew| skew < -200_000), "{event}");
    }
}

#[tokio::test]
async fn a_timestamp_further_ahead_is_replaced_by_the_time_of_receipt() {
    let stack = Stack::connect();
    let ahead = at(server_now(&stack).await + MAX_FUTURE + 60 * SECOND);
    for timestamp in [ahead.as_str(), "9999-12-31T23:59:59.999999Z"] {
        for event_id in [None, Some("1")] {
            let mut sent = event(&fresh("user"), "x", timestamp);
            sent["event_id"] = json!(event_id);
            let event = stored(&stack, &sent).await;
            let told = (&event["timestamp"], &event["event_time"], &event["time_source"]);
            assert_eq!(told, (&json!(timestamp), &event["received_at"], &json!("received")), "{event}");
        }
    }
}

#[tokio::test]
async fn events_too_far_ahead_are_evaluated_at_receipt() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let ahead = server_now(&stack).await + MAX_FUTURE + 60 * SECOND;
    // The timestamps are a minute apart; only by their time of receipt are the events too many.
    let events: Vec<_> = (0..11).map(|minute| event(&user, "x", at(ahead + minute * 60 * SECOND))).collect();
    let stored = stack.stored_events(&events).await;
    let listed = async || stack.get_anomalies(&user).await.list();
    let expected = (json!(11), stored[0]["received_at"].clone());
    let found = eventually("an anomaly of eleven events", async || {
        let anomalies = listed().await;
        anomalies.first().filter(|anomaly| anomaly["count"] == 11).is_some().then_some(anomalies)
    })
    .await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0]["count"].clone(), found[0]["detected_at"].clone()), expected);
}

#[tokio::test]
async fn sent_at_puts_a_wrong_clock_right() {
    let stack = Stack::connect();
    let future = server_now(&stack).await + 1_000 * MAX_FUTURE;
    for (timestamp, delay) in [(0, 0), (0, 2 * SECOND), (-7, 3_600 * SECOND), (future, SECOND + 1), (0, -SECOND)] {
        let mut sent = event(&fresh("user"), "x", at(timestamp));
        sent["sent_at"] = json!(at(timestamp + delay));
        let event = stored(&stack, &sent).await;
        assert_eq!(micros(&event["event_time"]), micros(&event["received_at"]) - delay, "{event}");
        let told = (&event["timestamp"], &event["time_source"]);
        assert_eq!(told, (&json!(at(timestamp)), &json!("corrected")), "{event}");
    }
}

#[tokio::test]
async fn corrected_time_too_far_ahead_becomes_the_time_of_receipt() {
    let stack = Stack::connect();
    let mut sent = event(&fresh("user"), "x", at(MAX_FUTURE + SECOND));
    sent["sent_at"] = json!(at(0));
    let event = stored(&stack, &sent).await;
    let told = (&event["event_time"], &event["time_source"]);
    assert_eq!(told, (&event["received_at"], &json!("received")), "{event}");
}

#[tokio::test]
async fn events_are_evaluated_by_their_corrected_time() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let minute = 60 * SECOND;
    let corrected = |index: i64, delay: i64| {
        let mut event = event(&user, "x", at(index * minute));
        event["sent_at"] = json!(at(index * minute + delay));
        event
    };
    // The timestamps are a minute apart each. After the correction, eleven events are close together and one is an hour
    // earlier.
    let mut events: Vec<_> = (0..11).map(|index| corrected(index, SECOND)).collect();
    events.push(corrected(11, 60 * minute));
    let stored = stack.stored_events(&events).await;
    let anomalies = eventually("an anomaly of eleven events", async || {
        let anomalies = stack.get_anomalies(&user).await.list();
        anomalies.first().filter(|anomaly| anomaly["count"] == 11).is_some().then_some(anomalies)
    })
    .await;
    assert_eq!(anomalies.len(), 1, "{anomalies:?}");
    assert_ne!(anomalies[0]["event_id"], stored[11]["event_id"], "{anomalies:?}");
    assert_eq!(micros(&anomalies[0]["detected_at"]), micros(&stored[0]["received_at"]) - SECOND);
}

#[tokio::test]
async fn a_bad_sent_at_is_refused_and_null_is_none() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut event = event(&user, "x", at(0));
    for (sent_at, kind) in [(json!("yesterday"), "datetime_from_date_parsing"), (json!(true), "datetime_type")] {
        event["sent_at"] = sent_at;
        stack.post_event(&event).await.expect_faults(&[("body.sent_at", kind)]);
    }
    event["sent_at"] = json!(null);
    assert_eq!(stored(&stack, &event).await["time_source"], "client");
}

#[tokio::test]
async fn events_are_listed_by_their_evaluated_time() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut corrected = Stored::new("corrected", "x", 0).body(&user);
    corrected["sent_at"] = json!(at(0));
    let late = Stored::new("late", "x", SECOND).body(&user);
    let far_ahead = Stored::new("ahead", "x", 0).body(&user);
    let far_ahead = json!({"timestamp": "9999-12-31", "event_id": "ahead", "user_id": user,
        "agent_id": far_ahead["agent_id"], "signal_type": "x"});
    for event in [&corrected, &far_ahead, &late] {
        stack.ingest(event).await;
    }
    let events = stack.get_events(&user).await.list();
    let order: Vec<_> = events.iter().map(|event| event["event_id"].as_str().unwrap_or_default()).collect();
    assert_eq!(order, ["ahead", "corrected", "late"]);
}
