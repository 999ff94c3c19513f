//! The demo stores its story once per day, and says where to look.

use std::path::Path;

use serde_json::Value;
use shared::time::Timestamp;

use crate::support::{Api, Up, data, signals, turn};

const AGENTS: [&str; 3] = ["support", "concierge", "shop"];
/// Users with bursts of events, and with at least one anomaly.
const BURSTS: [&str; 3] = ["tom", "oscar", "noor"];

async fn demo(data: &Path, more: &[&str]) -> String {
    let output = signals(&[&["demo", "--data", data.to_str().expect("text")], more].concat()).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

async fn json(api: &Api, path: &str) -> Value {
    let response = api.get(path).await;
    let status = response.status();
    let body: Value = response.json().await.expect("JSON");
    assert!(status.is_success(), "{path}: {status} {body}");
    body
}

/// Returns the counts of each agent over three weeks, and the anomalies of users.
async fn stored(api: &Api) -> Vec<Value> {
    let since = Timestamp::now().offset(-21 * 86_400_000_000).to_rfc3339_millis();
    let mut stored = Vec::new();
    for agent in AGENTS {
        stored.push(json(api, &format!("/agents/{agent}/summary?since={since}")).await["counts"].clone());
    }
    for user in BURSTS {
        stored.push(json(api, &format!("/anomalies/{user}?limit=100")).await);
    }
    stored
}

/// Returns the numbers in the line of the report about `items`: sent, stored, and stored before.
fn reported(said: &str, items: &str) -> [u64; 3] {
    let line = said.lines().find(|line| line.contains(&format!(" {items}: "))).expect("a line");
    let numbers: Vec<_> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [sent, stored, before] = numbers[..] else { panic!("{line}") };
    [sent, stored, before]
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
        let before = stored(&api).await;
        let second = demo(data.path(), &[]).await;
        if today() == day {
            for items in ["interactions", "events"] {
                let [sent, _, _] = reported(&first, items);
                assert_eq!(reported(&second, items), [sent, 0, sent], "{second}");
            }
            assert_eq!(stored(&api).await, before);
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
    let [sent, stored_now, _] = reported(&said, "interactions");
    assert_eq!(sent, stored_now, "{said}");
    assert_eq!(
        said.lines().filter(|line| line.contains("http://127.0.0.1") && line.contains("#code=")).count(),
        3,
        "{said}"
    );

    // The table has the counts of all users.
    let since = Timestamp::now().offset(-21 * 86_400_000_000).to_rfc3339_millis();
    let mut counted = 0;
    for agent in AGENTS {
        let counts = json(&api, &format!("/agents/{agent}/summary?since={since}")).await["counts"].clone();
        let row = said.lines().find(|line| line.split_whitespace().next() == Some(agent)).expect("a row");
        for (signal, count) in counts.as_object().expect("counts") {
            assert!(row.split_whitespace().any(|cell| cell == *count), "{signal}: {row}");
            counted += count.as_u64().expect("a number");
        }
    }
    assert_eq!(counted, sent);

    // Each command is answered. They begin with the paths of the API.
    let paths: Vec<_> = said.lines().filter_map(|line| line.split_once("/api")?.1.strip_suffix('"')).collect();
    assert_eq!(paths.len(), 3, "{said}");
    let newest = json(&api, paths[0]).await;
    assert_eq!(newest["users"][0]["user_id"], "tom", "{newest}");
    let messages = json(&api, paths[1]).await;
    let hour: Vec<_> =
        messages.as_array().expect("entries").iter().map(|one| one["metadata"]["version"].clone()).collect();
    assert!(hour.len() > 10 && hour.iter().filter(|version| *version == "2.4").count() * 2 > hour.len(), "{messages}");
    // Under stress, the ninth event in five seconds is anomalous, and the thirteenth exceeds the threshold by half.
    let episodes = json(&api, paths[2]).await;
    assert_eq!(episodes[0]["anomalies"], 7, "{episodes}");
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
