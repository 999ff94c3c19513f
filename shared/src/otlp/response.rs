//! Bodies of OTLP/HTTP responses, in the encoding of the request.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>.

use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use serde_json::json;

use super::decode::Encoding;
use super::skipped::Skipped;

/// `INVALID_ARGUMENT` of <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>.
pub const INVALID_ARGUMENT: i32 = 3;
/// `PERMISSION_DENIED`.
pub const PERMISSION_DENIED: i32 = 7;
/// `RESOURCE_EXHAUSTED`.
pub const RESOURCE_EXHAUSTED: i32 = 8;
/// `INTERNAL`.
pub const INTERNAL: i32 = 13;
/// `UNAVAILABLE`.
pub const UNAVAILABLE: i32 = 14;
/// `UNAUTHENTICATED`.
pub const UNAUTHENTICATED: i32 = 16;

/// Records of a request that were not stored. Without any, the whole request was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Number of spans or log records.
    pub count: u64,
    /// Reasons and remedies.
    pub message: String,
}

impl From<&Skipped> for Rejected {
    fn from(skipped: &Skipped) -> Self {
        Self { count: skipped.rejected(), message: skipped.to_string() }
    }
}

impl Rejected {
    fn is_none(&self) -> bool {
        self.count == 0 && self.message.is_empty()
    }

    fn count(&self) -> i64 {
        i64::try_from(self.count).unwrap_or(i64::MAX)
    }

    fn json(&self, count_name: &str) -> Vec<u8> {
        if self.is_none() {
            return b"{}".to_vec();
        }
        // 64-bit integers are texts in the JSON of protobuf.
        let partial = json!({ count_name: self.count.to_string(), "errorMessage": self.message });
        json!({ "partialSuccess": partial }).to_string().into_bytes()
    }
}

/// Returns the body of a response with status 200 to an export of spans.
pub fn traces(encoding: Encoding, rejected: &Rejected) -> Vec<u8> {
    match encoding {
        Encoding::Json => rejected.json("rejectedSpans"),
        Encoding::Protobuf => {
            let partial = || ExportTracePartialSuccess {
                rejected_spans: rejected.count(),
                error_message: rejected.message.clone(),
            };
            let partial_success = (!rejected.is_none()).then(partial);
            ExportTraceServiceResponse { partial_success }.encode_to_vec()
        }
    }
}

/// Returns the body of a response with status 200 to an export of log records.
pub fn logs(encoding: Encoding, rejected: &Rejected) -> Vec<u8> {
    match encoding {
        Encoding::Json => rejected.json("rejectedLogRecords"),
        Encoding::Protobuf => {
            let partial = || ExportLogsPartialSuccess {
                rejected_log_records: rejected.count(),
                error_message: rejected.message.clone(),
            };
            let partial_success = (!rejected.is_none()).then(partial);
            ExportLogsServiceResponse { partial_success }.encode_to_vec()
        }
    }
}

/// Returns the body of a response with status 200 to an export of metrics, which are discarded.
pub fn metrics(encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Json => b"{}".to_vec(),
        Encoding::Protobuf => Vec::new(),
    }
}

/// Returns the body of a response with an error.
pub fn status(encoding: Encoding, code: i32, message: &str) -> Vec<u8> {
    match encoding {
        Encoding::Json => json!({ "code": code, "message": message }).to_string().into_bytes(),
        Encoding::Protobuf => Status { code, message: message.to_owned() }.encode_to_vec(),
    }
}

/// `google.rpc.Status` without its details:
/// <https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto>.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}
