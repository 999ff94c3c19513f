//! Errors of AWS calls.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Non-retryable error codes. Everything else, including missing permissions or tables, is treated as transient,
/// because an operator may fix it.
const PERMANENT_CODES: [&str; 11] = [
    "BatchRequestTooLong",
    "EntityTooLarge",
    "InvalidAddress",
    "InvalidArgument",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "InvalidRequest",
    "ItemCollectionSizeLimitExceededException",
    "KeyTooLongError",
    "SerializationException",
    "ValidationException",
];

const NO_RESPONSE: &str = "no response in time";

/// An operation of a store failed after all retries.
///
/// Contains the cause without user content: an SDK error's own text can contain the written item.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{store} {operation}: {cause}")]
pub struct StoreError {
    /// The AWS service: `dynamodb`, `s3`, `sqs` or `ssm`.
    pub store: &'static str,
    /// The operation in the service's own terms, such as `PutItem`.
    pub operation: &'static str,
    /// Error code of the service, or the reason why the service was not reached.
    pub cause: String,
    /// Whether a later retry may succeed.
    pub is_transient: bool,
}

impl StoreError {
    /// Creates the error of `operation` at `store` from an SDK error.
    pub fn from_sdk<E, R>(store: &'static str, operation: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        let cause = match error {
            SdkError::TimeoutError(_) => NO_RESPONSE.to_owned(),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(connector) => format!("cannot connect: {}", root_cause(connector)),
                None => "cannot connect".to_owned(),
            },
            SdkError::ServiceError(error) => error.err().code().unwrap_or("error without a code").to_owned(),
            SdkError::ResponseError(_) => "cannot read response".to_owned(),
            _ => "cannot build request".to_owned(),
        };
        let is_transient = !PERMANENT_CODES.contains(&cause.as_str());
        Self { store, operation, cause, is_transient }
    }

    /// Returns the first transient and the first permanent failure among `results`.
    pub fn first_of<T>(results: &[Result<T, Self>]) -> (Option<&Self>, Option<&Self>) {
        let failures = || results.iter().filter_map(|result| result.as_ref().err());
        let first = |is_transient: bool| failures().find(|failure| failure.is_transient == is_transient);
        (first(true), first(false))
    }

    /// Returns the error of an `operation` at `store` that timed out.
    pub fn overdue(store: &'static str, operation: &'static str) -> Self {
        Self { store, operation, cause: NO_RESPONSE.to_owned(), is_transient: true }
    }

    /// Returns the error for stored data, described by `what`, that this version cannot read.
    pub fn corrupt(store: &'static str, operation: &'static str, what: &str) -> Self {
        Self { store, operation, cause: format!("cannot read stored {what}"), is_transient: false }
    }

    /// Returns the error for data, described by `what`, that this version cannot write.
    pub fn encode(store: &'static str, operation: &'static str, what: &str) -> Self {
        Self { store, operation, cause: format!("cannot encode {what}"), is_transient: false }
    }
}

fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
