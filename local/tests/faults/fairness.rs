//! A user whose events the store does not accept, beside users whose events it accepts.

use std::time::{Duration, Instant};

use local::invoke::Invoker;
use local::queues::Sqs;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::config::Config;
use shared::integrity::{Event, ReceivedEvent};
use shared::retry::RetryMessage;
use shared::time::Timestamp;

use crate::faulty::{Faulty, event, eventually};
use crate::proxy::Fate;

const NOISY: &str = "noisy";
/// The timeout of `retry-events` in the template.
const RETRY_EVENTS_TIMEOUT: Duration = Duration::from_secs(30);
const ASYNC: [(&str, &str); 1] = [("prefer", "respond-async")];
/// The number of requests and of events in each that fill the queue.
const REQUESTS: usize = 4;
const EVENTS: usize = 75;

/// Lets every call to DynamoDB about the noisy user meet `fate`, and all others pass.
fn fail_noisy_user(faulty: &Faulty, fate: fn() -> Fate) {
    faulty.dynamodb.decide_by_body(move |_, body| if body.contains("\"noisy\"") { fate() } else { Fate::Pass });
}

/// Returns a message of the retry queue for an event of `user`. The message is named after the user.
fn record(user: &str, id: &str) -> Value {
    let event = Event::parse(event(user, id, "x", 0).to_string().as_bytes()).expect("an event").into_unchecked();
    let detection = Config::load().expect("a configuration").detection;
    let message = RetryMessage::Event(ReceivedEvent::new(event, Timestamp::now(), &detection));
    json!({
        "messageId": format!("{user} {id}"),
        "receiptHandle": "none",
        "body": message.encode().expect("a message").body,
        "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": Timestamp::now().millis().to_string() },
    })
}

/// Invokes `retry-events` with a batch in which the noisy user has eight of ten messages, until only those messages
/// fail.
async fn retry_beside_noisy_user(fate: fn() -> Fate) {
    let faulty = Faulty::start(1).await;
    let functions = faulty.stack.description().functions.parse().expect("an address");
    let invoker = Invoker::new(functions, "retry-events", RETRY_EVENTS_TIMEOUT);
    let mut noisy: Vec<_> = (0..8).map(|id| record(NOISY, &id.to_string())).collect();
    let names: Vec<_> = noisy.iter().map(|record| record["messageId"].clone()).collect();
    // The names of the other users sort before and after that of the noisy user.
    noisy.extend([record("calm", "1"), record("quiet", "1")]);
    let batch = json!({ "Records": noisy });
    fail_noisy_user(&faulty, fate);
    eventually("only the events of the noisy user fail", async || {
        let started = Instant::now();
        let failed = invoker.invoke(&batch).await.expect("a response in time");
        eprintln!("{} of 10 messages failed after {:?}", failed.len(), started.elapsed());
        let mut failed: Vec<_> = failed.into_iter().map(Value::from).collect();
        failed.sort_by_key(ToString::to_string);
        (failed == names).then_some(())
    })
    .await;
    for user in ["calm", "quiet"] {
        assert_eq!(faulty.list(&format!("/events/{user}")).await.len(), 1, "the event of {user}");
    }
    faulty.stop().await;
}

#[tokio::test]
async fn retry_batch_stores_others_beside_a_throttled_user() {
    retry_beside_noisy_user(|| Fate::Throttle).await;
}

#[tokio::test]
async fn retry_batch_stores_others_beside_a_hanging_user() {
    retry_beside_noisy_user(|| Fate::Swallow).await;
}

#[tokio::test]
async fn queue_full_of_failing_events_does_not_hold_up_others() {
    let faulty = Faulty::start(1).await;
    fail_noisy_user(&faulty, || Fate::Throttle);
    for request in 0..REQUESTS {
        let events: Vec<_> = (0..EVENTS).map(|index| event(NOISY, &format!("{request} {index:03}"), "x", 0)).collect();
        let (status, body) = faulty.post_with("/events", &events.into(), &ASYNC).await.expect("a response");
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    }
    let sent = Instant::now();
    let (status, body) = faulty.post_with("/event", &event("quiet", "1", "x", 0), &ASYNC).await.expect("a response");
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    eventually("the event is stored", async || (faulty.list("/events/quiet").await.len() == 1).then_some(())).await;

    let count = REQUESTS * EVENTS;
    eprintln!("the quiet user's event was stored {:?} after {count} events of the noisy user", sent.elapsed());
    let sqs = Sqs::of(&faulty.stack.description().environment).expect("SQS");
    let queue = faulty.stack.description().environment["SIGNALS_RETRY_QUEUE"].clone();
    let waiting = sqs.depth(&queue).await.expect("a depth");
    assert!(waiting >= u64::try_from(count).expect("small"), "{waiting} of the noisy user's events are waiting");
    faulty.heal();
    eventually("the noisy user's events are stored", async || {
        (faulty.list(&format!("/events/{NOISY}")).await.len() == count).then_some(())
    })
    .await;
    faulty.stop().await;
}
