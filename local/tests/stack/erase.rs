//! Erasing a user: all data written through the API is gone from every endpoint, and other users' data is kept.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use cli::data_folder::DataFolder;
use cli::target::StackTarget;
use serde_json::{Value, json};
use shared::deadline::Deadline;
use shared::env::{EPISODES_TABLE, LOG_BUCKET};
use shared::ids::UserId;
use shared::logging::compaction::{self, Ages};
use shared::logging::store::GetLog;
use shared::logging::{LogBucket, segment};
use shared::time::Timestamp;

use crate::function_log::metrics;
use crate::support::{Api, Up, data, error_of, eventually, signals_command, turn};

/// The user to erase, another user, and a user whose name has the same beginning.
const USERS: [&str; 3] = ["user 日", "other", "user 日2"];
const AGENTS: [&str; 2] = ["agent 1", "agent 2"];

/// Writes interactions with two agents, with feedback and an alert of their mood; an ordinary event, an event with an idempotency record, an event with a
/// separately stored payload; and a flood.
async fn write(api: &Api, user: &str) {
    for agent in AGENTS {
        let interaction = json!({ "agent_id": agent, "user_id": user, "user_input": "thanks" });
        let answer = api.post("/log", &interaction).await;
        assert_eq!(answer.status(), 200);
        let logged: Value = answer.json().await.expect("JSON");
        let path = format!("/logs/{agent}/{user}/{}/feedback", logged["logged"]["log_id"].as_str().expect("an id"));
        assert_eq!(api.post(&path, &json!({ "signal": "neutral" })).await.status(), 200);
        let stressed = json!({ "agent_id": agent, "user_id": user, "user_input": "no", "detected_signal": "stressed" });
        assert_eq!(api.post("/logs", &json!(vec![stressed; 3])).await.status(), 207);
    }
    let event = |id: &str, second: u32| {
        json!({
            "user_id": user, "agent_id": "agent 1", "signal_type": "x", "event_id": id,
            "timestamp": format!("2026-01-01T00:00:{second:02}Z"),
        })
    };
    let mut marked = event("marked", 20);
    marked["sent_at"] = json!("2026-01-01T00:00:20Z");
    let mut large = event("large", 40);
    large["payload"] = json!({ "text": "x".repeat(5_000) });
    let mut events = vec![event("calm", 30), marked, large];
    events.extend((0..16).map(|n| event(&format!("flood {n:02}"), 0)));
    assert_eq!(api.post("/events", &json!(events)).await.status(), 207);
}

/// Returns the data of `user` from every endpoint.
async fn shown(api: &Api, user: &str) -> Vec<Value> {
    let mut paths =
        vec![format!("/events/{user}"), format!("/anomalies/{user}"), format!("/anomalies/{user}?group=episode")];
    for agent in AGENTS {
        paths.extend([format!("/logs/{agent}/{user}"), format!("/summary/{agent}/{user}")]);
    }
    let mut shown = Vec::new();
    for path in paths {
        shown.push(api.get(&path).await.json().await.expect("JSON"));
    }
    shown
}

async fn is_gone(api: &Api, user: &str) {
    for value in shown(api, user).await {
        assert!(value.as_array().is_some_and(Vec::is_empty) || value == json!({}), "{value}");
    }
    for agent in AGENTS {
        assert_eq!(api.get(&format!("/visualize/{agent}/{user}")).await.status(), 404);
        let users: Vec<String> = api.get(&format!("/agents/{agent}/users")).await.json().await.expect("JSON");
        assert!(!users.iter().any(|name| name == user), "{users:?}");
        // The index follows its table with a short delay.
        eventually("the feedback is gone", async || {
            let page: Value = api.get(&format!("/agents/{agent}/feedback")).await.json().await.expect("JSON");
            let feedback = page["feedback"].as_array().expect("a list").clone();
            (!feedback.iter().any(|feedback| feedback["user_id"] == user)).then_some(())
        })
        .await;
    }
}

async fn erase(data: &Path, user: &str) -> Command {
    let mut command = signals_command().await;
    command.args(["erase", "--user", user, "--data"]).arg(data);
    command
}

/// Returns the bucket of the logs.
fn bucket(data: &Path) -> LogBucket {
    let running = DataFolder::at(data).running().expect("a running stack");
    let target = StackTarget::local(&running.environment).expect("a stack");
    LogBucket::new(target.aws.s3(), target.name(LOG_BUCKET).expect("a bucket"))
}

