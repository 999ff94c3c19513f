//! Alerts of moods, from interactions to the webhook's receiver.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::alerts::{Receiver, SECRET, answer};
use crate::faulty::{Faulty, eventually};

/// Rules that are evaluated again every five seconds while an alert is open.
const RULES: &str = r#"
[[alerts.moods]]
signal = "stressed"
minutes = 1
in_a_row = 3
critical_in_a_row = 4

[[alerts.moods]]
signal = "uncertain"
minutes = 1
share_above = 0.5
users_above = 1
min_interactions = 4
recover_below = 0.5
"#;

/// Writes the default configuration with [`RULES`] into `folder` and returns the variable that selects the file.
fn config(folder: &TempDir) -> (&'static str, String) {
    let default = include_str!("../../../signals.toml");
    let (before, rest) = default.split_once("[[alerts.moods]]").expect("rules");
    let (_, after) = rest.split_once("[limits]").expect("limits");
    let path = folder.path().join("signals.toml");
    std::fs::write(&path, format!("{before}{RULES}\n[limits]{after}")).expect("a file");
    ("SIGNALS_CONFIG", path.to_str().expect("text").to_owned())
}

async fn record(faulty: &Faulty, user: &str, signal: &str) {
    let body = json!({ "agent_id": "a", "user_id": user, "user_input": "x", "detected_signal": signal });
    loop {
        if faulty.post("/log", &body).await.is_some_and(|(status, _)| status.is_success()) {
            return;
        }
    }
}

/// Waits until `receiver` has an alert of the type `name` and returns the alert.
async fn received(receiver: &Receiver, name: &str) -> Value {
    let found = || receiver.deliveries().iter().map(|delivery| delivery.json()).find(|alert| alert["type"] == name);
    eventually(name, async || found()).await
}

#[tokio::test]
async fn mood_alert_opens_escalates_and_recovers_despite_kills() {
    let receiver = Receiver::start(|_| answer(200)).await;
    let folder = TempDir::with_prefix("signals-test-").expect("a folder");
    let faulty = Faulty::start_with(1, &[receiver.settings(&[SECRET]), config(&folder)]).await;
    for _ in 0..3 {
        record(&faulty, "maria", "stressed").await;
    }
    eventually("it is killed at work", async || (faulty.kill("roll-up-logs") > 0).then_some(())).await;
    let opened = received(&receiver, "mood.opened").await;
    assert_eq!(opened["data"]["severity"], "warning");
    assert_eq!((&opened["data"]["user_id"], &opened["data"]["agent_id"]), (&json!("maria"), &json!("a")));

    record(&faulty, "maria", "stressed").await;
    let escalated = received(&receiver, "mood.escalated").await;
    record(&faulty, "maria", "positive").await;
    // No further interaction of the signal causes an evaluation.
    let recovered = received(&receiver, "mood.recovered").await;
    for alert in [&escalated, &recovered] {
        assert_eq!(alert["data"]["alert_id"], opened["data"]["alert_id"]);
        assert_eq!(alert["data"]["severity"], "critical");
    }
    for delivery in receiver.deliveries() {
        assert_eq!(json!(delivery.verified(SECRET)), delivery.json()["id"]);
    }
    faulty.stop().await;
}

#[tokio::test]
async fn share_of_all_users_opens_one_alert_of_the_agent() {
    let receiver = Receiver::start(|_| answer(200)).await;
    let folder = TempDir::with_prefix("signals-test-").expect("a folder");
    let faulty = Faulty::start_with(1, &[receiver.settings(&[SECRET]), config(&folder)]).await;
    // The interactions of one request count together, so the share does not depend on the time that requests take.
    let entry = |number: usize| {
        let signal = if number < 6 { "uncertain" } else { "neutral" };
        json!({ "agent_id": "a", "user_id": format!("user {}", number % 3), "user_input": "x", "detected_signal": signal })
    };
    let batch: Vec<_> = (0..9).map(entry).collect();
    faulty.post("/logs", &json!(batch)).await.expect("an answer");
    let opened = received(&receiver, "mood.opened").await;
    let data = &opened["data"];
    assert_eq!((&data["user_id"], &data["rule"]), (&Value::Null, &json!("uncertain above 50 % in one minute")));
    assert_eq!((&data["share"], &data["interactions"], &data["users"]), (&json!(0.667), &json!(9), &json!(3)));
    // The alert ends when the interactions have left the window.
    let recovered = received(&receiver, "mood.recovered").await;
    assert_eq!(recovered["data"]["alert_id"], data["alert_id"]);
    faulty.stop().await;
}
