//! Exports of OpenTelemetry exporters.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde::Serialize;
use serde_json::{Value, json};

pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
/// The beginning of exports in nanoseconds since 1970: 2026-01-01T12:00:00Z.
pub const NOON: u64 = 1_767_268_800_000_000_000;

/// `google.rpc.Status` without its details.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

fn attributes(texts: &[(&str, &str)]) -> Vec<KeyValue> {
    let value = |text: &str| Some(AnyValue { value: Some(Any::StringValue(text.to_owned())) });
    let attribute =
        |(key, text): &(&str, &str)| KeyValue { key: (*key).to_owned(), value: value(text), ..Default::default() };
    texts.iter().map(attribute).collect()
}

fn messages(role: &str, text: &str) -> String {
    json!([{ "role": role, "parts": [{ "type": "text", "content": text }] }]).to_string()
}

fn call(user: Option<&str>, text: &str) -> Vec<KeyValue> {
    let mut call = attributes(&[
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "model 1"),
        ("session.id", "session 1"),
        ("gen_ai.input.messages", &messages("user", text)),
    ]);
    call.extend(user.into_iter().flat_map(|user| attributes(&[("user.id", user)])));
    call
}

/// Returns the span of a model call `index` seconds after noon, in a trace of its own. The model has not replied.
pub fn unanswered(index: u8, user: Option<&str>, text: &str) -> Span {
    Span {
        trace_id: vec![index + 1; 16],
        span_id: vec![index + 1; 8],
        start_time_unix_nano: NOON + u64::from(index) * 1_000_000_000,
        attributes: call(user, text),
        ..Default::default()
    }
}

/// Returns the span of a model call whose reply is `Re: ` and the text.
pub fn answered(index: u8, user: Option<&str>, text: &str) -> Span {
    let mut span = unanswered(index, user, text);
    span.attributes.extend(attributes(&[("gen_ai.output.messages", &messages("assistant", &format!("Re: {text}")))]));
    span
}

fn resource(service: Option<&str>) -> Option<Resource> {
    let service = service.map(|name| attributes(&[("service.name", name)])).unwrap_or_default();
    Some(Resource { attributes: service, ..Default::default() })
}

/// Returns an export of `spans` by `service`, which becomes the agent.
pub fn export(service: Option<&str>, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource: resource(service), scope_spans, ..Default::default() }],
    }
}

/// Returns an export of a turn of `user` for each of `texts`, in JSON.
pub fn traces(agent: &str, user: &str, texts: &[&str]) -> Value {
    let spans = (0..).zip(texts).map(|(index, text)| answered(index, Some(user), text)).collect();
    json!(export(Some(agent), spans))
}

/// Returns an export of a log record per turn.
pub fn log_export(agent: &str, user: Option<&str>, texts: &[&str]) -> ExportLogsServiceRequest {
    let record = |(index, text): (u8, &&str)| LogRecord {
        event_name: "gen_ai.client.inference.operation.details".to_owned(),
        time_unix_nano: NOON + u64::from(index) * 1_000_000_000,
        trace_id: vec![index + 101; 16],
        span_id: vec![index + 101; 8],
        attributes: call(user, text),
        ..Default::default()
    };
    let log_records = (0..).zip(texts).map(record).collect();
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: resource(Some(agent)), scope_logs, ..Default::default() }],
    }
}

/// Returns the same in JSON.
pub fn logs(agent: &str, user: &str, texts: &[&str]) -> Value {
    json!(log_export(agent, Some(user), texts))
}

pub fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory").into()
}

/// Returns an export as the bodies that exporters send, each with its content type.
pub fn bodies(export: &(impl Message + Serialize)) -> Vec<(&'static str, Bytes)> {
    let (protobuf, text) = (export.encode_to_vec(), json!(export).to_string());
    let gzipped = [(PROTOBUF.1, gzip(&protobuf)), (JSON.1, gzip(text.as_bytes()))];
    [(PROTOBUF.1, protobuf.into()), (JSON.1, text.into())].into_iter().chain(gzipped).collect()
}
