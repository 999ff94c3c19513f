//! `POST /v1/traces`: the turns of users in OpenTelemetry traces.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use http::Method;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::{Value, json};
use shared::otlp::{self as mapping, Encoding, Limits, Options};

use crate::answer::Answer;
use crate::keys::{key_for, unknown_key};
use crate::otlp::{JSON, NOON, PROTOBUF, Status, answered, bodies, export, gzip, traces, unanswered};
use crate::stack::{Stack, eventually_equal, fresh};

const TRACES: &str = "/v1/traces";
/// The path at which SDKs of Langfuse send traces.
const LANGFUSE: &str = "/public/otel/v1/traces";
const ROUTES: [&str; 4] = [TRACES, LANGFUSE, "/v1/logs", "/v1/metrics"];
/// The maximum size of a body as received and after decompression, in bytes.
const MAX_RECEIVED: usize = 4 << 20;
const MAX_INFLATED: usize = 16 << 20;
/// Exporters set the header, but the body alone decides.
const GZIP: (&str, &str) = ("content-encoding", "gzip");

async fn send(stack: &Stack, path: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
    stack.send(Method::POST, path, &[("content-type", content_type)], body).await
}

/// Waits until the entries of `user` with `agent` are `expected`: for each the fields in `expected`.
async fn assert_entries(stack: &Stack, agent: &str, user: &str, expected: &[Value]) {
    let found = async || {
        let entries = stack.get_logs_where(agent, user, "limit=100").await.list();
        let fields = |(index, entry): (usize, &Value)| {
            let expected = expected.get(index).and_then(Value::as_object).cloned().unwrap_or_default();
            expected.keys().map(|field| (field.clone(), entry[field].clone())).collect::<serde_json::Map<_, _>>().into()
        };
        entries.iter().enumerate().map(fields).collect::<Vec<Value>>()
    };
    eventually_equal("the entries of the export", &expected.to_vec(), found).await;
}

/// Returns the number and the message of the partial success in a JSON response.
#[track_caller]
fn rejected(answer: &Answer) -> (String, String) {
    let partial = answer.ok()["partialSuccess"].clone();
    let text = |field: &str| partial[field].as_str().unwrap_or_default().to_owned();
    (text("rejectedSpans"), text("errorMessage"))
}

#[tokio::test]
async fn export_in_every_form_records_its_turns_once() {
    let (stack, agent, user) = (Stack::connect(), fresh("agent"), fresh("user"));
    let spans = vec![answered(0, Some(&user), "I am so happy"), answered(1, Some(&user), "This is awful, I hate it")];
    let request = export(Some(&agent), spans);
    for path in [TRACES, LANGFUSE, TRACES] {
        for (content_type, body) in bodies(&request) {
            for headers in [vec![("content-type", content_type)], vec![("content-type", content_type), GZIP]] {
                let answer = stack.send(Method::POST, path, &headers, body.clone()).await;
                let expected: &[u8] = if content_type == JSON.1 { b"{}" } else { b"" };
                answer.check(answer.bytes(content_type) == expected, "full success");
            }
        }
    }
    let entry = |millis: &str, text: &str, signal: &str| {
        json!({
            "user_input": text, "agent_output": format!("Re: {text}"), "session_id": "session 1",
            "metadata": { "model": "model 1" }, "detected_signal": signal, "timestamp": format!("2026-01-01T12:00:{millis}Z"),
        })
    };
    let expected =
        [entry("00.000", "I am so happy", "positive"), entry("01.000", "This is awful, I hate it", "stressed")];
    assert_entries(&stack, &agent, &user, &expected).await;
    stack.get_summary(&agent, &user).await.expect(200, &json!({"positive": 1, "stressed": 1}));
}

#[tokio::test]
async fn call_without_a_user_is_rejected_with_its_reason() {
    let (stack, agent, user) = (Stack::connect(), fresh("agent"), fresh("user"));
    let spans = vec![answered(0, None, "hello"), answered(1, Some(&user), "hi"), answered(2, None, "hello again")];
    let request = export(Some(&agent), spans);
    let answer = send(&stack, TRACES, JSON.1, json!(request).to_string()).await;
    let (count, message) = rejected(&answer);
    assert_eq!(count, "2");
    assert!(message.contains("2 model calls without a user") && message.contains("user.id"), "{message}");
    let answer = send(&stack, TRACES, PROTOBUF.1, request.encode_to_vec()).await;
    let response = ExportTraceServiceResponse::decode(answer.bytes(PROTOBUF.1)).expect("a response");
    let partial = response.partial_success.expect("a partial success");
    assert_eq!((partial.rejected_spans, partial.error_message), (2, message));
    assert_entries(&stack, &agent, &user, &[json!({"user_input": "hi"})]).await;
    stack.get_users(&agent).await.expect(200, &json!([user]));
}

