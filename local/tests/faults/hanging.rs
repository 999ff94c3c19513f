//! Stores that hang: they accept connections and never respond.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use local::invoke::Invoker;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::faulty::{Faulty, event, eventually};
use crate::proxy::{Fate, Proxy};

/// The number of requests sent while a store is known to hang.
const REQUESTS: usize = 5;
/// The fastest request takes less time than this. A single attempt of a store call takes longer.
const WITHOUT_WAITING: Duration = Duration::from_millis(900);
/// The timeout of `send-alerts` in the template.
const SEND_ALERTS_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes `proxy` hang; returns the number of calls that reach it.
fn hang(proxy: &Proxy) -> Arc<AtomicUsize> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    proxy.decide_by(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Fate::Swallow
    });
    calls
}

/// Sends `request` once to find out that a store hangs, then a few times more. Each response has the status `expected`. The
/// later requests do not wait for the store whose `calls` are counted.
async fn assert_second_request_is_fast(
    expected: StatusCode,
    calls: &AtomicUsize,
    request: impl AsyncFn() -> Option<(StatusCode, Value)>,
) {
    let (started, (status, body)) = (Instant::now(), request().await.expect("a response"));
    eprintln!("first response: {status} after {:?}", started.elapsed());
    assert_eq!(status, expected, "{body}");
    let before = calls.load(Ordering::Relaxed);
    assert!(before > 0, "the store was called");
    let mut fastest = Duration::MAX;
    for _ in 0..REQUESTS {
        let (started, (status, body)) = (Instant::now(), request().await.expect("a response"));
        assert_eq!(status, expected, "{body}");
        fastest = fastest.min(started.elapsed());
    }
    eprintln!("fastest later response: {fastest:?}");
    assert!(fastest < WITHOUT_WAITING, "the fastest took {fastest:?}");
}

#[tokio::test]
async fn event_goes_to_queue_at_once_when_dynamodb_hangs() {
    let faulty = Faulty::start(1).await;
    let post = async || faulty.post("/event", &event("user", "1", "x", 0)).await;
    assert_eq!(post().await.expect("a response").0, StatusCode::OK);
    let calls = hang(&faulty.dynamodb);
    assert_second_request_is_fast(StatusCode::ACCEPTED, &calls, post).await;
    faulty.dynamodb.heal();
    eventually("events are stored at once", async || (post().await?.0 == StatusCode::OK).then_some(())).await;
    faulty.stop().await;
}

#[tokio::test]
async fn batch_goes_to_queue_at_once_when_dynamodb_hangs() {
    let faulty = Faulty::start(1).await;
    let batch: Vec<_> = (0..10).map(|index| event(&format!("user {index}"), &index.to_string(), "x", 0)).collect();
    let post = async || {
        let (status, body) = faulty.post("/events", &Value::from(batch.clone())).await?;
        let queued = body["results"].as_array()?.iter().filter(|result| result["status"] == "queued").count();
        Some((status, json!(queued)))
    };
    assert_eq!(post().await.expect("a response").0, StatusCode::MULTI_STATUS);
    let calls = hang(&faulty.dynamodb);
    assert_second_request_is_fast(StatusCode::MULTI_STATUS, &calls, async || {
        let (status, queued) = post().await?;
        assert_eq!(queued, json!(10));
        Some((status, queued))
    })
    .await;
    faulty.stop().await;
}

#[tokio::test]
async fn interaction_goes_to_queue_at_once_when_s3_hangs() {
    let faulty = Faulty::start(1).await;
    let interaction = json!({ "agent_id": "a", "user_id": "u", "user_input": "thanks" });
    let post = async || faulty.post("/log", &interaction).await;
    assert_eq!(post().await.expect("a response").0, StatusCode::OK);
    let calls = hang(&faulty.s3);
    assert_second_request_is_fast(StatusCode::ACCEPTED, &calls, post).await;
    let read = async || faulty.get("/logs/a/u").await;
    assert_second_request_is_fast(StatusCode::SERVICE_UNAVAILABLE, &calls, read).await;
    faulty.s3.heal();
    eventually("interactions are stored at once", async || (post().await?.0 == StatusCode::OK).then_some(())).await;
    eventually("logs are readable", async || (read().await?.0 == StatusCode::OK).then_some(())).await;
    faulty.stop().await;
}

#[tokio::test]
async fn log_batch_goes_to_queue_at_once_when_s3_hangs() {
    let faulty = Faulty::start(1).await;
    // More objects than are stored concurrently.
    let batch: Vec<_> = (0..40)
        .map(|user| json!({ "agent_id": "a", "user_id": format!("user {user}"), "user_input": "thanks" }))
        .collect();
    let post = async || {
        let (status, body) = faulty.post("/logs", &Value::from(batch.clone())).await?;
        let queued = body["results"].as_array()?.iter().filter(|result| result["status"] == "queued").count();
        Some((status, json!(queued)))
    };
    assert_eq!(post().await.expect("a response").0, StatusCode::MULTI_STATUS);
    let calls = hang(&faulty.s3);
    assert_second_request_is_fast(StatusCode::MULTI_STATUS, &calls, async || {
        let (status, queued) = post().await?;
        assert_eq!(queued, json!(40));
        Some((status, queued))
    })
    .await;
    faulty.stop().await;
}

