//! The store calls of each endpoint and each background function: their number, and DynamoDB's read and write units.
//! The functions are the real ones. The expected figures are in `docs/counts.json`, from which the cost page is
//! generated.

mod meter;
mod stack;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use meter::Reading;
use stack::{Metered, eventually};

/// If set, the file is written instead of compared.
const WRITE: &str = "SIGNALS_WRITE_COUNTS";
/// The number of events in a batch.
const BATCH: u32 = 100;

/// The number of turns in an export.
const TURNS: u32 = 128;
/// The beginning of an export in nanoseconds since 1970: 2026-01-01T12:00:00Z.
const EXPORTED_AT: u64 = 1_767_268_800_000_000_000;

/// The store calls of one request or one invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Count {
    /// The number of items that the request processes.
    items: u32,
    #[serde(flatten)]
    reading: Reading,
}

type Counts = BTreeMap<String, Count>;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("docs/counts.json")
}

fn written() -> Counts {
    let text = std::fs::read_to_string(file()).expect("docs/counts.json");
    serde_json::from_str(&text).expect("counts")
}

fn event(user: &str, id: u32, second: u32) -> Value {
    let timestamp = format!("2026-01-01T{:02}:{:02}:{:02}.000000Z", second / 3_600, second / 60 % 60, second % 60);
    json!({
        "user_id": user, "agent_id": "agent", "signal_type": "x", "event_id": format!("{id:04}"),
        "timestamp": timestamp, "payload": { "text": "hello" },
    })
}

/// Returns the key under which [`event`] is stored.
fn key(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().expect("text").to_owned();
    format!("e#{}#{}#{}", text("timestamp"), text("agent_id"), text("event_id"))
}

/// Returns an export of [`TURNS`] turns of one user, each with four spans: the agent, a call of the model, a tool, and a
/// call with the result of the tool. 512 spans are the largest default batch of the SDKs.
fn export() -> Value {
    let user = |text: String| json!({ "role": "user", "parts": [{ "type": "text", "content": text }] });
    let reply = |text: String| json!([{ "role": "assistant", "parts": [{ "type": "text", "content": text }] }]);
    let spans: Vec<_> = (0..TURNS)
        .flat_map(|turn| {
            let question = user(format!("message {turn}"));
            let tool = json!({ "role": "tool", "parts": [{ "type": "tool_call_response", "response": "found" }] });
            let call = |input: Value, output: Value| {
                json!([
                    { "key": "gen_ai.operation.name", "value": { "stringValue": "chat" } },
                    { "key": "user.id", "value": { "stringValue": "exports" } },
                    { "key": "gen_ai.input.messages", "value": { "stringValue": input.to_string() } },
                    { "key": "gen_ai.output.messages", "value": { "stringValue": output.to_string() } },
                ])
            };
            let operation = |name: &str| json!([{ "key": "gen_ai.operation.name", "value": { "stringValue": name } }]);
            let span = move |index: u32, attributes: Value| {
                json!({
                    "traceId": format!("{:032x}", turn + 1), "spanId": format!("{:016x}", turn * 4 + index + 1),
                    "parentSpanId": if index == 0 { String::new() } else { format!("{:016x}", turn * 4 + 1) },
                    "startTimeUnixNano": (EXPORTED_AT + u64::from(turn * 4 + index) * 1_000_000).to_string(),
                    "attributes": attributes,
                })
            };
            [
                span(0, operation("invoke_agent")),
                span(1, call(json!([question]), json!([]))),
                span(2, operation("execute_tool")),
                span(3, call(json!([question, tool]), reply(format!("answer {turn}")))),
            ]
        })
        .collect();
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] })
}

/// Returns a table change in the format of the table's stream.
fn change(user: &str, key: &str, more: &Value) -> Value {
    let mut dynamodb = json!({ "Keys": { "user_id": { "S": user }, "sk": { "S": key } }, "SequenceNumber": "1" });
    dynamodb.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({ "eventName": "INSERT", "dynamodb": dynamodb })
}

/// The measurements, by name.
struct Measured<'a> {
    stack: &'a Metered,
    counts: Counts,
}

