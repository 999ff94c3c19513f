//! Events that are queued first and stored later: `Prefer: respond-async`.

use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::event_set::{Stored, anomalies, listed, mixed};
use crate::events::{at, event};
use crate::stack::{Stack, eventually, fresh};

const ASYNC: (&str, &str) = ("prefer", "respond-async");
const JSON: (&str, &str) = ("content-type", "application/json");

async fn post_async(stack: &Stack, path: &str, body: &Value) -> Answer {
    stack.send(Method::POST, path, &[JSON, ASYNC], body.to_string()).await
}

fn was_preferred(answer: &Answer) -> bool {
    answer.header("preference-applied") == "respond-async"
}

#[tokio::test]
async fn respond_async_returns_queued_and_the_event_is_stored_later() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut event = event(&user, "x", at(0));
    event["payload"] = json!({ "text": "\u{ffff} \" \\ \u{1} 日" });
    let answer = post_async(&stack, "/event", &event).await;
    let queued = answer.json(202);
    answer.check(was_preferred(&answer), "Preference-Applied");
    let event_id = queued["event_id"].as_str().expect("an id").to_owned();
    answer.expect(202, &json!({ "status": "queued", "event_id": event_id }));

    let stored = eventually("it is stored", async || stack.get_events(&user).await.list().pop()).await;
    assert_eq!((&stored["event_id"], &stored["payload"]), (&json!(event_id), &event["payload"]));
    // The time of receipt is the time of queueing, so a retry with the generated id finds the same event.
    event["event_id"] = json!(event_id);
    let again = stack.post_again(&event).await.ok();
    assert_eq!((&again["duplicate"], &again["received_at"]), (&json!(true), &stored["received_at"]));
}

#[tokio::test]
async fn invalid_event_is_rejected_at_once_with_any_preference() {
    let stack = Stack::connect();
    let answer = post_async(&stack, "/event", &json!({ "user_id": fresh("user") })).await;
    assert_eq!(answer.status(), 422);
    assert!(!was_preferred(&answer));
}

#[tokio::test]
async fn other_preferences_change_nothing() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let event = event(&user, "x", at(0)).to_string();
    for preference in ["wait=10", "return=minimal", "respond-asynchronously"] {
        let answer = stack.send(Method::POST, "/event", &[JSON, ("prefer", preference)], event.clone()).await;
        assert!(!was_preferred(&answer), "{preference}");
        // A stack that is too busy queues the event anyway.
        let is_accepted = matches!(answer.status(), 200 | 202);
        answer.check(is_accepted, "the event to be accepted");
    }
    for preference in ["Respond-Async", "return=minimal, respond-async; wait=10"] {
        let answer = stack.send(Method::POST, "/event", &[JSON, ("prefer", preference)], event.clone()).await;
        assert_eq!(answer.json(202)["status"], "queued", "{preference}");
    }
}

#[tokio::test]
async fn queued_events_have_the_same_anomalies_as_stored_events() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events = mixed(4, 60);
    let expected = anomalies(&user, &events);
    assert!(!expected.is_empty());
    let bodies: Vec<_> = events.iter().map(|event: &Stored| event.body(&user)).collect();
    for body in &bodies[..20] {
        assert_eq!(post_async(&stack, "/event", body).await.status(), 202);
    }
    let batch = post_async(&stack, "/events", &Value::from(&bodies[20..])).await;
    let results = batch.json(202);
    batch.check(was_preferred(&batch), "Preference-Applied");
    let results = results["results"].as_array().expect("results").clone();
    let ids: Vec<_> =
        events[20..].iter().map(|event| json!({ "status": "queued", "event_id": event.event_id })).collect();
    assert_eq!(results, ids);

    eventually("all are stored", async || (stack.get_events(&user).await.list().len() == 60).then_some(())).await;
    // Each event is evaluated when it is stored, so the counts converge to the expected values.
    eventually("all are evaluated", async || {
        (listed(&stack.get_anomalies(&user).await.list()) == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn in_a_queued_batch_what_is_wrong_is_told_at_once() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let batch = json!([event(&user, "x", at(0)), { "user_id": user }]);
    let answer = post_async(&stack, "/events", &batch).await;
    let results = &answer.json(202)["results"];
    assert_eq!((&results[0]["status"], &results[1]["status"]), (&json!("queued"), &json!("invalid")), "{results}");
    eventually("it is stored", async || stack.get_events(&user).await.list().pop()).await;
}
