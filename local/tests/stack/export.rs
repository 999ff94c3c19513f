//! Exporting interactions, and importing the result.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::{Up, data, error_of, eventually, signals, signals_command, stored_lines, turn};

/// Interactions that are hard to write to a file.
fn interactions() -> Vec<Value> {
    let texts =
        ["=1+1", "'=1+1", "'", "", "a, \"b\"\r\nc\n", "Где мой заказ?", "\t-x", "日本 \u{1F600}", "thanks", "x;=y"];
    let mut all: Vec<_> = texts.iter().map(|text| json!({ "user_id": "maria", "user_input": text })).collect();
    all.extend([
        json!({ "user_id": "paul 日", "user_input": "thanks", "detected_signal": "neutral" }),
        json!({ "user_id": "paul 日", "user_input": "hi", "agent_output": "", "session_id": "" }),
        json!({ "user_id": "paul 日", "user_input": "hi", "agent_output": "'", "session_id": "-1", "response_type": "'" }),
        json!({
            "user_id": "paul 日", "user_input": "hi", "agent_output": "=x", "coherence_score_impact": -0.25,
            "escalation_flag": true, "metadata": { "a": "=1", "b": 1.5, "c": false, "$serde_json::private::RawValue": "[]" },
        }),
        json!({ "user_id": "paul 日", "user_input": "hi", "metadata": {} }),
    ]);
    for (index, interaction) in all.iter_mut().enumerate() {
        interaction["agent_id"] = json!("shop +1");
        interaction["timestamp"] = json!(1_767_225_600 + 600 * index);
    }
    all
}

async fn export(data: &Path, more: &[&str]) -> Output {
    signals(&[&["export", "--agent", "shop +1", "--data", data.to_str().expect("text")], more].concat()).await
}

fn written(output: &Output) -> String {
    assert!(output.status.success(), "{}", error_of(output));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

async fn sorted_lines(data: &Path) -> Vec<(String, String)> {
    let mut lines = stored_lines(data).await;
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn exported_interactions_can_be_imported_without_a_change() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let all = interactions();
    for interaction in &all {
        let status = up.api().post("/log", interaction).await.status();
        assert!(status.is_success(), "{status} {interaction}");
    }
    let mut stored = eventually("all entries are on S3", async || {
        let lines = sorted_lines(data.path()).await;
        (lines.len() == all.len()).then_some(lines)
    })
    .await;

    let exported = written(&export(data.path(), &[]).await);
    let text = |line: &str| {
        // A metadata key that has a meaning for serde_json's values.
        let entry: BTreeMap<String, &RawValue> = serde_json::from_str(line).expect("JSON");
        serde_json::from_str::<String>(entry["user_input"].get()).expect("a text")
    };
    let texts: Vec<_> = exported.lines().map(text).collect();
    let sent: Vec<_> = all.iter().map(|interaction| interaction["user_input"].as_str().expect("a text")).collect();
    assert_eq!(texts, sent);
    stored.sort_by_key(|(_, line)| line.clone());
    let mut lines: Vec<_> = exported.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, stored.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>());

    let mut before = None;
    for name in ["all.jsonl", "all.csv"] {
        let file = data.path().join(name);
        let path = file.to_str().expect("text");
        let output = export(data.path(), &["--output", path]).await;
        assert_eq!(written(&output), "");
        assert!(String::from_utf8_lossy(&output.stderr).contains("exported 15 interactions of 2 users"));
        assert_eq!(std::fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);

        let output = signals(&["import", path, "--data", data.path().to_str().expect("text")]).await;
        let said = written(&output);
        assert!(!said.contains("conflict") && !said.contains("not imported"), "{name}: {said}");
        assert_eq!(written(&export(data.path(), &[]).await), exported, "{name}");
        // `POST /log` stored each entry alone, and the first import stores the entries of an hour together. The second
        // import finds these objects.
        let stored = eventually("nothing is queued", async || {
            let lines = sorted_lines(data.path()).await;
            let ids: BTreeSet<_> = lines.iter().filter(|(key, _)| key.contains(",")).collect();
            (ids.len() >= 15).then_some(lines)
        })
        .await;
        if let Some(before) = before.replace(stored.clone()) {
            assert!(said.starts_with("0 stored, 15 stored before\n"), "{said}");
            assert_eq!(stored, before);
        }
    }
    let csv = std::fs::read_to_string(data.path().join("all.csv")).expect("the file");
    assert!(csv.starts_with("log_id,timestamp,agent_id,user_id,user_input,agent_output,"), "{csv}");
    assert!(csv.contains(",'=1+1,") && !csv.contains(",=1+1"), "{csv}");
    up.end();
}

#[tokio::test]
async fn export_selects_a_user_and_a_range_and_reads_all_pages() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let row = |n: usize| {
        let text = format!("message {n}");
        json!({ "agent_id": "shop +1", "user_id": format!("user {}", n % 2), "user_input": text, "timestamp": 1_767_225_600 + n })
    };
    let file = data.path().join("rows.jsonl");
    let rows: String = (0..460).map(|n| format!("{}\n", row(n))).collect();
    std::fs::write(&file, rows).expect("a file");
    let path = data.path().to_str().expect("text");
    let imported = signals(&["import", file.to_str().expect("text"), "--data", path]).await;
    assert!(imported.status.success(), "{}", error_of(&imported));
    eventually("all entries are on S3", async || (stored_lines(data.path()).await.len() == 460).then_some(())).await;

    let numbers = |text: &str| -> Vec<usize> {
        let number = |line: &str| {
            let entry: Value = serde_json::from_str(line).expect("JSON");
            let text = entry["user_input"].as_str().expect("a text");
            text.strip_prefix("message ").expect("a message").parse().expect("a number")
        };
        text.lines().map(number).collect()
    };
    let all = numbers(&written(&export(data.path(), &["--parallel", "2"]).await));
    let expected: Vec<_> = (0..460).step_by(2).chain((1..460).step_by(2)).collect();
    assert_eq!(all, expected);
    let range = ["--user", "user 1", "--since", "2026-01-01T00:00:01Z", "--until", "2026-01-01T00:00:06.5Z"];
    assert_eq!(numbers(&written(&export(data.path(), &range).await)), [1, 3, 5]);
    let none = export(data.path(), &["--user", "nobody", "--format", "csv"]).await;
    assert_eq!(written(&none).lines().count(), 1);

    // The reader of the pipe has gone.
    let mut command = signals_command().await;
    let command = command.args(["export", "--agent", "shop +1", "--data", path]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("signals");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    up.end();
}
