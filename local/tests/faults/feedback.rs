//! Feedback while DynamoDB fails: entries are shown without feedback, and new feedback is refused.

use std::time::{SystemTime, UNIX_EPOCH};

use cli::target::StackTarget;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::env::FEEDBACK_TABLE;

use crate::faulty::{Faulty, eventually};
use crate::proxy::Fate;

const DAYS: i64 = 30;

/// Logs an interaction and returns the path of its feedback.
async fn rated(faulty: &Faulty) -> String {
    let interaction = json!({ "agent_id": "a", "user_id": "u", "user_input": "I am angry" });
    let entry = eventually("an entry", async || {
        let (status, answer) = faulty.post("/log", &interaction).await?;
        (status == StatusCode::OK).then(|| answer["logged"].clone())
    })
    .await;
    format!("/logs/a/u/{}/feedback", entry["log_id"].as_str().expect("an id"))
}

async fn give(faulty: &Faulty, path: &str, signal: &str) {
    eventually("feedback is stored", async || {
        (faulty.post(path, &json!({ "signal": signal })).await?.0 == StatusCode::OK).then_some(())
    })
    .await;
}

/// Waits until the only entry shows `expected`.
async fn assert_shown(faulty: &Faulty, expected: Option<&str>) {
    eventually("the entry shows the feedback", async || {
        let (status, entries) = faulty.get("/logs/a/u").await?;
        assert!(status == StatusCode::OK || status == StatusCode::SERVICE_UNAVAILABLE, "{status} {entries}");
        let feedback = entries.get(0)?.get("feedback").and_then(Value::as_str);
        (feedback == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn entries_are_shown_without_feedback_when_dynamodb_fails() {
    let faulty = Faulty::start(1).await;
    let path = rated(&faulty).await;
    give(&faulty, &path, "neutral").await;
    assert_shown(&faulty, Some("neutral")).await;
    for is_silent in [false, true] {
        let fail = move |failing: &'static str| {
            move |operation: &str| match (operation == failing, is_silent) {
                (false, _) => Fate::Pass,
                (true, false) => Fate::Fail,
                (true, true) => Fate::Swallow,
            }
        };
        faulty.dynamodb.decide_by(fail("Query"));
        assert_shown(&faulty, None).await;
        faulty.dynamodb.decide_by(fail("PutItem"));
        eventually("new feedback is refused", async || {
            let (status, body) = faulty.post(&path, &json!({ "signal": "positive" })).await?;
            (status == StatusCode::SERVICE_UNAVAILABLE && body["detail"].is_string()).then_some(())
        })
        .await;
        faulty.dynamodb.heal();
        assert_shown(&faulty, Some("neutral")).await;
    }
    faulty.stop().await;
}

#[tokio::test]
async fn feedback_expires_with_its_entry() {
    let faulty = Faulty::start_with(1, &[("SIGNALS_LOG_DAYS", DAYS.to_string())]).await;
    let path = rated(&faulty).await;
    give(&faulty, &path, "neutral").await;
    let target = StackTarget::local(&faulty.stack.description().environment).expect("a stack");
    let table = target.name(FEEDBACK_TABLE).expect("a table");
    let found = eventually("an item", async || target.aws.dynamodb().scan().table_name(&table).send().await.ok()).await;
    let item = found.items().first().expect("the feedback");
    let expires_at: i64 = item["expires_at"].as_n().expect("a number").parse().expect("a number");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock past 1970").as_secs();
    let rest = expires_at - i64::try_from(now).expect("a time");
    assert!((DAYS - 1) * 86_400 < rest && rest <= DAYS * 86_400, "{rest}");
    faulty.stop().await;
}
