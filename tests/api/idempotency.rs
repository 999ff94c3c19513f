//! The same event sent again: stored and counted once, and answered as the first time.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::event_set::Stored;
use crate::event_time::server_now;
use crate::events::{SECOND, at, event, micros};
use crate::stack::{Stack, fresh};

/// How long a timestamp just too far ahead may take to come within five minutes.
const PATIENCE: Duration = Duration::from_secs(15);

/// An event with the id `1`.
fn numbered(user: &str) -> Value {
    Stored::new("1", "x", 0).body(user)
}

/// What `first` has to be answered with when its event is sent again and has no part in an anomaly.
fn again(first: &Answer) -> Value {
    let mut answer = first.ok();
    first.check(answer.get("duplicate").is_none(), "an answer to a first try");
    answer["duplicate"] = json!(true);
    answer
}

/// A POST of `event` with a header `Idempotency-Key`.
async fn post_with_key(stack: &Stack, event: &Value, key: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    stack.send(Method::POST, "/event", &headers, event.to_string()).await
}

#[tokio::test]
async fn a_retry_is_answered_with_the_anomaly_as_it_stands_now() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events: Vec<_> = (0..11).map(|index| Stored::new(format!("{index:02}"), "x", SECOND)).collect();
    let first = stack.post_event(&events[10].body(&user)).await;
    assert_eq!(first.ok()["anomaly"], Value::Null);
    for event in &events[..10] {
        stack.ingest(&event.body(&user)).await;
    }
    let retry = stack.post_event(&events[10].body(&user)).await;
    let eleven = retry.ok()["anomaly"].clone();
    retry.check(eleven["count"] == 11 && eleven["event_id"] == "10", "the anomaly that it has become");
    let mut expected = again(&first);
    expected["anomaly"] = eleven.clone();
    retry.expect(200, &expected);
    let harmless = stack.post_event(&events[0].body(&user)).await;
    harmless.check(harmless.ok()["anomaly"] == eleven, "the anomaly that it has caused");

    stack.ingest(&Stored::new("late", "x", 0).body(&user)).await;
    let retry = stack.post_event(&events[10].body(&user)).await;
    let twelve = retry.ok()["anomaly"].clone();
    retry.check(twelve["count"] == 12 && micros(&twelve["window_start"]) == 0, "the anomaly with the late event");
    assert_eq!(stack.get_anomalies_where(&user, "limit=1").await.list(), [twelve]);
}

#[tokio::test]
async fn a_retry_is_listed_once_as_it_was_first_sent() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for size in [10, 1_023, 1_024, 60_000] {
        let mut event = numbered(&user);
        event["event_id"] = json!(format!("{size}"));
        event["payload"] = json!({"b": "x".repeat(size), "a": [1, 2.5]});
        let first = stack.post_event(&event).await;
        let listed = stack.get_events(&user).await.list();
        let text = event.to_string();
        let rewritten = text.replace(r#""a":[1,2.5],"#, "").replacen(r#""}"#, "\" ,\n \"a\" : [ 1, 2.5 ] }", 1);
        for retry in [text, rewritten] {
            stack.post("/event", retry).await.expect(200, &again(&first));
        }
        stack.get_events(&user).await.expect(200, &json!(listed));
    }
}

#[tokio::test]
async fn another_body_under_the_same_id_and_timestamp_changes_nothing() {
    let stack = Stack::connect();
    for (size, other_size) in [(0, 1), (10, 60_000), (60_000, 10), (8_000, 8_001)] {
        for sent_at in [json!(null), json!(at(SECOND))] {
            let user = fresh("user");
            let mut event = numbered(&user);
            event["sent_at"] = sent_at;
            event["payload"] = json!({"text": "x".repeat(size)});
            let first = stack.post_event(&event).await;
            let listed = stack.get_events(&user).await.list();
            let mut other = event.clone();
            other["payload"] = json!({"text": "x".repeat(other_size)});
            let mut another = event.clone();
            another["signal_type"] = json!("stressed");
            for conflict in [other, another] {
                let answer = stack.post_event(&conflict).await;
                answer.check(answer.json(409)["detail"].is_string(), "a reason");
            }
            stack.get_events(&user).await.expect(200, &json!(listed));
            stack.post_event(&event).await.expect(200, &again(&first));
        }
    }
}

