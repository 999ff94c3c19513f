//! The demo reports the outcomes of its calls.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use shared::time::Timestamp;

use crate::support::{Api, Up, data, eventually, signals, turn};

/// The number of interactions in the built-in set.
const INTERACTIONS: u64 = 78;
/// The users of the built-in set, encoded for a path, and the number of their events.
const USERS: [(&str, usize); 3] = [("maya", 6), ("tom", 16), ("%E3%81%95%E3%81%8F%E3%82%89", 5)];

type Counts = BTreeMap<String, u64>;

/// Returns the number of interactions by signal in the conversations of `users` with `agents`.
async fn counted(api: &Api, agents: &[&str], users: &[&str]) -> Counts {
    let mut counted = Counts::new();
    for agent in agents {
        for user in users {
            let summary: Counts = api.get(&format!("/summary/{agent}/{user}")).await.json().await.expect("JSON");
            for (signal, count) in summary {
                *counted.entry(signal).or_default() += count;
            }
        }
    }
    counted
}

async fn counted_set(api: &Api) -> Counts {
    counted(api, &["concierge", "support"], &USERS.map(|(user, _)| user)).await
}

/// Returns the interactions of the built-in set and of the file `lines.txt`, and the events of each user.
async fn stored(api: &Api) -> (Counts, Counts, Vec<Vec<Value>>) {
    let mut events = Vec::new();
    for (user, _) in USERS {
        events.push(api.get(&format!("/events/{user}?limit=100")).await.json().await.expect("JSON"));
    }
    (counted_set(api).await, counted(api, &["demo"], &["lines"]).await, events)
}

async fn demo(data: &Path, more: &[&str]) -> String {
    let output = signals(&[&["demo", "--data", data.to_str().expect("text")], more].concat()).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test]
async fn demo_run_twice_on_one_day_stores_its_data_once() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let api = up.api();
    let today = || Timestamp::now().to_rfc3339_millis()[.."2026-01-01".len()].to_owned();
    let file = data.path().join("lines.txt");
    std::fs::write(&file, "the same\nthe same\n").expect("a file");
    let more = ["--file", file.to_str().expect("text")];
    // The day may end between two runs.
    let before = loop {
        let day = today();
        demo(data.path(), &[]).await;
        demo(data.path(), &more).await;
        // Under load, some data is stored later.
        let all_is_stored = async || {
            let (interactions, lines, events) = stored(&api).await;
            let is_complete = interactions.values().sum::<u64>() >= INTERACTIONS
                && lines.values().sum::<u64>() >= 2
                && events.iter().zip(USERS).all(|(events, (_, count))| events.len() >= count);
            is_complete.then_some((interactions, lines, events))
        };
        let before = eventually("all data is stored", all_is_stored).await;
        let said = demo(data.path(), &[]).await;
        demo(data.path(), &more).await;
        if today() == day {
            assert!(said.contains("105 of these were stored before and are unchanged"), "{said}");
            break before;
        }
    };
    assert_eq!(stored(&api).await, before);
    up.end();
}

#[tokio::test]
async fn demo_stores_its_set_as_the_summaries_count_it() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let said = demo(data.path(), &[]).await;
    assert!(said.contains("interactions sent") && said.contains(" 0 refused"), "{said}");
    // The button is pressed 15 times. Under stress, the ninth press is anomalous, and the thirteenth exceeds the
    // threshold by half.
    assert!(said.contains("7 anomalies: 3 critical, 4 warning"), "{said}");
    assert!(said.contains("the summaries of all 6 conversations agree with it"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("Dashboard  http://127.0.0.1")).count(), 3, "{said}");

    let counted = counted_set(&up.api()).await;
    assert_eq!(counted.len(), 4, "{counted:?}");
    for (signal, count) in counted {
        assert!(said.lines().any(|line| line.split_whitespace().eq([signal.as_str(), &count.to_string()])), "{said}");
    }
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
    let output = signals(&["demo", "--data", path, "--file", file]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("4 interactions sent, 3 stored, 1 refused"), "{said}");
    assert!(said.contains("1 refused, the first of line 4: 413"), "{said}");
    assert!(said.contains("1 blank lines were skipped"), "{said}");
    assert!(said.contains("&agent=demo&user=some"), "{said}");
    let summary: Value = up.api().get("/summary/demo/some%20chat").await.json().await.expect("JSON");
    assert_eq!(summary, serde_json::json!({ "neutral": 1, "positive": 1, "uncertain": 1 }));
    up.end();
}