/// Returns the number of states of alerts.
async fn alert_states(data: &Path) -> usize {
    let running = DataFolder::at(data).running().expect("a running stack");
    let target = StackTarget::local(&running.environment).expect("a stack");
    let table = target.name(EPISODES_TABLE).expect("a table");
    let pages = target.aws.dynamodb().scan().table_name(table).into_paginator().items().send();
    pages.collect::<Result<Vec<_>, _>>().await.expect("a scan").len()
}

/// Returns the key at which compaction stopped.
async fn progress(data: &Path) -> String {
    let progress = bucket(data).get("logs/_compaction").await.expect("an answer").expect("an object");
    String::from_utf8(progress).expect("UTF-8")
}

/// Runs compaction until a run has stopped in the log of `user`.
async fn stop_compaction_at(data: &Path, user: &str) {
    let user = UserId::try_from(user).expect("a user");
    for _log in 0..USERS.len() * AGENTS.len() {
        let deadline = Deadline::after(Duration::ZERO);
        compaction::run(&bucket(data), Timestamp::now(), Ages::default(), deadline).await.expect("a run");
        if segment::is_of_user(&progress(data).await, &user) {
            return;
        }
    }
    panic!("compaction never stopped at {user}");
}

fn said(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", error_of(output));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn erase_deletes_all_of_one_user_and_nothing_of_others() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let api = up.api();
    for user in USERS {
        write(&api, user).await;
    }
    // Waits until the episode state is written too.
    eventually("all is followed", async || {
        let counted = metrics(data.path());
        let count = |severity: &str| counted.get(&format!("Anomalies {severity}")).copied().unwrap_or_default();
        (count("warning") + count("critical") >= 18).then_some(())
    })
    .await;
    // Each user has one burst, and one alert of moods with each agent.
    eventually("all alerts are stored", async || (alert_states(data.path()).await == 9).then_some(())).await;
    let [user, others @ ..] = USERS;
    stop_compaction_at(data.path(), user).await;
    let before = [shown(&api, user).await, shown(&api, others[0]).await, shown(&api, others[1]).await];

    let refused = erase(data.path(), user).await.stdin(Stdio::null()).output().expect("signals");
    assert!(error_of(&refused).contains("nothing was erased"), "{}", error_of(&refused));
    assert_eq!(shown(&api, user).await, before[0]);

    let told = said(&erase(data.path(), user).await.arg("--yes").output().expect("signals"));
    let expected = [
        "logs: 4 objects, 1 position of the compaction",
        "feedback: 2 records",
        "events: 19 events, 1 idempotency records, 1 payloads",
        "anomalies: 6 anomalies",
        "episodes: 3 records",
    ];
    // The entries of a user can be in two sets of five minutes.
    assert!(told[1].starts_with("activity: ") && told[1].ends_with(" items"), "{told:?}");
    let others_told: Vec<_> = [&told[..1], &told[2..6]].concat();
    assert_eq!(others_told, expected);
    assert!(
        told[6..].iter().any(|line| line.contains("queue")) && told[6..].iter().any(|line| line.contains("backups"))
    );
    is_gone(&api, user).await;
    assert_eq!(progress(data.path()).await, "logs/agent_id=agent%201/user_id=");
    let again = said(&erase(data.path(), user).await.arg("--yes").output().expect("signals"));
    assert!(again[..6].iter().all(|line| line.ends_with("nothing was stored")), "{again:?}");
    for (other, before) in others.into_iter().zip(&before[1..]) {
        assert_eq!(shown(&api, other).await, *before);
    }

    // An interrupted run can be resumed.
    let mut doomed = erase(data.path(), others[0]).await.arg("--yes").stdout(Stdio::piped()).spawn().expect("signals");
    let mut line = String::new();
    BufReader::new(doomed.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
    doomed.kill().expect("it is killed");
    doomed.wait().expect("its end");
    assert_eq!(line, "logs: 4 objects\n");
    said(&erase(data.path(), others[0]).await.arg("--yes").output().expect("signals"));
    is_gone(&api, others[0]).await;
    assert_eq!(shown(&api, others[1]).await, before[2]);
    up.end();
}
