//! The demo reports the outcomes of its calls.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Up, data, signals, turn};

#[tokio::test]
async fn demo_stores_its_set_as_the_summaries_count_it() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let output = signals(&["demo", "--data", data.path().to_str().expect("text")]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("interactions sent") && said.contains(" 0 refused"), "{said}");
    // The button is pressed 15 times. Under stress, the ninth press is anomalous, and the thirteenth exceeds the
    // threshold by half.
    assert!(said.contains("7 anomalies: 3 critical, 4 warning"), "{said}");
    assert!(said.contains("the summaries of all 6 conversations agree with it"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("Dashboard  http://127.0.0.1")).count(), 3, "{said}");

    let mut counted = BTreeMap::<String, u64>::new();
    for agent in ["concierge", "support"] {
        for user in ["maya", "tom", "%E3%81%95%E3%81%8F%E3%82%89"] {
            let summary = up.api().get(&format!("/summary/{agent}/{user}")).await.json().await.expect("JSON");
            let Value::Object(summary) = summary else { panic!("{summary}") };
            for (signal, count) in summary {
                *counted.entry(signal).or_default() += count.as_u64().expect("a count");
            }
        }
    }
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