#[tokio::test]
async fn turn_is_stored_once_when_batched_differently() {
    let (stack, agent, user) = (Stack::connect(), fresh("agent"), fresh("user"));
    let first = json!(export(Some(&agent), vec![unanswered(0, Some(&user), "hi")]));
    stack.export(TRACES, &first).await.expect(200, &json!({}));
    assert_entries(&stack, &agent, &user, &[json!({"user_input": "hi", "agent_output": null})]).await;
    // The same span with the reply, then together with another turn.
    stack.export(TRACES, &traces(&agent, &user, &["hi"])).await.expect(200, &json!({}));
    stack.export(TRACES, &traces(&agent, &user, &["hi", "bye"])).await.expect(200, &json!({}));
    let expected = [json!({"user_input": "hi"}), json!({"user_input": "bye"})];
    assert_entries(&stack, &agent, &user, &expected).await;
}

#[tokio::test]
async fn turn_in_the_future_is_rejected() {
    let (stack, agent, user) = (Stack::connect(), fresh("agent"), fresh("user"));
    let mut span = answered(0, Some(&user), "hi");
    span.start_time_unix_nano += 100 * 365 * 86_400 * 1_000_000_000;
    let answer = stack.export(TRACES, &json!(export(Some(&agent), vec![span]))).await;
    let (count, message) = rejected(&answer);
    assert!(count == "1" && message.contains("start time"), "{message}");
    stack.get_logs(&agent, &user).await.expect(200, &json!([]));
}

#[tokio::test]
async fn key_for_one_agent_names_the_agent() {
    let (stack, agent, user) = (Stack::connect(), fresh("agent"), fresh("user"));
    let request = json!(export(None, vec![answered(0, Some(&user), "hi")]));
    let limited = stack.with_key(key_for(&[&agent]).await);
    limited.export(TRACES, &request).await.expect(200, &json!({}));
    assert_entries(&stack, &agent, &user, &[json!({"user_input": "hi"})]).await;
    let of_two = stack.with_key(key_for(&[&agent, "another"]).await);
    let (count, message) = rejected(&of_two.export(TRACES, &request).await);
    assert!(count == "1" && message.contains("forbidden"), "{message}");
}

#[tokio::test]
async fn key_is_accepted_as_token_and_as_password() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    let stranger = stack.without_key();
    let key = key_for(&[&agent]).await;
    let authorization = |key: &str| {
        let basic = |name: &str| format!("Basic {}", base64(&format!("{name}:{key}")));
        [format!("Bearer {key}"), format!("bearer {key}"), basic("signals"), basic("pk-lf-1"), basic("")]
    };
    for path in ROUTES {
        for value in authorization(&key) {
            let answer = stranger.send(Method::POST, path, &[JSON, ("authorization", &value)], "{}").await;
            answer.expect(200, &json!({}));
            // The key's own header counts if there are two.
            let answer = stranger.with_key(unknown_key());
            let answer = answer.send(Method::POST, path, &[JSON, ("authorization", &value)], "{}").await;
            answer.expect(401, &json!({"detail": "Unauthorized"}));
        }
        let wrong = [
            authorization(&unknown_key()).to_vec(),
            vec![key.clone(), format!("Basic {key}"), format!("Digest {key}")],
        ];
        for value in wrong.concat() {
            let answer = stranger.send(Method::POST, path, &[JSON, ("authorization", &value)], "{}").await;
            answer.expect(401, &json!({"detail": "Unauthorized"}));
        }
    }
}

/// Encodes ASCII `text` as in RFC 4648.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let encode = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        let digits = [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]));
        let kept: String = digits.iter().take(chunk.len() + 1).collect();
        format!("{kept:=<4}")
    };
    text.as_bytes().chunks(3).map(encode).collect()
}

#[tokio::test]
async fn other_content_types_are_unsupported() {
    let stack = Stack::connect();
    let detail =
        "The body must be OTLP: send it with the header content-type: application/x-protobuf or application/json.";
    for path in ROUTES {
        for content_type in ["text/plain", "application/protobuf", "application/grpc", "application/x-ndjson"] {
            send(&stack, path, content_type, "{}").await.expect(415, &json!({"detail": detail}));
        }
        let answer = stack.send(Method::POST, path, &[], "{}").await;
        answer.expect(415, &json!({"detail": detail}));
        send(&stack, path, "Application/JSON; charset=utf-8", "{}").await.expect(200, &json!({}));
    }
}

#[tokio::test]
async fn malformed_export_gets_a_status_in_its_encoding() {
    let stack = Stack::connect();
    let whole = export(Some("agent"), vec![answered(0, Some("user"), "hi")]).encode_to_vec();
    let mut damaged = gzip(&whole).to_vec();
    damaged[12] ^= 0xff;
    for path in [TRACES, LANGFUSE, "/v1/logs"] {
        for body in [whole[..whole.len() - 1].to_vec(), b"\xff\xff".to_vec(), damaged.clone(), b"{}".to_vec()] {
            let answer = send(&stack, path, PROTOBUF.1, body).await;
            let status = Status::decode(answer.bytes_of(400, PROTOBUF.1)).expect("a status");
            assert!(status.code == 3 && status.message.contains("the body"), "{status:?}");
        }
        for body in ["[]", "", "{", r#"{"resourceSpans":1,"resourceLogs":1}"#] {
            let status = send(&stack, path, JSON.1, body).await.json(400);
            let message = status["message"].as_str().unwrap_or_default();
            assert!(status["code"] == 3 && message.contains("not an OTLP request in application/json"), "{status}");
        }
    }
}

