//! The export that checks a stack.

use std::io::Write;

use anyhow::{Context, Result};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message;
use serde_json::{Map, Value as Json, json};
use shared::ids::AgentId;
use shared::otlp::{self, Encoding, Limits, Options, Turn};
use shared::time::Timestamp;

use crate::client::ExportRequest;

/// The text of the probe's user.
const TEXT: &str = "Hello, this is a test of signals otlp doctor.";
/// The reply of the probe's agent.
const REPLY: &str = "The test has arrived.";
/// More than the texts of the probe take.
const MAX_ENTRY_BYTES: usize = 65_536;

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The form of most exporters.
    Protobuf,
    /// The form of exporters with `OTEL_EXPORTER_OTLP_COMPRESSION=gzip`, and of the OpenTelemetry Collector.
    ProtobufGzip,
    /// The form of exporters with the protocol `http/json`.
    Json,
}

impl Form {
    /// All forms, the most common first.
    pub const ALL: [Self; 3] = [Self::Protobuf, Self::ProtobufGzip, Self::Json];

    /// Returns the name in the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Protobuf => "protobuf",
            Self::ProtobufGzip => "protobuf, gzip",
            Self::Json => "JSON",
        }
    }

    /// Returns the content type of the request and of the response.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf | Self::ProtobufGzip => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// Returns the message of a response with status 200 about calls that are not recorded, if there are any.
    ///
    /// # Errors
    /// Fails if the body is not the response to an export.
    pub fn skipped(self, body: &[u8]) -> Result<Option<String>> {
        let message = match self {
            Self::Protobuf | Self::ProtobufGzip => {
                let response = ExportTraceServiceResponse::decode(body)?;
                response.partial_success.map(|partial| partial.error_message)
            }
            // The crate's types do not accept 64-bit integers as texts, as protobuf writes them.
            Self::Json => {
                let response: Map<String, Json> = serde_json::from_slice(body)?;
                let message = response.get("partialSuccess").and_then(|partial| partial.get("errorMessage"));
                message.and_then(Json::as_str).map(str::to_owned)
            }
        };
        Ok(message.filter(|message| !message.is_empty()))
    }
}

/// One call of a model with one text of a user.
pub(super) struct Probe {
    request: ExportTraceServiceRequest,
    turn: Turn,
}

impl Probe {
    /// Creates a probe of this moment, with random ids.
    ///
    /// # Errors
    /// Fails if the system gives no randomness.
    pub fn new(agent: &AgentId, user: &str) -> Result<Self> {
        let (mut trace_id, mut span_id) = (vec![0; 16], vec![0; 8]);
        for id in [&mut trace_id, &mut span_id] {
            getrandom::fill(id).context("the system gives no randomness")?;
        }
        let message = |role: &str, text: &str| {
            json!([{ "role": role, "parts": [{ "type": "text", "content": text }] }]).to_string()
        };
        let now = Timestamp::now().millis();
        let nanos = u64::try_from(now).context("the clock of this machine is before 1970")?.saturating_mul(1_000_000);
        let span = Span {
            trace_id,
            span_id,
            name: "signals otlp doctor".to_owned(),
            start_time_unix_nano: nanos,
            end_time_unix_nano: nanos,
            attributes: vec![
                attribute("gen_ai.operation.name", "chat"),
                attribute("gen_ai.request.model", "none"),
                attribute("gen_ai.agent.name", agent.as_str()),
                attribute("gen_ai.input.messages", &message("user", TEXT)),
                attribute("gen_ai.output.messages", &message("assistant", REPLY)),
                attribute("user.id", user),
            ],
            ..Default::default()
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..Default::default() }];
        let request =
            ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] };
        let options = Options::for_entries_of(MAX_ENTRY_BYTES);
        let export = otlp::read_traces(&request.encode_to_vec(), Encoding::Protobuf, Limits::default(), &options)?;
        let turn = export.turns.into_iter().next().context("the probe has no turn")?;
        Ok(Self { request, turn })
    }

    /// Returns the request in this form.
    pub fn request(&self, form: Form) -> ExportRequest {
        let body = match form {
            Form::Protobuf => self.request.encode_to_vec(),
            Form::ProtobufGzip => gzip(&self.request.encode_to_vec()),
            Form::Json => serde_json::to_vec(&self.request).unwrap_or_default(),
        };
        ExportRequest {
            content_type: form.content_type(),
            is_compressed: form == Form::ProtobufGzip,
            body: Bytes::from(body),
        }
    }

    /// Returns the agent of the turn.
    pub fn agent(&self) -> &str {
        self.turn.agent_id.as_str()
    }

    /// Returns the path from which the turn can be read.
    pub fn path(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        format!("/logs/{}/{}/{}", encoded(self.agent()), encoded(self.turn.user_id.as_str()), self.turn.log_id)
    }
}

fn attribute(key: &str, text: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..Default::default() }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _written = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_the_turn_of_the_probe() {
        let agent = AgentId::try_from("shop 1").expect("an agent");
        let probe = Probe::new(&agent, "otlp-doctor").expect("a probe");
        assert_eq!((probe.turn.user_input.as_str(), probe.turn.agent_output.as_deref()), (TEXT, Some(REPLY)));
        assert!(probe.path().starts_with("/logs/shop%201/otlp%2Ddoctor/0"), "{}", probe.path());
        for form in Form::ALL {
            let request = probe.request(form);
            let encoding = if form == Form::Json { Encoding::Json } else { Encoding::Protobuf };
            assert_eq!(request.is_compressed, form == Form::ProtobufGzip);
            let options = Options::for_entries_of(MAX_ENTRY_BYTES);
            let export = otlp::read_traces(&request.body, encoding, Limits::default(), &options).expect("decodable");
            assert_eq!(export.turns, std::slice::from_ref(&probe.turn), "{form:?}");
        }
    }

    #[test]
    fn message_about_skipped_calls_is_read_in_both_encodings() {
        use shared::otlp::response::{Rejected, traces};
        for (form, encoding) in [(Form::Protobuf, Encoding::Protobuf), (Form::Json, Encoding::Json)] {
            let some = Rejected { count: 1, message: "1 model calls without a user".to_owned() };
            let message = form.skipped(&traces(encoding, &some)).expect("a response");
            assert_eq!(message.as_deref(), Some("1 model calls without a user"));
            assert_eq!(form.skipped(&traces(encoding, &Rejected::default())).expect("a response"), None);
            assert!(form.skipped(b"<html>").is_err());
        }
    }
}