#[tokio::test]
async fn request_is_refused_in_time_when_store_and_queue_hang() {
    let faulty = Faulty::start(1).await;
    let post = async || faulty.post("/event", &event("user", "1", "x", 0)).await;
    let batch = async || faulty.post("/events", &json!([event("user", "1", "x", 0), {}])).await;
    assert_eq!(post().await.expect("a response").0, StatusCode::OK);
    assert_eq!(batch().await.expect("a response").0, StatusCode::MULTI_STATUS);
    let calls = hang(&faulty.dynamodb);
    hang(&faulty.sqs);
    assert_second_request_is_fast(StatusCode::SERVICE_UNAVAILABLE, &calls, post).await;
    // The invalid event is reported once the others are accepted.
    assert_second_request_is_fast(StatusCode::SERVICE_UNAVAILABLE, &calls, batch).await;
    faulty.stop().await;
}

#[tokio::test]
async fn unknown_key_is_refused_in_time_when_key_table_hangs() {
    let faulty = Faulty::start(1).await;
    let calls = hang(&faulty.dynamodb);
    for path in ["/logs/a/u", "/summary/a/u", "/events/u"] {
        let get = async || faulty.get(path).await;
        assert_second_request_is_fast(StatusCode::SERVICE_UNAVAILABLE, &calls, get).await;
    }
    faulty.stop().await;
}

#[tokio::test]
async fn async_batch_goes_to_stores_when_queue_hangs() {
    let faulty = Faulty::start(1).await;
    // So many that the calls to the queue alone, each with its timeout, would take longer than a request.
    let batch: Vec<_> =
        (0..330).map(|index| event(&format!("user {}", index % 33), &index.to_string(), "x", 0)).collect();
    let calls = hang(&faulty.sqs);
    let puts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&puts);
    faulty.dynamodb.decide_by(move |operation| {
        counted.fetch_add(usize::from(operation == "PutItem"), Ordering::Relaxed);
        Fate::Pass
    });
    let started = Instant::now();
    let (status, body) =
        faulty.post_with("/events", &Value::from(batch), &[("prefer", "respond-async")]).await.expect("a response");
    eprintln!("response: {status} after {:?}", started.elapsed());
    assert!(calls.load(Ordering::Relaxed) > 0, "the queue was called");
    assert!(puts.load(Ordering::Relaxed) > 0, "the stores were called");
    // A busy machine may be too slow to store all events before the deadline.
    if status != StatusCode::SERVICE_UNAVAILABLE {
        assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
        let results = body["results"].as_array().expect("results");
        assert!(results.len() == 330 && results.iter().all(|result| result["status"] == "ingested"), "{body}");
    }
    faulty.stop().await;
}

#[tokio::test]
async fn alerts_batch_ends_in_time_when_ssm_hangs() {
    let ssm = Proxy::start().await;
    let calls = hang(&ssm);
    let faulty =
        Faulty::start_with(1, &[("AWS_ENDPOINT_URL_SSM", ssm.endpoint()), ("SIGNALS_WEBHOOK", String::new())]).await;
    let record = |number: usize| {
        json!({
            "messageId": number.to_string(),
            "receiptHandle": "none",
            "body": json!({ "id": format!("ep_{number}") }).to_string(),
            "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1767355200000" },
        })
    };
    let batch = json!({ "Records": (0..10).map(record).collect::<Vec<_>>() });
    let started = Instant::now();
    let functions = faulty.stack.description().functions.parse().expect("an address");
    let invoker = Invoker::new(functions, "send-alerts", SEND_ALERTS_TIMEOUT);
    let failed = invoker.invoke(&batch).await.expect("a response in time");
    eprintln!("{} of 10 alerts failed after {:?}", failed.len(), started.elapsed());
    assert_eq!(failed.len(), 10, "each alert is retried");
    // The attempts of a single call, although there are ten messages.
    assert!(calls.load(Ordering::Relaxed) <= 4, "the settings are read once: {calls:?}");

    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    ssm.decide_by(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Fate::Fail
    });
    eventually("the settings are read again", async || {
        let failed = invoker.invoke(&batch).await.expect("a response in time");
        assert_eq!(failed.len(), 10, "each alert is retried");
        (calls.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    assert!(calls.load(Ordering::Relaxed) <= 4, "the settings are read once: {calls:?}");
    faulty.stop().await;
}
