//! A store that rejects valid events: no retry helps.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::faulty::{Faulty, event, eventually};
use crate::proxy::Fate;

const DOES_NOT_HELP: &str = "Sending it again does not help";

/// Rejects every put of an event of `rejected`, and loses every put of an event of `lost`.
fn fail_puts(faulty: &Faulty, rejected: &'static str, lost: &'static str) {
    faulty.dynamodb.decide_by_body(move |operation, body| {
        let is_of = |user: &str| operation == "PutItem" && body.contains(&format!("\"{user}\""));
        match () {
            () if is_of(rejected) => Fate::Reject,
            () if is_of(lost) => Fate::Lose,
            () => Fate::Pass,
        }
    });
}

#[tokio::test]
async fn batch_tells_rejected_events_from_those_to_retry() {
    let faulty = Faulty::start(1).await;
    let batch = |users: &[&str]| Value::from(users.iter().map(|user| event(user, "1", "x", 0)).collect::<Vec<_>>());
    let post = async |users: &[&str]| faulty.post("/events", &batch(users)).await.expect("a response");
    fail_puts(&faulty, "rejected", "lost");

    let (status, body) = post(&["rejected", "good", "lost"]).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
    let statuses: Vec<_> = (0..3).map(|index| body["results"][index]["status"].clone()).collect();
    // A busy machine may be too slow to store the good event at once.
    assert!(statuses[0] == "unavailable" && statuses[2] == "queued", "{body}");
    assert!(statuses[1] == "ingested" || statuses[1] == "queued", "{body}");
    assert!(body["results"][0]["detail"].as_str().is_some_and(|detail| detail.contains(DOES_NOT_HELP)), "{body}");

    let (status, body) = post(&["rejected", "rejected"]).await;
    assert_eq!((status, body), (StatusCode::INTERNAL_SERVER_ERROR, json!({ "detail": "Internal Server Error" })));

    faulty.sqs.decide_by(|_| Fate::Lose);
    for users in [["rejected", "lost"], ["lost", "rejected"], ["lost", "lost"]] {
        let (status, body) = post(&users).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{users:?}: {body}");
    }
    let (status, body) = post(&["good", "lost", "rejected"]).await;
    assert_eq!(status, StatusCode::MULTI_STATUS, "{body}");
    let detail = |index: usize| body["results"][index]["detail"].as_str().unwrap_or_default();
    assert!(detail(1).contains("Send this event again") && detail(2).contains(DOES_NOT_HELP), "{body}");

    faulty.heal();
    eventually("the queued event is stored", async || (faulty.list("/events/lost").await.len() == 1).then_some(()))
        .await;
    assert_eq!(faulty.list("/events/rejected").await, Vec::<Value>::new());
    faulty.stop().await;
}
