//! Errors of a request and their conversion to a status and a body.

use lambda_http::http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::response::{self, Response};
use crate::auth::AuthError;
use crate::aws::StoreError;
use crate::config::ByteLimit;
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
    /// The body's content type is not JSON.
    #[error("content type is not JSON")]
    UnsupportedMediaType,
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
            Self::UnsupportedMediaType => detail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be JSON: send it with the header content-type: application/json.",
            ),
            Self::UnsupportedEncoding => detail(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body may be compressed only with gzip: send it with content-encoding: gzip, or without that header.",
            ),
            Self::Invalid(errors) => detail(StatusCode::UNPROCESSABLE_ENTITY, errors),
            Self::Unavailable(failure) => {
                unavailable(format!("The store is unavailable ({}). Try again.", failure.store))
            }
            Self::Overdue => unavailable("The request timed out, and parts of it may be stored. Try again.".to_owned()),
            Self::Internal(_) => detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        }
    }
}

fn unavailable(why: String) -> Response {
    let mut response = detail(StatusCode::SERVICE_UNAVAILABLE, why);
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