impl Measured<'_> {
    fn note(&mut self, name: &str, items: u32, reading: Reading) {
        self.counts.insert(name.to_owned(), Count { items, reading });
    }

    /// Measures a GET of `path` by a function that has cached the key.
    async fn get(&mut self, name: &str, items: u32, path: &str) {
        self.stack.get(path).await;
        let (answer, reading) = self.stack.measure(self.stack.get(path)).await;
        assert_eq!(answer.status(), 200, "{path}");
        self.note(name, items, reading);
    }

    /// Measures a POST of `body` by a function that has cached the key.
    async fn post(&mut self, name: &str, items: u32, path: &str, body: &Value) -> Value {
        self.post_with(name, items, path, body, ("accept", "*/*")).await
    }

    async fn post_with(&mut self, name: &str, items: u32, path: &str, body: &Value, header: (&str, &str)) -> Value {
        // The function looks up the key and rejects the invalid body.
        assert!(self.stack.post(path, &json!(null)).await.status().is_client_error());
        let (answer, reading) = self.stack.measure(self.stack.post_with(path, body, header)).await;
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        self.note(name, items, reading);
        answer.json().await.expect("JSON")
    }
}

async fn logs(measured: &mut Measured<'_>) {
    let interaction = json!({ "agent_id": "agent", "user_id": "user", "user_input": "Thanks, that was great" });
    let (refused, reading) = measured.stack.measure(measured.stack.post("/log", &json!({}))).await;
    assert_eq!(refused.status(), 422);
    measured.note("any request, its key looked up: once a minute, key and sandbox", 1, reading);
    for _ in 0..10 {
        measured.post("POST /log", 1, "/log", &interaction).await;
    }
    let mut repeatable = interaction.clone();
    repeatable["user_id"] = json!("retries");
    repeatable["log_id"] = json!("019b796d-d600-7c2a-8a53-5d1c54f1a6c1");
    measured.post("POST /log, with log_id", 1, "/log", &repeatable).await;
    measured.post("POST /log, with log_id, a duplicate", 1, "/log", &repeatable).await;
    let batch: Vec<_> = (0..1_000)
        .map(|number| {
            let mut entry = repeatable.clone();
            entry["user_id"] = json!("batch");
            entry["log_id"] = json!(format!("019b796d-d600-7c2a-8a53-{number:012x}"));
            entry
        })
        .collect();
    measured.post("POST /logs, 1,000 of one user and hour", 1_000, "/logs", &json!(batch)).await;
    measured.post("POST /logs, 1,000 of one user and hour, a duplicate", 1_000, "/logs", &json!(batch)).await;
    let users: Vec<_> = (0..BATCH)
        .map(|number| {
            let mut entry = interaction.clone();
            entry["user_id"] = json!(format!("batch {number}"));
            entry
        })
        .collect();
    measured.post("POST /logs, 100 of 100 users", BATCH, "/logs", &json!(users)).await;
    let export = export();
    measured.post("POST /v1/traces, 512 spans of one user and hour", TURNS, "/v1/traces", &export).await;
    measured.post("POST /v1/traces, 512 spans of one user and hour, resent", TURNS, "/v1/traces", &export).await;
    measured.get("GET /logs, 10 entries", 10, "/logs/agent/user").await;
    measured.get("GET /logs, 10 entries from the oldest on", 10, "/logs/agent/user?order=oldest").await;
    measured.get("GET /logs, one entry by its id", 1, "/logs/agent/retries/019b796d-d600-7c2a-8a53-5d1c54f1a6c1").await;
    let rated = "/logs/agent/retries/019b796d-d600-7c2a-8a53-5d1c54f1a6c1/feedback";
    let name = "POST /logs/{agent_id}/{user_id}/{log_id}/feedback";
    measured.post(name, 1, rated, &json!({ "signal": "neutral" })).await;
    measured.get("GET /agents/{agent_id}/feedback, a page of one", 1, "/agents/agent/feedback").await;
    measured.get("GET /summary", 1, "/summary/agent/user").await;
    measured.get("GET /visualize", 1, "/visualize/agent/user").await;
    measured.get("GET /agents, a page of one", 1, "/agents").await;
    measured.get("GET /agents/{agent_id}/users, a page of one", 1, "/agents/agent/users").await;
}

