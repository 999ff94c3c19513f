//! `POST /v1/logs`: the turns of users in OpenTelemetry log records. `POST /v1/metrics`: nothing.

use http::Method;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message;
use serde_json::json;

use crate::otlp::{JSON, PROTOBUF, bodies, gzip, log_export};
use crate::stack::{Stack, eventually_equal, fresh};

const LOGS: &str = "/v1/logs";
const METRICS: &str = "/v1/metrics";

#[tokio::test]
async fn log_records_are_recorded_once_in_every_form() {
    let (stack, agent, user) = (Stack::connect(), fresh("agent"), fresh("user"));
    for (content_type, body) in bodies(&log_export(&agent, Some(&user), &["hi", "bye"])) {
        for _ in 0..2 {
            let answer = stack.send(Method::POST, LOGS, &[("content-type", content_type)], body.clone()).await;
            let expected: &[u8] = if content_type == JSON.1 { b"{}" } else { b"" };
            answer.check(answer.bytes(content_type) == expected, "full success");
        }
    }
    eventually_equal("the turns of the log records", &vec![json!("hi"), json!("bye")], async || {
        let entries = stack.get_logs(&agent, &user).await.list();
        entries.iter().map(|entry| entry["user_input"].clone()).collect()
    })
    .await;
}

#[tokio::test]
async fn log_record_without_a_user_is_rejected() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    let export = log_export(&agent, None, &["hi"]);
    let partial = stack.export(LOGS, &json!(export)).await.ok()["partialSuccess"].clone();
    assert_eq!(partial["rejectedLogRecords"], "1");
    let answer = stack.send(Method::POST, LOGS, &[PROTOBUF], export.encode_to_vec()).await;
    let response = ExportLogsServiceResponse::decode(answer.bytes(PROTOBUF.1)).expect("a response");
    let decoded = response.partial_success.expect("a partial success");
    assert_eq!((decoded.rejected_log_records, json!(decoded.error_message)), (1, partial["errorMessage"].clone()));
    stack.get_users(&agent).await.expect(200, &json!([]));
}

#[tokio::test]
async fn metrics_are_accepted_and_discarded() {
    let stack = Stack::connect();
    // A gauge in a scope of a resource.
    let protobuf = b"\x0a\x0b\x12\x09\x12\x07\x0a\x05gauge".to_vec();
    for body in [protobuf.clone().into(), gzip(&protobuf)] {
        let answer = stack.send(Method::POST, METRICS, &[PROTOBUF], body).await;
        answer.check(answer.bytes(PROTOBUF.1).is_empty(), "full success");
    }
    stack.export(METRICS, &json!({"resourceMetrics": [{"scopeMetrics": []}]})).await.expect(200, &json!({}));
}
