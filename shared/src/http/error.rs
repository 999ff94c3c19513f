//! Errors of a request and their conversion to a status and a body.

use lambda_http::http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::response::{self, Response};
use crate::auth::AuthError;
use crate::aws::StoreError;
use crate::config::ByteLimit;
use crate::otlp::{DecodeError, Encoding, response as otlp};
use crate::validation::FieldError;

/// Seconds after which a caller should retry if a store failed.
const RETRY_AFTER_SECONDS: &str = "2";

/// Reason why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No key, or a key that is unknown, expired or revoked.
    #[error("unauthenticated")]
    Unauthenticated,
    /// The key lacks the scope, or is not valid for this agent.
    #[error("forbidden")]
    Forbidden,
    /// The requested resource does not exist.
    #[error("not found")]
    NotFound(&'static str),
    /// The same event was sent before with a different body.
    #[error("conflict")]
    Conflict(&'static str),
    /// The body exceeds this limit.
    #[error("body exceeds {} bytes", .0.bytes)]
    BodyTooLarge(ByteLimit),
    /// The request comes from the page of a website that may not call the endpoint.
    #[error("foreign origin")]
    ForeignOrigin,
    /// The endpoint accepts only POST.
    #[error("method not allowed")]
    OnlyPost,
    /// The client accepts no JSON.
    #[error("JSON is not accepted")]
    NotAcceptable,
    /// The body's content type is not JSON.
    #[error("content type is not JSON")]
    UnsupportedMediaType,
    /// The body's content type is neither of those of OTLP.
    #[error("content type is not OTLP")]
    NotAnExport,
    /// The body is not an OTLP export, or exceeds a limit.
    #[error("unreadable export: {0}")]
    UnreadableExport(DecodeError),
    /// The body is compressed in another way than with gzip.
    #[error("content encoding is not gzip")]
    UnsupportedEncoding,
    /// Body, path or query are invalid. Every invalid field is listed.
    #[error("invalid request")]
    Invalid(Vec<FieldError>),
    /// A store failed after retries.
    #[error("unavailable: {0}")]
    Unavailable(StoreError),
    /// The request exceeded its time limit.
    #[error("deadline exceeded")]
    Overdue,
    /// An unexpected error.
    #[error("internal: {0}")]
    Internal(String),
}

impl From<StoreError> for Error {
    fn from(failure: StoreError) -> Self {
        if failure.is_transient { Self::Unavailable(failure) } else { Self::Internal(failure.to_string()) }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::UnreadableExport(error)
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unauthenticated => Self::Unauthenticated,
            AuthError::Forbidden => Self::Forbidden,
            AuthError::Store(failure) => failure.into(),
        }
    }
}

impl From<FieldError> for Error {
    fn from(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }
}

impl From<Vec<FieldError>> for Error {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors)
    }
}