/// Measures the endpoints over all users of an agent, after an interaction of each of ten users is counted.
async fn activity(measured: &mut Measured<'_>) {
    let stack = measured.stack;
    let interaction = |number| {
        json!({
            "agent_id": "board", "user_id": format!("user {number}"), "user_input": "Thanks, that was great",
            "timestamp": "2026-01-01T12:00:00Z",
        })
    };
    let batch: Vec<_> = (0..10).map(interaction).collect();
    assert!(stack.post("/logs", &json!(batch)).await.status().is_success());
    let summary = "/agents/board/summary?since=2026-01-01&until=2026-01-02&interval=hour";
    stack
        .roll_up_until(async || {
            let body: Value = stack.get(summary).await.json().await.expect("JSON");
            body["counts"] == json!({ "positive": 10 })
        })
        .await;
    measured.get("GET /agents/activity, a page of one", 1, "/agents/activity?prefix=board").await;
    measured.get("GET /agents/{agent_id}/summary", 1, summary).await;
    let users = "/agents/board/activity?limit=10";
    measured.get("GET /agents/{agent_id}/activity, 10 users", 10, users).await;
    let users = format!("{users}&sort=name");
    measured.get("GET /agents/{agent_id}/activity, 10 users by name", 10, &users).await;
    measured.get("GET /agents/{agent_id}/logs, 10 entries", 10, "/agents/board/logs").await;
    let chart = "/agents/board/visualize?since=2026-01-01&until=2026-01-02";
    measured.get("GET /agents/{agent_id}/visualize", 1, chart).await;
    let call = |name: &str, arguments: Value| {
        let params = json!({ "name": name, "arguments": arguments });
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })
    };
    let stressed = call("who_is_stressed", json!({ "agent_id": "board" }));
    measured.post("POST /mcp, who_is_stressed, no user", 1, "/mcp", &stressed).await;
    let conversation = call("read_conversation", json!({ "agent_id": "agent", "user_id": "user" }));
    measured.post("POST /mcp, read_conversation, 10 interactions", 10, "/mcp", &conversation).await;
}

async fn events(measured: &mut Measured<'_>) {
    for n in 0..11 {
        let name = if n < 10 { "POST /event" } else { "POST /event, an anomaly" };
        measured.post(name, 1, "/event", &event("flood", n, 0)).await;
    }
    let mut marked = event("marked", 1, 0);
    marked["sent_at"] = json!("2026-01-01T00:00:00Z");
    measured.post("POST /event, with event_id and sent_at", 1, "/event", &marked).await;
    let mut large = event("large", 1, 0);
    large["payload"] = json!({ "text": "x".repeat(8_000) });
    measured.post("POST /event, a payload of 8 kB", 1, "/event", &large).await;
    let quick = ("prefer", "respond-async");
    measured.post_with("POST /event, respond-async", 1, "/event", &event("queued", 1, 0), quick).await;

    let calm: Vec<_> = (0..BATCH).map(|n| event(&format!("calm {n}"), n, 0)).collect();
    measured.post("POST /events, 100 of 100 users", BATCH, "/events", &json!(calm)).await;
    let alone: Vec<_> = (0..BATCH).map(|n| event("alone", n, n * 60)).collect();
    measured.post("POST /events, 100 of one user, a minute apart", BATCH, "/events", &json!(alone)).await;
    let close: Vec<_> = (0..BATCH).map(|n| event(&format!("close {}", n / 10), n, 0)).collect();
    measured.post("POST /events, 100 of ten users, at once", BATCH, "/events", &json!(close)).await;

    measured.get("GET /events, 10 events", 10, "/events/flood?limit=10").await;
    measured.get("GET /events, one event with a payload of 8 kB", 1, "/events/large").await;
    measured.get("GET /anomalies", 1, "/anomalies/flood").await;
    measured.get("GET /anomalies, by episode", 1, "/anomalies/flood?group=episode").await;
}

async fn background(measured: &mut Measured<'_>) {
    let stack = measured.stack;
    let calm = event("calm 0", 0, 0);
    let calm = [change("calm 0", &key(&calm), &json!({}))];
    let ((), reading) = stack.measure(stack.invoke("evaluate-events", &calm)).await;
    measured.note("evaluate-events, one event", 1, reading);
    let alone: Vec<_> = (0..BATCH).map(|n| change("alone", &key(&event("alone", n, n * 60)), &json!({}))).collect();
    let ((), reading) = stack.measure(stack.invoke("evaluate-events", &alone)).await;
    measured.note("evaluate-events, 100 of one user, a minute apart", BATCH, reading);

    let message = stack.message("SIGNALS_RETRY_QUEUE").await;
    let ((), reading) = stack.measure(stack.invoke("retry-events", &[message])).await;
    measured.note("retry-events, one event", 1, reading);

    let key = key(&event("flood", 10, 0));
    let mut anomaly = stack.item("SIGNALS_ANOMALIES_TABLE", "flood", &key).await;
    anomaly["severity"] = json!({ "S": "critical" });
    for name in ["open-episodes, an episode opens", "open-episodes, nothing new"] {
        let told = [change("flood", &key, &json!({ "NewImage": anomaly }))];
        let ((), reading) = stack.measure(stack.invoke("open-episodes", &told)).await;
        measured.note(name, 1, reading);
    }
}

