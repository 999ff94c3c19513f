//! Importing files: every row is stored once, whatever happens in between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Api, Up, data, error_of, eventually, signals, signals_command, stored_lines, turn};

const HOUR: usize = 3_600;

/// Returns rows of a foreign form: `count` messages of each of `users`, `per_hour` in an hour, one user after the other.
fn rows(users: &[&str], count: usize, per_hour: usize) -> Vec<Value> {
    let row = |user: &str, n: usize| {
        let seconds = (n / per_hour) * HOUR + n % per_hour;
        json!({
            "customer": { "id": user }, "bot": format!("bot {}", n / per_hour % 2), "message": format!("message {n}"),
            "sent": 1_767_225_600 + seconds, "llm": { "model": "m-1" }, "internal": n,
        })
    };
    users.iter().flat_map(|user| (0..count).map(move |n| row(user, n))).collect()
}

fn write(folder: &Path, name: &str, rows: &[Value]) -> PathBuf {
    let path = folder.join(name);
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(&path, lines).expect("a file");
    path
}

/// Returns the arguments that import the foreign rows in `file`.
fn arguments<'a>(data: &'a Path, file: &'a Path) -> Vec<&'a str> {
    let text = |path: &'a Path| path.to_str().expect("text");
    let columns = ["--agent-id", "bot", "--user-id", "customer.id", "--user-input", "message", "--timestamp", "sent"];
    let more = ["--metadata", "model=llm.model", "--set", "session_id=imported"];
    [&["import", text(file), "--data", text(data)], &columns[..], &more[..]].concat()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the number before `what` in the output of an import.
fn count(said: &str, what: &str) -> usize {
    let counts = said.lines().next().unwrap_or_default().split(", ");
    let found = counts.filter_map(|part| part.split_once(' ')).find(|(_, name)| *name == what);
    found.map_or(0, |(count, _)| count.parse().expect("a number"))
}

/// Waits until the objects on S3 have `expected` lines, which a busy stack may store later, and returns the number of lines
/// of each entry.
async fn entries(data: &Path, expected: usize) -> BTreeMap<String, usize> {
    eventually("all entries are on S3", async || {
        let mut entries = BTreeMap::new();
        for (_, line) in stored_lines(data).await {
            let line: Value = serde_json::from_str(&line).expect("JSON");
            *entries.entry(line["log_id"].as_str().expect("an id").to_owned()).or_default() += 1;
        }
        (entries.len() >= expected).then_some(entries)
    })
    .await
}

/// Returns the number of entries of `users` that the API counts.
async fn counted(api: &Api, users: &[&str]) -> u64 {
    let mut counted = 0;
    for agent in ["bot%200", "bot%201"] {
        for user in users {
            let summary: BTreeMap<String, u64> =
                api.get(&format!("/summary/{agent}/{user}")).await.json().await.expect("JSON");
            counted += summary.values().sum::<u64>();
        }
    }
    counted
}

#[tokio::test]
async fn import_stores_each_row_once_and_repeating_changes_nothing() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let users = ["maria", "paul"];
    let mut all = rows(&users, 60, 20);
    // Two interactions, not one.
    all.push(all[0].clone());
    let file = write(data.path(), "chats.jsonl", &all);
    let output = signals(&arguments(data.path(), &file)).await;
    let text = said(&output);
    assert!(output.status.success(), "{text}{}", error_of(&output));
    assert_eq!(count(&text, "stored") + count(&text, "queued"), 121, "{text}");
    assert!(text.contains("not imported: internal"), "{text}");

    let before = entries(data.path(), 121).await;
    assert_eq!((before.len(), before.values().sum::<usize>()), (121, 121));
    assert_eq!(counted(&up.api(), &users).await, 121);
    let page: Vec<Value> = up.api().get("/logs/bot%201/paul?order=oldest&limit=1").await.json().await.expect("JSON");
    let shown = |name: &str| page[0][name].clone();
    assert_eq!(shown("timestamp"), "2026-01-01T01:00:00.000Z");
    assert_eq!((shown("user_input"), shown("session_id")), (json!("message 20"), json!("imported")));
    assert_eq!(shown("metadata"), json!({ "model": "m-1" }));

    // The same rows as CSV have the same ids: ids follow from the content.
    let csv: String = all
        .iter()
        .map(|row| {
            format!(
                "{},{},{},{},{}\n",
                row["bot"], row["customer"]["id"], row["message"], row["sent"], row["llm"]["model"]
            )
        })
        .collect();
    std::fs::write(data.path().join("chats.csv"), format!("bot,customer.id,message,sent,llm.model\n{csv}"))
        .expect("a file");
    for again in [file, data.path().join("chats.csv")] {
        let output = signals(&arguments(data.path(), &again)).await;
        assert!(said(&output).starts_with("0 stored, 121 stored before\n"), "{}{}", said(&output), error_of(&output));
        assert_eq!(entries(data.path(), 121).await, before);
    }
    up.end();
}

