//! The demo stores its story once per day, and says where to look.

use std::collections::BTreeMap;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use shared::time::Timestamp;

use crate::support::{Api, Up, data, eventually, signals, turn};

const AGENTS: [&str; 3] = ["support", "concierge", "shop"];

async fn demo(data: &Path, more: &[&str]) -> String {
    let output = signals(&[&["demo", "--data", data.to_str().expect("text")], more].concat()).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Gets `path` as JSON. A busy stack may need several attempts.
async fn json(api: &Api, path: &str) -> Value {
    eventually("the stack can read", async || {
        let response = api.get(path).await;
        let status = response.status();
        let body: Value = response.json().await.expect("JSON");
        assert!(status.is_success() || status.is_server_error(), "{path}: {status} {body}");
        status.is_success().then_some(body)
    })
    .await
}

/// Returns the counts of each agent, from the stored interactions: counts over all users are late under load.
async fn counts(api: &Api) -> Vec<BTreeMap<String, u64>> {
    let mut counts = Vec::new();
    for agent in AGENTS {
        let mut of_agent = BTreeMap::new();
        let users = json(api, &format!("/agents/{agent}/users?limit=100")).await;
        for user in users.as_array().expect("users") {
            let user = utf8_percent_encode(user.as_str().expect("text"), NON_ALPHANUMERIC);
            let summary = json(api, &format!("/summary/{agent}/{user}")).await;
            for (signal, count) in summary.as_object().expect("counts") {
                *of_agent.entry(signal.clone()).or_default() += count.as_u64().expect("a number");
            }
        }
        counts.push(of_agent);
    }
    counts
}

fn total(counts: &[BTreeMap<String, u64>]) -> u64 {
    counts.iter().flat_map(BTreeMap::values).sum()
}

/// Waits until `sent` interactions are stored and returns their counts: under load, some are stored later.
async fn stored(api: &Api, sent: u64) -> Vec<BTreeMap<String, u64>> {
    eventually("all interactions are stored", async || {
        let counts = counts(api).await;
        (total(&counts) >= sent).then_some(counts)
    })
    .await
}

/// Returns the number before `word` in the line of the report about `items`, or 0.
fn reported(said: &str, items: &str, word: &str) -> u64 {
    let line = said.lines().find(|line| line.contains(&format!(" {items}: "))).expect("a line");
    let count = line.split([',', ':']).find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok());
    count.unwrap_or(0)
}

#[tokio::test]
async fn demo_run_twice_on_one_day_stores_its_story_once() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let api = up.api();
    let today = || Timestamp::now().to_rfc3339_millis()[.."2026-01-01".len()].to_owned();
    // The day may end between two runs.
    loop {
        let day = today();
        let first = demo(data.path(), &[]).await;
        let sent = reported(&first, "interactions", "interactions");
        let before = stored(&api, sent).await;
        let repeated = async || {
            let second = demo(data.path(), &[]).await;
            let is_stored = ["interactions", "events"].into_iter().all(|items| {
                reported(&second, items, "stored before") == reported(&first, items, items)
                    && reported(&second, items, "stored") == 0
            });
            (is_stored || today() != day).then_some(())
        };
        eventually("a further run finds everything stored", repeated).await;
        if today() == day {
            assert_eq!((total(&before), counts(&api).await), (sent, before));
            break;
        }
    }
    up.end();
}

#[tokio::test]
async fn demo_data_answers_the_questions_that_it_prints() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let api = up.api();
    let said = demo(data.path(), &[]).await;
    let sent = reported(&said, "interactions", "interactions");
    let links = said.lines().filter(|line| line.contains("http://127.0.0.1") && line.contains("#code="));
    assert_eq!(links.count(), 3, "{said}");

    // The table has the counts of all users.
    let counts = stored(&api, sent).await;
    assert_eq!(total(&counts), sent);
    for (agent, of_agent) in AGENTS.into_iter().zip(counts) {
        let row = said.lines().find(|line| line.split_whitespace().next() == Some(agent)).expect("a row");
        let mut cells: Vec<_> = row.split_whitespace().filter_map(|cell| cell.parse::<u64>().ok()).collect();
        let mut counts: Vec<_> = of_agent.values().copied().collect();
        cells.sort_unstable();
        counts.sort_unstable();
        assert!(cells == counts || said.contains("are not counted yet"), "{of_agent:?}: {row}");
    }

    // Each command is answered.
    let paths: Vec<_> = said.lines().filter_map(|line| line.rsplit_once("/api/")?.1.strip_suffix('"')).collect();
    assert_eq!(paths.len(), 3, "{said}");
    let newest = json(&api, &format!("/{}", paths[0])).await;
    assert_eq!((&newest[0]["user_id"], &newest[0]["last_signal"]), (&"tom".into(), &"stressed".into()), "{newest}");
    let messages = json(&api, &format!("/{}", paths[1])).await;
    let versions: Vec<_> =
        messages.as_array().expect("entries").iter().map(|one| &one["metadata"]["version"]).collect();
    let of_release = versions.iter().filter(|version| **version == "2.4").count();
    assert!(versions.len() >= 10 && of_release * 2 > versions.len(), "{messages}");
    // Under stress, the ninth event in five seconds is anomalous, and the thirteenth exceeds the threshold by half.
    let found = async || {
        let episodes = json(&api, &format!("/{}", paths[2])).await;
        (episodes[0]["anomalies"] == 7).then_some(())
    };
    eventually("the burst has seven anomalies", found).await;
    up.end();
}

#[tokio::test]
async fn demo_sends_lines_of_a_file_and_reports_refusals() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let file = data.path().join("some chat.tsv");
    let too_long = "x".repeat(70_000);
    std::fs::write(&file, format!("thank you\t1\n\nI am confused\t2\n{too_long}\nthe rest\n")).expect("a file");
    let (path, file) = (data.path().to_str().expect("text"), file.to_str().expect("text"));
    for stored in ["3 stored, 0 stored before", "0 stored, 3 stored before"] {
        let output = signals(&["demo", "--data", path, "--file", file]).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("4 interactions: {stored}, 1 refused")), "{said}");
        assert!(said.contains("line 4: invalid: "), "{said}");
        assert!(said.contains("1 blank lines were skipped"), "{said}");
        assert!(said.contains("&agent=demo&user=some"), "{said}");
        let summary: Value = up.api().get("/summary/demo/some%20chat").await.json().await.expect("JSON");
        assert_eq!(summary, serde_json::json!({ "neutral": 1, "positive": 1, "uncertain": 1 }));
    }
    up.end();
}