/// Counts the interactions that [`logs`] has recorded: 10 of one user, one with an id, a segment of 1,000, 100 of 100 users,
/// and an export.
async fn roll_up(measured: &mut Measured<'_>) {
    let stack = measured.stack;
    let messages = stack.messages("SIGNALS_ACTIVITY_QUEUE", 113).await;
    let of = |user: &str| -> Vec<Value> {
        let folder = format!("/user_id%3D{user}/");
        let is_wanted = |message: &&Value| message["body"].as_str().is_some_and(|body| body.contains(&folder));
        messages.iter().filter(is_wanted).cloned().collect()
    };
    let turns = of("user");
    let batch: Vec<_> = (0..BATCH).flat_map(|number| of(&format!("batch%2520{number}"))).collect();
    assert_eq!((turns.len(), batch.len()), (10, 100));
    for (name, items, messages) in [
        ("roll-up-logs, one interaction", 1, &turns[..1]),
        ("roll-up-logs, the next interaction of the user", 1, &turns[1..2]),
        ("roll-up-logs, one interaction again", 1, &turns[1..2]),
        ("roll-up-logs, 100 of 100 users", BATCH, &batch[..]),
        ("roll-up-logs, a segment of 1,000 of one user", 1_000, &of("batch")[..]),
        ("roll-up-logs, a segment of 1,000 of one user, again", 1_000, &of("batch")[..]),
    ] {
        let ((), reading) = stack.measure(stack.invoke("roll-up-logs", messages)).await;
        measured.note(name, items, reading);
    }
}

/// Counts stressed interactions of one user, until an alert of the user's mood opens.
async fn moods(measured: &mut Measured<'_>) {
    let stack = measured.stack;
    let stressed = json!({ "agent_id": "moods", "user_id": "zoe", "user_input": "x", "detected_signal": "stressed" });
    for _ in 0..3 {
        assert_eq!(stack.post("/log", &stressed).await.status(), 200);
    }
    let messages = stack.messages("SIGNALS_ACTIVITY_QUEUE", 3).await;
    for (name, message) in [
        ("roll-up-logs, one stressed interaction", &messages[0]),
        ("roll-up-logs, one stressed interaction", &messages[1]),
        ("roll-up-logs, one stressed interaction that opens an alert", &messages[2]),
    ] {
        let ((), reading) = stack.measure(stack.invoke("roll-up-logs", std::slice::from_ref(message))).await;
        measured.note(name, 1, reading);
    }
}

async fn measure() -> Counts {
    let stack = Metered::start().await;
    let mut measured = Measured { stack: &stack, counts: Counts::new() };
    logs(&mut measured).await;
    roll_up(&mut measured).await;
    moods(&mut measured).await;
    activity(&mut measured).await;
    events(&mut measured).await;
    background(&mut measured).await;
    // The function serves cached responses for some seconds.
    let health = eventually("health asks the stores", async || {
        let (answer, reading) = stack.measure(stack.get("/health")).await;
        (answer.status() == 200 && !reading.calls.is_empty()).then_some(reading)
    })
    .await;
    measured.note("GET /health, once in five seconds and sandbox", 1, health);
    let counts = measured.counts;
    stack.stop().await;
    counts
}

#[tokio::test]
async fn calls_and_units_are_as_written_down() {
    let counts = measure().await;
    if std::env::var_os(WRITE).is_some() {
        let text = serde_json::to_string_pretty(&counts).expect("JSON");
        std::fs::write(file(), text + "\n").expect("docs/counts.json can be written");
        return;
    }
    let written = written();
    let names: BTreeSet<_> = counts.keys().chain(written.keys()).collect();
    let differing = names.into_iter().filter(|name| counts.get(*name) != written.get(*name));
    let differing: Vec<_> =
        differing.map(|name| format!("{name}: {:?}, not {:?}", counts.get(name), written.get(name))).collect();
    assert!(
        differing.is_empty(),
        "docs/counts.json is out of date; if that is meant, run {WRITE}=1 cargo test -p local --test counts:\n{}",
        differing.join("\n")
    );
}