#[tokio::test]
async fn killed_import_continues_without_loss_or_duplicates() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let total = 5_000;
    let mut stored = 0;
    // The import may end before it is killed.
    for attempt in 0.. {
        let user = format!("user{attempt}");
        let file = write(data.path(), "chats.jsonl", &rows(&[&user], total, 40));
        let arguments = [&arguments(data.path(), &file)[..], &["--parallel", "1"]].concat();
        let mut command = signals_command().await;
        let mut doomed = command.args(&arguments).stdout(Stdio::null()).spawn().expect("signals");
        let begins = async || {
            let users: Vec<String> = up.api().get("/agents/bot%200/users").await.json().await.expect("JSON");
            users.contains(&user).then_some(())
        };
        eventually("the import begins", begins).await;
        doomed.kill().expect("it is killed, or has ended");
        let was_killed = !doomed.wait().expect("its end").success();
        stored += total;

        let output = signals(&arguments).await;
        let text = said(&output);
        assert!(output.status.success(), "{text}{}", error_of(&output));
        let outcomes = ["stored", "stored before", "queued"].map(|what| count(&text, what));
        assert_eq!(outcomes.iter().sum::<usize>(), total, "{text}");
        let entries = entries(data.path(), stored).await;
        assert_eq!((entries.len(), entries.values().sum::<usize>()), (stored, stored));
        if was_killed {
            assert!(outcomes[0] > 0, "{text}");
            break;
        }
    }
    up.end();
}

#[tokio::test]
async fn import_sends_nothing_if_rows_are_invalid_and_not_skipped() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let mut all = rows(&["maria"], 3, 3);
    all[1]["sent"] = json!("yesterday");
    let file = write(data.path(), "chats.jsonl", &all);
    let arguments = arguments(data.path(), &file);
    let output = signals(&arguments).await;
    assert_eq!((output.status.code(), said(&output)), (Some(1), String::new()));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("line 2: timestamp: "), "{error}");
    assert!(error_of(&output).contains("1 of 3 rows are invalid, so nothing was sent"), "{error}");
    assert!(stored_lines(data.path()).await.is_empty());

    let output = signals(&[&arguments[..], &["--skip-invalid"]].concat()).await;
    assert!(output.status.success(), "{}", error_of(&output));
    assert_eq!(count(&said(&output), "invalid"), 1, "{}", said(&output));
    assert_eq!(entries(data.path(), 2).await.len(), 2);
    up.end();
}

#[tokio::test]
async fn import_reports_conflicts_and_rows_that_the_key_may_not_write() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let row = |id: &str, text: &str| json!({ "agent_id": "a", "user_id": "u", "user_input": text, "timestamp": "2026-01-01T12:00:00Z", "log_id": id });
    let path = data.path().to_str().expect("text");
    let file = write(data.path(), "one.jsonl", &[row("m-1", "one"), row("m-2", "two")]);
    let output = signals(&["import", file.to_str().expect("text"), "--data", path]).await;
    assert!(output.status.success(), "{}", error_of(&output));
    entries(data.path(), 2).await;
    let file = write(data.path(), "two.jsonl", &[row("m-1", "one"), row("m-2", "other")]);
    let output = signals(&["import", file.to_str().expect("text"), "--data", path]).await;
    let text = said(&output);
    assert_eq!(
        (output.status.code(), count(&text, "conflicts"), count(&text, "stored before")),
        (Some(1), 1, 1),
        "{text}"
    );
    assert!(text.lines().any(|line| line.starts_with("line 2: conflict: ")), "{text}");

    let create = ["key", "create", "--name", "b", "--scopes", "logs:write", "--agents", "b", "--data", path];
    let key = said(&signals(&create).await);
    std::fs::write(data.path().join("api-key"), key).expect("the key");
    let output = signals(&["import", file.to_str().expect("text"), "--data", path]).await;
    let text = said(&output);
    assert_eq!((output.status.code(), count(&text, "refused")), (Some(1), 2), "{text}");
    assert!(text.lines().any(|line| line == "line 1: forbidden: Forbidden"), "{text}");
    up.end();
}

/// Takes minutes in a debug build. `IMPORT_ROWS` sets the number of rows.
#[tokio::test]
#[ignore = "measures the speed of a large import"]
async fn large_import_is_complete() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let total: usize = std::env::var("IMPORT_ROWS").map_or(43_410, |rows| rows.parse().expect("a number"));
    let row = |n: usize| {
        json!({
            "agent_id": format!("agent {}", n % 4), "user_id": format!("user {}", n % 300),
            "user_input": format!("Thanks, that was great, but number {n} is missing"),
            // Thirty days, in an order other than that of time.
            "timestamp": 1_767_225_600 + (n * 7_919) % (30 * 24 * HOUR),
        })
    };
    let file = write(data.path(), "rows.jsonl", &(0..total).map(row).collect::<Vec<_>>());
    let output =
        signals(&["import", file.to_str().expect("text"), "--data", data.path().to_str().expect("text")]).await;
    assert!(output.status.success(), "{}{}", said(&output), error_of(&output));
    println!("{}", said(&output));
    let entries = entries(data.path(), total).await;
    assert_eq!((entries.len(), entries.values().sum::<usize>()), (total, total));
    up.end();
}
