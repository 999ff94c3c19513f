//! Retried events: stored and counted once, with the response of the first attempt.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::event_set::Stored;
use crate::event_time::server_now;
use crate::events::{SECOND, at, event, micros};
use crate::stack::{Stack, eventually, fresh};

/// Returns an event with the id `1`.
fn numbered(user: &str) -> Value {
    Stored::new("1", "x", 0).body(user)
}

/// Returns the response to a retried event that is not part of an anomaly. `first` is the response to the first
/// attempt.
fn again(first: &Value) -> Value {
    let mut answer = first.clone();
    answer["duplicate"] = json!(true);
    answer
}

/// Posts `event` with a header `Idempotency-Key`. Returns the response of a stack that is not too busy to store the
/// event.
async fn post_with_key(stack: &Stack, event: &Value, key: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    let answer = stack.send(Method::POST, "/event", &headers, event.to_string()).await;
    stack.settled(answer, event).await
}

/// Posts `event` with a header `Idempotency-Key` for the first time. Returns the response without the duplicate flag,
/// which is set if the event was queued.
async fn store_with_key(stack: &Stack, event: &Value, key: &str) -> Value {
    let mut first = post_with_key(stack, event, key).await.ok();
    first.as_object_mut().and_then(|fields| fields.remove("duplicate"));
    first
}

#[tokio::test]
async fn a_retry_is_answered_with_the_anomaly_as_it_stands_now() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events: Vec<_> = (0..11).map(|index| Stored::new(format!("{index:02}"), "x", SECOND)).collect();
    let first = stack.store_event(&events[10].body(&user)).await;
    assert_eq!(first["anomaly"], Value::Null);
    for event in &events[..10] {
        stack.ingest(&event.body(&user)).await;
    }
    let retry = stack.post_again(&events[10].body(&user)).await;
    let eleven = retry.ok()["anomaly"].clone();
    retry.check(eleven["count"] == 11 && eleven["event_id"] == "10", "the anomaly that it has become");
    let mut expected = again(&first);
    expected["anomaly"] = eleven.clone();
    retry.expect(200, &expected);
    let harmless = stack.post_again(&events[0].body(&user)).await;
    harmless.check(harmless.ok()["anomaly"] == eleven, "the anomaly that it has caused");

    stack.ingest(&Stored::new("late", "x", 0).body(&user)).await;
    let retry = stack.post_again(&events[10].body(&user)).await;
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
        let first = stack.store_event(&event).await;
        let listed = stack.get_events(&user).await.list();
        let text = event.to_string();
        let rewritten = text.replace(r#""a":[1,2.5],"#, "").replacen(r#""}"#, "\" ,\n \"a\" : [ 1, 2.5 ] }", 1);
        for retry in [text, rewritten] {
            let answer = stack.post("/event", retry).await;
            stack.settled(answer, &event).await.expect(200, &again(&first));
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
            let first = stack.store_event(&event).await;
            let listed = stack.get_events(&user).await.list();
            let mut other = event.clone();
            other["payload"] = json!({"text": "x".repeat(other_size)});
            let mut another = event.clone();
            another["signal_type"] = json!("stressed");
            for conflict in [other, another] {
                let answer = stack.post_again(&conflict).await;
                answer.check(answer.json(409)["detail"].is_string(), "a reason");
            }
            stack.get_events(&user).await.expect(200, &json!(listed));
            stack.post_again(&event).await.expect(200, &again(&first));
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
        stack.post_again(&event).await.json(status);
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
        stack.store_event(&event).await;
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
        let is_queued = answers.iter().any(|answer| answer.status() == 202);
        let answers = join_all(answers.into_iter().map(|answer| stack.settled(answer, &event))).await;
        let answers: Vec<_> = answers.iter().map(Answer::ok).collect();
        let first = answers.iter().filter(|answer| answer.get("duplicate").is_none()).count();
        // The first attempt may have been queued.
        assert!(first == 1 || first == 0 && is_queued, "with {field}: {answers:?}");
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
    let first = store_with_key(&stack, &event, "key 1").await;
    assert_eq!(first["event_id"], "key 1");
    post_with_key(&stack, &event, "key 1").await.expect(200, &again(&first));
    let mut named = event.clone();
    named["event_id"] = json!("key 1");
    stack.post_again(&named).await.expect(200, &again(&first));
    let other = store_with_key(&stack, &event, "key 2").await;
    assert_eq!(other["event_id"], "key 2");
    let mut conflict = event.clone();
    conflict["payload"] = json!({"a": 1});
    post_with_key(&stack, &conflict, "key 1").await.json(409);
    assert_eq!(stack.get_events(&user).await.list().len(), 2);
}

#[tokio::test]
async fn an_id_in_the_body_goes_before_one_in_a_header() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let first = store_with_key(&stack, &numbered(&user), "header").await;
    assert_eq!(first["event_id"], "1");
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
    let first = stack.store_event(&event).await;
    let listed = stack.get_events(&user).await.list();
    for seconds in 2..14 {
        event["sent_at"] = json!(at(seconds * SECOND));
        stack.post_again(&event).await.expect(200, &again(&first));
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
        let first = stack.store_event(&event).await;
        // A busy stack responds with `queued`, and does not store the retry later.
        let result = eventually("the batch is not queued", async || {
            let result = stack.post_events(std::slice::from_ref(&event)).await.results(1).remove(0);
            (result["status"] != "queued").then_some(result)
        })
        .await;
        assert_eq!(
            (&result["status"], &result["received_at"]),
            (&json!("duplicate"), &first["received_at"]),
            "{result}"
        );
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
        let first = stack.store_event(&event).await;
        for _ in 0..3 {
            stack.post_again(&event).await.expect(200, &again(&first));
        }
        assert_eq!(stack.get_events(&user).await.list().len(), 1, "{ahead} µs ahead");
    }
}

#[tokio::test]
async fn retry_is_one_event_on_either_side_of_the_future_bound() {
    let stack = Stack::connect();
    // On a busy machine, the timestamp may no longer be too far ahead when the event reaches the server.
    let (event, first, believed_from) = eventually("an event with a timestamp just too far ahead", async || {
        let believed_from = server_now(&stack).await + 2 * SECOND;
        let mut event = numbered(&fresh("user"));
        event["timestamp"] = json!(at(believed_from + 300 * SECOND));
        let first = stack.store_event(&event).await;
        let stored = stack.stored_event(&event).await;
        (stored["time_source"] == "received").then_some((event, first, believed_from))
    })
    .await;
    eventually("the server's clock comes within five minutes of the timestamp", async || {
        stack.post_again(&event).await.expect(200, &again(&first));
        (server_now(&stack).await > believed_from).then_some(())
    })
    .await;
    stack.post_again(&event).await.expect(200, &again(&first));
    let listed = stack.get_events(event["user_id"].as_str().expect("a user")).await.list();
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
        answer.check(matches!(answer.status(), 200 | 202), "the event to be accepted");
        let mut event = Stored::new(format!("{index}"), "x", 0).body(&user);
        let stored = stack.wait_until_stored(&event, &event["event_id"]).await;
        assert_eq!(stored["payload"], json!({"a": 2}), "{payloads}");
        event["payload"] = json!({"a": 2});
        let retry = stack.post_again(&event).await;
        retry.check(retry.ok()["duplicate"] == true, "a duplicate");
    }
    let refused = stack.post("/event", body("refused", r#""payload":{"a":1},"payload":[]"#)).await;
    refused.expect_faults(&[("body.payload", "dict_type")]);
}