/// Checks the number of calls per request that the design promises.
#[test]
fn what_is_written_down_is_what_was_promised() {
    let written = written();
    for (name, calls) in [
        ("POST /log", &[("s3:PutObject", 1)][..]),
        ("POST /log, with log_id", &[("s3:ListObjectsV2", 1), ("s3:PutObject", 1)]),
        ("POST /log, with log_id, a duplicate", &[("s3:GetObject", 1), ("s3:ListObjectsV2", 1)]),
        ("POST /logs, 1,000 of one user and hour", &[("s3:PutObject", 1)]),
        ("POST /logs, 1,000 of one user and hour, a duplicate", &[("s3:GetObject", 1), ("s3:PutObject", 1)]),
        ("POST /logs, 100 of 100 users", &[("s3:PutObject", 100)]),
        ("POST /v1/traces, 512 spans of one user and hour", &[("s3:PutObject", 1)]),
        ("POST /v1/traces, 512 spans of one user and hour, resent", &[("s3:GetObject", 1), ("s3:PutObject", 1)]),
        ("GET /logs, 10 entries", &[("dynamodb:Query", 1), ("s3:GetObject", 10), ("s3:ListObjectsV2", 1)]),
        (
            "GET /logs, 10 entries from the oldest on",
            &[("dynamodb:Query", 1), ("s3:GetObject", 10), ("s3:ListObjectsV2", 1)],
        ),
        ("GET /logs, one entry by its id", &[("s3:GetObject", 1), ("s3:ListObjectsV2", 1)]),
        (
            "POST /logs/{agent_id}/{user_id}/{log_id}/feedback",
            &[("dynamodb:PutItem", 1), ("s3:GetObject", 1), ("s3:ListObjectsV2", 1)],
        ),
        ("GET /agents/{agent_id}/feedback, a page of one", &[("dynamodb:Query", 1)]),
        ("GET /summary", &[("s3:ListObjectsV2", 1)]),
        ("GET /visualize", &[("s3:ListObjectsV2", 1)]),
        (
            "roll-up-logs, one interaction",
            &[("dynamodb:BatchGetItem", 1), ("dynamodb:PutItem", 2), ("dynamodb:Query", 1), ("dynamodb:UpdateItem", 1)],
        ),
        (
            "roll-up-logs, a segment of 1,000 of one user, again",
            &[("dynamodb:BatchGetItem", 1), ("dynamodb:Query", 1), ("s3:GetObject", 1)],
        ),
        ("GET /agents/activity, a page of one", &[("dynamodb:Query", 1), ("s3:ListObjectsV2", 1)]),
        ("GET /agents/{agent_id}/summary", &[("dynamodb:Query", 1)]),
        ("GET /agents/{agent_id}/activity, 10 users", &[("dynamodb:BatchGetItem", 1), ("dynamodb:Query", 2)]),
        ("GET /agents/{agent_id}/activity, 10 users by name", &[("dynamodb:Query", 1)]),
        ("GET /agents/{agent_id}/logs, 10 entries", &[("dynamodb:Query", 2), ("s3:GetObject", 10)]),
        ("GET /agents/{agent_id}/visualize", &[("dynamodb:Query", 1)]),
        ("POST /mcp, who_is_stressed, no user", &[("dynamodb:Query", 1)]),
        ("POST /mcp, read_conversation, 10 interactions", &[("s3:GetObject", 10), ("s3:ListObjectsV2", 1)]),
        ("POST /event", &[("dynamodb:PutItem", 1), ("dynamodb:Query", 1)]),
        ("POST /event, an anomaly", &[("dynamodb:PutItem", 1), ("dynamodb:Query", 1), ("dynamodb:UpdateItem", 1)]),
        ("GET /anomalies", &[("dynamodb:Query", 1)]),
        ("any request, its key looked up: once a minute, key and sandbox", &[("dynamodb:GetItem", 1)]),
    ] {
        let promised: BTreeMap<_, _> = calls.iter().map(|(call, count)| ((*call).to_owned(), *count)).collect();
        assert_eq!(written[name].reading.calls, promised, "{name}");
    }
}