#[tokio::test]
async fn a_conflict_does_not_count() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut event = numbered(&user);
    for conflict in 0..12 {
        event["payload"] = json!({"conflict": conflict});
        let status = if conflict == 0 { 200 } else { 409 };
        stack.post_event(&event).await.json(status);
    }
    event["event_id"] = json!("2");
    stack.post_alike(&event, 1).await;
    stack.get_anomalies(&user).await.expect(200, &json!([]));
}

#[tokio::test]
async fn one_id_at_another_time_agent_or_user_is_another_event() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    stack.ingest(&numbered(&user)).await;
    for (field, other) in [("timestamp", at(1)), ("agent_id", "another".to_owned()), ("user_id", fresh("user"))] {
        let mut event = numbered(&user);
        event[field] = json!(other);
        let answer = stack.post_event(&event).await;
        answer.check(answer.ok().get("duplicate").is_none(), "an event of its own");
    }
    assert_eq!(stack.get_events(&user).await.list().len(), 3);
}

#[tokio::test]
async fn many_tries_at_once_are_one_event() {
    let stack = Stack::connect();
    let ahead = at(server_now(&stack).await + 60 * SECOND);
    for (field, value) in
        [("payload", json!({"text": "x".repeat(8_000)})), ("sent_at", json!(at(SECOND))), ("timestamp", json!(ahead))]
    {
        let user = fresh("user");
        let mut event = numbered(&user);
        event[field] = value;
        let answers = join_all((0..12).map(|_| stack.post_event(&event))).await;
        let answers: Vec<_> = answers.iter().map(Answer::ok).collect();
        let first = answers.iter().filter(|answer| answer.get("duplicate").is_none()).count();
        assert_eq!(first, 1, "with {field}: {answers:?}");
        assert!(
            answers.iter().all(|answer| answer["received_at"] == answers[0]["received_at"]),
            "{field}: {answers:?}"
        );
        assert_eq!(stack.get_events(&user).await.list().len(), 1, "with {field}");
        stack.get_anomalies(&user).await.expect(200, &json!([]));
    }
}

#[tokio::test]
async fn a_header_names_the_event_where_the_body_does_not() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let event = event(&user, "x", at(0));
    let first = post_with_key(&stack, &event, "key 1").await;
    first.check(first.ok()["event_id"] == "key 1", "the id in the header");
    post_with_key(&stack, &event, "key 1").await.expect(200, &again(&first));
    let mut named = event.clone();
    named["event_id"] = json!("key 1");
    stack.post_event(&named).await.expect(200, &again(&first));
    let other = post_with_key(&stack, &event, "key 2").await;
    other.check(other.ok()["event_id"] == "key 2" && other.ok().get("duplicate").is_none(), "an event of its own");
    let mut conflict = event.clone();
    conflict["payload"] = json!({"a": 1});
    post_with_key(&stack, &conflict, "key 1").await.json(409);
    assert_eq!(stack.get_events(&user).await.list().len(), 2);
}

#[tokio::test]
async fn an_id_in_the_body_goes_before_one_in_a_header() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let first = post_with_key(&stack, &numbered(&user), "header").await;
    first.check(first.ok()["event_id"] == "1", "the id in the body");
    post_with_key(&stack, &numbered(&user), "another").await.expect(200, &again(&first));
}

#[tokio::test]
async fn a_header_that_is_no_id_is_refused() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for key in ["", "a/b", "..", "100%", &"x".repeat(129)] {
        let answer = post_with_key(&stack, &event(&user, "x", at(0)), key).await;
        answer.expect_fault_at("header.idempotency-key");
    }
    stack.get_events(&user).await.expect(200, &json!([]));
    post_with_key(&stack, &event(&user, "x", at(0)), &"x".repeat(128)).await.ok();
}