impl Error {
    /// Converts the error to a response.
    pub fn into_response(self) -> Response {
        match self {
            Self::Unauthenticated => detail(StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::Forbidden => detail(StatusCode::FORBIDDEN, "Forbidden"),
            Self::NotFound(what) => response::json(StatusCode::NOT_FOUND, &json!({ "error": what })),
            Self::Conflict(why) => detail(StatusCode::CONFLICT, why),
            Self::BodyTooLarge(limit) => detail(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("The body may have at most {} bytes ({}).", limit.bytes, limit.limit_name),
            ),
            Self::ForeignOrigin => detail(
                StatusCode::FORBIDDEN,
                "Pages of this website may not send requests to this endpoint (Origin). The parameter AllowedOrigin of the \
                 stack names a website that may.",
            ),
            Self::OnlyPost => {
                let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, "This endpoint accepts only POST.");
                response::set_header(&mut response, "allow", "POST");
                response
            }
            Self::NotAcceptable => detail(
                StatusCode::NOT_ACCEPTABLE,
                "The response is JSON: send the header accept: application/json, text/event-stream.",
            ),
            Self::UnsupportedMediaType => detail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON: send it with the header content-type: application/json.",
            ),
            Self::NotAnExport => detail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be OTLP: send it with the header content-type: application/x-protobuf or application/json.",
            ),
            Self::UnreadableExport(error) => detail(export_status(&error).0, error.to_string()),
            Self::UnsupportedEncoding => detail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body may be compressed only with gzip: send it with content-encoding: gzip, or without that header.",
            ),
            Self::Invalid(errors) => detail(StatusCode::UNPROCESSABLE_ENTITY, errors),
            Self::Unavailable(failure) => unavailable(outage(&failure)),
            Self::Overdue => unavailable("The request timed out, and parts of it may be stored. Try again.".to_owned()),
            Self::Internal(_) => detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        }
    }

    /// Converts the error to a response to an exporter: `google.rpc.Status` in the encoding of the request. Errors that
    /// exporters neither read nor retry are the same as for other requests.
    pub fn into_export_response(self, encoding: Encoding) -> Response {
        match self {
            Self::UnreadableExport(error) => {
                let (status, code) = export_status(&error);
                response::export(status, encoding, otlp::status(encoding, code, &error.to_string()))
            }
            Self::Unavailable(failure) => {
                let body = otlp::status(encoding, otlp::UNAVAILABLE, &outage(&failure));
                retryable(response::export(StatusCode::SERVICE_UNAVAILABLE, encoding, body))
            }
            Self::Internal(_) => {
                let body = otlp::status(encoding, otlp::INTERNAL, "Internal Server Error");
                response::export(StatusCode::INTERNAL_SERVER_ERROR, encoding, body)
            }
            other => other.into_response(),
        }
    }
}

/// Returns the status and the code of `google.rpc.Status` for a body that cannot be read.
fn export_status(error: &DecodeError) -> (StatusCode, i32) {
    match error {
        DecodeError::TooLarge { .. } | DecodeError::TooManyRecords | DecodeError::RecordTooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, otlp::RESOURCE_EXHAUSTED)
        }
        DecodeError::Malformed { .. } | DecodeError::Gzip(_) => (StatusCode::BAD_REQUEST, otlp::INVALID_ARGUMENT),
    }
}

fn outage(failure: &StoreError) -> String {
    format!("The store is unavailable ({}). Try again.", failure.store)
}

fn unavailable(why: String) -> Response {
    retryable(detail(StatusCode::SERVICE_UNAVAILABLE, why))
}

pub(super) fn retryable(mut response: Response) -> Response {
    response::set_header(&mut response, "retry-after", RETRY_AFTER_SECONDS);
    response
}

fn detail(status: StatusCode, detail: impl Serialize) -> Response {
    #[derive(Serialize)]
    struct Body<T> {
        detail: T,
    }
    response::json(status, &Body { detail })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::S3;
    use serde_json::Value;

    /// Returns status, code and `Retry-After` of the response to an exporter that sends JSON.
    fn exported(error: Error) -> (u16, Value, bool) {
        let response = error.into_export_response(Encoding::Json);
        let body: Value = serde_json::from_slice(response.body()).expect("JSON");
        (response.status().as_u16(), body["code"].clone(), response.headers().contains_key("retry-after"))
    }

    #[test]
    fn exporters_retry_only_transient_failures() {
        let failure = |is_transient| StoreError { is_transient, ..StoreError::overdue(S3, "PutObject") };
        let malformed = DecodeError::Gzip("some cause".to_owned());
        for (error, status, code, is_retried) in [
            (Error::from(failure(true)), 503, json!(14), true),
            (Error::from(failure(false)), 500, json!(13), false),
            (Error::from(malformed), 400, json!(3), false),
            (Error::from(DecodeError::TooManyRecords), 413, json!(8), false),
            (Error::from(DecodeError::RecordTooLarge), 413, json!(8), false),
            (Error::Forbidden, 403, Value::Null, false),
        ] {
            assert_eq!(exported(error), (status, code, is_retried));
        }
    }

    #[test]
    fn export_error_has_the_encoding_of_its_request() {
        let response = Error::from(DecodeError::TooManyRecords).into_export_response(Encoding::Protobuf);
        assert_eq!(response.headers()["content-type"], "application/x-protobuf");
        // Field 1, a varint.
        assert_eq!(response.body()[..2], [0x08, 8]);
    }
}
