//! The functions' log: the metrics that CloudWatch extracts, and a line for each request.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Up, data, eventually, turn};

/// The prefix of all ids that callers send. No such id may appear in the log.
const SECRET: &str = "secret";

fn lines(data: &Path) -> Vec<Value> {
    let log = std::fs::read_to_string(data.join("functions.log")).expect("the log");
    // The last line of the log may be incomplete.
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Returns the sums of the metrics, by name and value of their dimension.
pub fn metrics(data: &Path) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in lines(data) {
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            let name = directive["Metrics"][0]["Name"].as_str().expect("a name");
            let dimension = directive["Dimensions"][0][0].as_str();
            let of = dimension.map(|dimension| format!(" {}", line[dimension].as_str().expect("a value")));
            let count = line[name].as_u64().expect("a count");
            *sums.entry(format!("{name}{}", of.unwrap_or_default())).or_default() += count;
        }
    }
    sums
}

fn event(user: &str, id: &str, second: u32) -> Value {
    json!({
        "user_id": format!("{SECRET}-{user}"), "agent_id": format!("{SECRET}-agent"), "signal_type": "x",
        "event_id": format!("{SECRET}-{id}"), "timestamp": format!("2026-01-01T00:00:{second:02}Z"),
    })
}

#[tokio::test]
async fn everything_that_happened_is_counted_once() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let api = up.api();
    let interaction = |input: &str, signal: Option<&str>| {
        json!({
            "agent_id": format!("{SECRET}-agent"), "user_id": format!("{SECRET}-user"), "user_input": input,
            "detected_signal": signal,
        })
    };
    for (input, signal) in [("thanks", None), ("", Some("made up")), ("", Some("stressed")), ("", Some("another"))] {
        assert_eq!(api.post("/log", &interaction(input, signal)).await.status(), 200);
    }
    assert_eq!(api.post("/log", &json!({})).await.status(), 422);

    // The eleventh to fifteenth event are warnings; the sixteenth is critical.
    for n in 0..16 {
        assert_eq!(api.post("/event", &event("flood", &format!("{n:02}"), 10)).await.status(), 200);
    }
    assert_eq!(api.post("/event", &event("flood", "15", 10)).await.status(), 200, "again");
    // With an earlier event added, the tenth event is a warning too, and the fifteenth becomes critical.
    assert_eq!(api.post("/event", &event("flood", "late", 9)).await.status(), 200);
    let batch = json!([event("batch", "1", 0), event("batch", "1", 0), event("batch", "2", 20)]);
    assert_eq!(api.post("/events", &batch).await.status(), 207);
    assert_eq!(api.post_async("/event", &event("queued", "1", 0)).await.status(), 202);

    let mut expected = BTreeMap::from(
        [
            ("Interactions positive", 1),
            ("Interactions stressed", 1),
            ("Interactions other", 2),
            ("Events", 20),
            ("Anomalies warning", 6),
            ("Anomalies critical", 2),
        ]
        .map(|(name, count)| (name.to_owned(), count)),
    );
    eventually("everything is counted", async || (metrics(data.path()) == expected).then_some(())).await;
    // Later stream records are counted later, and earlier records are not counted again.
    assert_eq!(api.post("/event", &event("last", "1", 0)).await.status(), 200);
    expected.insert("Events".to_owned(), 21);
    eventually("the last is counted", async || (metrics(data.path()).get("Events") >= Some(&21)).then_some(())).await;
    assert_eq!(metrics(data.path()), expected);
    let log = std::fs::read_to_string(data.path().join("functions.log")).expect("the log");
    assert!(!log.contains(SECRET), "an id is in the log: {log}");
    up.end();
}

#[tokio::test]
async fn each_request_logs_a_line_with_its_key_name_and_without_ids() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let (agent, user) = (format!("{SECRET}-agent"), format!("{SECRET}-user"));
    assert_eq!(up.api().get(&format!("/summary/{agent}/{user}")).await.status(), 200);
    assert_eq!(up.api().get(&format!("/logs/{agent}/{user}?limit=0")).await.status(), 422);
    let stranger = crate::support::Api::new(format!("{}/api", up.address()), "sig_nobody");
    assert_eq!(stranger.get(&format!("/anomalies/{user}")).await.status(), 401);

    let answered = |function: &str, status: u16| {
        let is_it = |line: &Value| line["message"] == "handled request" && line["function"] == function;
        lines(data.path()).into_iter().rfind(|line| is_it(line) && line["status"] == status)
    };
    // Requests without a valid key are not logged: anybody could fill the log. The function's next request has its own
    // line.
    assert_eq!(up.api().get(&format!("/anomalies/{user}?limit=0")).await.status(), 422);
    eventually("get-anomalies is in the log", async || answered("get-anomalies", 422)).await;
    assert!(answered("get-anomalies", 401).is_none());
    for (function, status, route, outcome) in [
        ("get-summary", 200, "GET /summary/{agent_id}/{user_id}", "done"),
        ("get-logs", 422, "GET /logs/{agent_id}/{user_id}", "refused"),
    ] {
        let line = eventually(&format!("{function} is in the log"), async || answered(function, status)).await;
        assert_eq!((&line["key"], &line["outcome"], &line["route"]), (&json!("local"), &json!(outcome), &json!(route)));
        assert!(line["milliseconds"].as_f64().is_some_and(|milliseconds| milliseconds > 0.0), "{line}");
        for name in ["request_id", "gateway_request_id"] {
            assert!(line[name].as_str().is_some_and(|value| !value.is_empty()), "{line}");
        }
    }
    let log = std::fs::read_to_string(data.path().join("functions.log")).expect("the log");
    assert!(!log.contains(SECRET), "an id is in the log: {log}");
    up.end();
}
