//! Stores that fail, partially or completely.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::faulty::{Faulty, eventually};
use crate::proxy::Fate;
use crate::traffic::Traffic;

/// The duration of an outage.
const OUTAGE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn outage_during_2000_events_loses_none_and_evaluates_all() {
    let faulty = Faulty::start(2).await;
    let traffic = Traffic::of(2_000);
    let outage = async {
        eventually("a third is accepted", async || (traffic.accepted() > 800).then_some(())).await;
        faulty.dynamodb.decide_by(|_| Fate::Lose);
        let (accepted, refused) = (traffic.accepted(), traffic.answers.refused.load(Ordering::Relaxed));
        tokio::time::sleep(OUTAGE).await;
        let during = (traffic.accepted() - accepted, traffic.answers.refused.load(Ordering::Relaxed) - refused);
        faulty.dynamodb.heal();
        during
    };
    let ((), (accepted, refused)) = tokio::join!(traffic.send(&faulty), outage);
    // Every sandbox had cached the key before.
    assert!(accepted > 20 && refused == 0, "in the outage {accepted} were accepted and {refused} refused");
    traffic.check(&faulty).await;
    faulty.stop().await;
}

#[tokio::test]
async fn constant_minor_faults_lose_and_duplicate_nothing() {
    let faulty = Faulty::start(2).await;
    faulty.fail_a_little();
    let traffic = Traffic::of(600);
    traffic.send(&faulty).await;
    faulty.heal();
    traffic.check(&faulty).await;
    faulty.stop().await;
}

#[tokio::test]
async fn interactions_sent_in_an_s3_outage_are_logged_once_after_it() {
    let faulty = Faulty::start(2).await;
    let interaction =
        |number: usize| json!({ "agent_id": "a", "user_id": "u", "user_input": format!("thanks {number}") });
    for number in 0..20 {
        let answer = faulty.post("/log", &interaction(number)).await.expect("an answer");
        assert_eq!(answer.0, StatusCode::OK, "{answer:?}");
    }
    faulty.s3.decide_by(|_| Fate::Fail);
    let mut entries = Vec::new();
    for number in 20..40 {
        let (status, answer) = faulty.post("/log", &interaction(number)).await.expect("an answer");
        assert_eq!((status, &answer["status"]), (StatusCode::ACCEPTED, &json!("queued")), "{answer}");
        entries.push(answer["logged"].clone());
    }
    faulty.s3.heal();
    let logs = eventually("all are in the log", async || {
        let logs = faulty.list("/logs/a/u?limit=100").await;
        (logs.len() == 40).then_some(logs)
    })
    .await;
    // The entries are in their original place, as promised.
    assert_eq!(logs[20..], entries);
    let texts: Vec<_> = logs.iter().map(|entry| entry["user_input"].clone()).collect();
    assert_eq!(texts, (0..40).map(|number| Value::from(format!("thanks {number}"))).collect::<Vec<_>>());
    faulty.stop().await;
}

#[tokio::test]
async fn without_store_and_queue_nothing_is_promised() {
    let faulty = Faulty::start(1).await;
    let event = |id: &str| crate::faulty::event("user", id, "x", 0);
    // Both functions cache the key.
    assert_eq!(faulty.post("/event", &event("1")).await.expect("an answer").0, StatusCode::OK);
    assert_eq!(faulty.post("/events", &json!([event("1")])).await.expect("an answer").0, StatusCode::MULTI_STATUS);
    faulty.dynamodb.decide_by(|_| Fate::Throttle);
    let (status, answer) = faulty.post("/event", &event("2")).await.expect("an answer");
    assert_eq!((status, answer), (StatusCode::ACCEPTED, json!({ "status": "queued", "event_id": "2" })));
    // Neither a response nor a refused connection, as when packets are dropped.
    faulty.sqs.decide_by(|_| Fate::Swallow);
    faulty.dynamodb.decide_by(|_| Fate::Swallow);
    let (status, answer) = faulty.post("/event", &event("3")).await.expect("an answer");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    let (status, answer) = faulty.post("/events", &json!([event("4"), {}])).await.expect("an answer");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    faulty.dynamodb.heal();
    faulty.sqs.heal();
    // Both stores are not called for a few more seconds.
    eventually("the third is stored", async || {
        (faulty.post("/event", &event("3")).await?.0 == StatusCode::OK).then_some(())
    })
    .await;
    eventually("the second is stored", async || (faulty.list("/events/user").await.len() == 3).then_some(())).await;
    faulty.stop().await;
}