#[tokio::test]
async fn a_retry_with_a_later_sent_at_is_one_event() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut event = numbered(&user);
    event["sent_at"] = json!(at(SECOND));
    let first = stack.post_event(&event).await;
    let listed = stack.get_events(&user).await.list();
    for seconds in 2..14 {
        event["sent_at"] = json!(at(seconds * SECOND));
        stack.post_event(&event).await.expect(200, &again(&first));
    }
    stack.get_events(&user).await.expect(200, &json!(listed));
    stack.get_anomalies(&user).await.expect(200, &json!([]));
}

#[tokio::test]
async fn a_retry_in_a_batch_is_one_event_with_the_first_try() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut event = numbered(&user);
    for sent_at in [json!(null), json!(at(SECOND))] {
        event["event_id"] = json!(sent_at.to_string().replace('"', ""));
        event["sent_at"] = sent_at;
        let first = stack.post_event(&event).await.ok();
        let answer = stack.post_events(std::slice::from_ref(&event)).await;
        let result = &answer.results(1)[0];
        answer.check(result["status"] == "duplicate", "a duplicate");
        answer.check(result["received_at"] == first["received_at"], "the first time of receipt");
    }
    assert_eq!(stack.get_events(&user).await.list().len(), 2);
}

#[tokio::test]
async fn a_retry_with_a_timestamp_ahead_of_the_clock_is_one_event() {
    let stack = Stack::connect();
    let now = server_now(&stack).await;
    for ahead in [SECOND / 2, 60 * SECOND, 3_600 * SECOND] {
        let user = fresh("user");
        let mut event = numbered(&user);
        event["timestamp"] = json!(at(now + ahead));
        let first = stack.post_event(&event).await;
        for _ in 0..3 {
            stack.post_event(&event).await.expect(200, &again(&first));
        }
        assert_eq!(stack.get_events(&user).await.list().len(), 1, "{ahead} µs ahead");
    }
}

#[tokio::test]
async fn a_retry_is_one_event_on_either_side_of_the_bound_into_the_future() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let bound = server_now(&stack).await + 300 * SECOND;
    let mut event = numbered(&user);
    event["timestamp"] = json!(at(bound + 2 * SECOND));
    let first = stack.post_event(&event).await;
    let started = Instant::now();
    // Once the server's clock is two seconds further the timestamp would be believed.
    while server_now(&stack).await <= bound - 300 * SECOND + 2 * SECOND {
        assert!(started.elapsed() < PATIENCE, "the server's clock stands still");
        stack.post_event(&event).await.expect(200, &again(&first));
    }
    stack.post_event(&event).await.expect(200, &again(&first));
    let listed = stack.get_events(&user).await.list();
    assert_eq!((listed.len(), &listed[0]["time_source"]), (1, &json!("received")), "{listed:?}");
}

#[tokio::test]
async fn of_two_payloads_in_one_body_the_last_one_counts() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let body = |id: &str, payloads: &str| {
        let event = Stored::new(id, "x", 0).body(&user).to_string();
        format!("{},{payloads}}}", event.strip_suffix('}').expect("an object"))
    };
    let cases = [
        r#""payload":{"a":1},"payload":{"a":2}"#,
        r#""payload":{},"payload":{"a":2}"#,
        r#""payload":[],"payload":{"a":2}"#,
        r#""payload":{"a":1},"payl\u006fad":{"a":2}"#,
    ];
    for (index, payloads) in cases.into_iter().enumerate() {
        let answer = stack.post("/event", body(&format!("{index}"), payloads)).await;
        answer.check(answer.status() == 200, "to be taken");
        let listed = stack.get_events_where(&user, "limit=1").await.list();
        assert_eq!(listed[0]["payload"], json!({"a": 2}), "{payloads}");
        let retry = stack.post("/event", body(&format!("{index}"), r#""payload":{"a":2}"#)).await;
        retry.check(retry.ok()["duplicate"] == true, "a duplicate");
    }
    let refused = stack.post("/event", body("refused", r#""payload":{"a":1},"payload":[]"#)).await;
    refused.expect_faults(&[("body.payload", "dict_type")]);
}