#[tokio::test]
async fn export_is_limited_as_received_and_inflated() {
    let stack = Stack::connect();
    let blank = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2)).into_bytes();
    for path in [TRACES, "/v1/logs"] {
        send(&stack, path, JSON.1, blank(MAX_RECEIVED)).await.expect(200, &json!({}));
        send(&stack, path, JSON.1, gzip(&blank(MAX_INFLATED))).await.expect(200, &json!({}));
        for body in [blank(MAX_RECEIVED + 1).into(), gzip(&blank(MAX_INFLATED + 1))] {
            let status = send(&stack, path, JSON.1, body).await.json(413);
            let message = status["message"].as_str().unwrap_or_default();
            assert!(status["code"] == 8 && message.contains("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), "{status}");
        }
        let answer = send(&stack, path, PROTOBUF.1, vec![0; MAX_RECEIVED + 1]).await;
        assert_eq!(Status::decode(answer.bytes_of(413, PROTOBUF.1)).expect("a status").code, 8);
    }
}

#[tokio::test]
async fn query_of_an_export_is_rejected() {
    let (stack, agent, user) = (Stack::connect(), fresh("agent"), fresh("user"));
    let answer = stack.export("/v1/traces?dry_run=true", &traces(&agent, &user, &["hi"])).await;
    answer.expect_faults(&[("query.dry_run", "extra_forbidden")]);
    stack.get_logs(&agent, &user).await.expect(200, &json!([]));
}

/// Bodies that real exporters sent: each turn is recorded once, however often the bodies are sent.
#[tokio::test]
#[ignore = "needs SIGNALS_OTLP_BODIES, a folder with bodies that exporters sent"]
async fn bodies_of_real_exporters_are_recorded_once() {
    let stack = Stack::connect();
    let folder = std::env::var("SIGNALS_OTLP_BODIES").expect("SIGNALS_OTLP_BODIES");
    let folder = Path::new(&folder);
    let index = std::fs::read(folder.join("index.json")).expect("index.json");
    let index: BTreeMap<String, Value> = serde_json::from_slice(&index).expect("JSON");
    let mut expected: BTreeMap<(String, String), BTreeMap<String, Value>> = BTreeMap::new();
    for (name, request) in &index {
        let body = std::fs::read(folder.join(name)).expect("the body in index.json");
        let text = |field: &str| request[field].as_str().unwrap_or_default();
        let (path, content_type) = (text("path"), text("content-type"));
        let encoding = Encoding::from_content_type(content_type).expect("a content type of OTLP");
        let read = if path == "/v1/logs" { mapping::read_logs } else { mapping::read_traces };
        let found = read(&body, encoding, Limits::default(), &Options::for_entries_of(65_536)).expect("an export");
        for turn in found.turns {
            let conversation = (turn.agent_id.to_string(), turn.user_id.to_string());
            let entry = json!({
                "user_input": turn.user_input, "agent_output": turn.agent_output, "session_id": turn.session_id,
            });
            expected.entry(conversation).or_default().insert(turn.log_id.to_string(), entry);
        }
        for _ in 0..2 {
            let answer = send(&stack, path, content_type, body.clone()).await;
            answer.check(answer.status() == 200, name);
            let is_full = if encoding == Encoding::Json {
                answer.ok() == json!({})
            } else {
                answer.bytes(content_type).is_empty()
            };
            answer.check(is_full == (found.skipped.rejected() == 0), name);
        }
    }
    assert!(expected.values().map(BTreeMap::len).sum::<usize>() > 0);
    for ((agent, user), turns) in &expected {
        let found = async || {
            let entries = stack.get_logs_where(agent, user, "limit=100").await.list();
            let fields = |entry: &Value| {
                let fields = ["user_input", "agent_output", "session_id"].map(|field| (field, entry[field].clone()));
                (entry["log_id"].as_str().unwrap_or_default().to_owned(), json!(BTreeMap::from(fields)))
            };
            entries.iter().map(fields).collect::<Vec<_>>()
        };
        let ordered: Vec<_> = turns.clone().into_iter().collect();
        eventually_equal(&format!("the turns of {user} with {agent}"), &ordered, found).await;
    }
}

#[test]
fn exports_of_the_tests_are_at_noon() {
    let noon = shared::time::Timestamp::parse_rfc3339("2026-01-01T12:00:00Z").expect("RFC 3339");
    assert_eq!(noon.millis().unsigned_abs() * 1_000_000, NOON);
}
