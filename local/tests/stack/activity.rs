//! The read model over all users, as the running functions keep it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cli::data_folder::DataFolder;
use cli::target::StackTarget;
use serde_json::{Value, json};

use crate::counted::{counted, items};
use crate::support::{Api, Up, data, error_of, eventually, signals_command, stored_lines, turn};

const AGENTS: [&str; 2] = ["agent 1", "agent é"];
const USERS: [&str; 3] = ["ann", "bob", "user 日"];

async fn post(api: &Api, path: &str, body: &Value) {
    let status = api.post(path, body).await.status();
    assert!(status.is_success(), "{status}");
}

async fn signals(arguments: &[&str], data: &Path) -> String {
    let mut command = signals_command().await;
    let output = command.args(arguments).arg("--data").arg(data).output().expect("signals");
    assert!(output.status.success(), "{}", error_of(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn activity_equals_what_was_recorded() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let running = DataFolder::at(data.path()).running().expect("a running stack");
    let (api, target) = (up.api(), StackTarget::local(&running.environment).expect("a stack"));
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let texts = [("thanks", "p"), ("I am so angry", "s"), ("ok", "n")];
    for (number, user) in USERS.into_iter().enumerate() {
        for agent in AGENTS {
            let entry = |text: &str| json!({ "agent_id": agent, "user_id": user, "user_input": text });
            for (text, signal) in &texts[..=number] {
                post(&api, "/log", &entry(text)).await;
                *expected.entry(format!("{agent} {user} {signal}")).or_default() += 1;
            }
            let batch: Vec<_> = texts.iter().map(|(text, _)| entry(text)).collect();
            post(&api, "/logs", &json!(batch)).await;
            texts.iter().for_each(|(_, signal)| *expected.entry(format!("{agent} {user} {signal}")).or_default() += 1);
        }
    }
    eventually("all is counted", async || (counted(&target).await == expected).then_some(())).await;

    // A rebuild from the logs gives the same items, though the versions differ.
    let before = items(&target).await;
    let objects: BTreeSet<_> = stored_lines(data.path()).await.into_iter().map(|(key, _)| key).collect();
    let told = signals(&["rebuild-activity"], data.path()).await;
    assert!(told.starts_with(&format!("{} objects are counted", objects.len())), "{told}");
    assert_eq!(items(&target).await, before);

    // An erased user has no share, and the others keep theirs.
    let told = signals(&["erase", "--yes", "--user", USERS[2]], data.path()).await;
    assert!(told.contains("activity: "), "{told}");
    expected.retain(|key, _| !key.contains(USERS[2]));
    assert_eq!(counted(&target).await, expected);
    let left: Vec<_> = items(&target).await.into_iter().filter(|(key, _)| key.contains(USERS[2])).collect();
    assert!(left.iter().all(|(_, item)| item.contains("erased_until") && !item.contains("newest")), "{left:?}");
    signals(&["rebuild-activity"], data.path()).await;
    assert_eq!(counted(&target).await, expected);
    up.end();
}
