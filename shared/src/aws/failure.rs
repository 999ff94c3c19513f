//! What is left to say of a call that failed.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Codes with which a service refuses a request for what it asks: to ask again changes nothing. Everything else may pass,
/// a missing permission or table included, for an operator may mend it.
const REFUSALS: [&str; 11] = [
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

/// A store did not do as it was asked, after all retries.
///
/// It names the cause without the content: an SDK error's own text can hold the item that was written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{store} {operation}: {cause}")]
pub struct StoreError {
    /// The AWS service: `dynamodb`, `s3`, `sqs` or `ssm`.
    pub store: &'static str,
    /// The operation in the service's own terms, such as `PutItem`.
    pub operation: &'static str,
    /// An error code of the service, or what kept the call from reaching it.
    pub cause: String,
    /// Whether it may go better when it is tried again later.
    pub is_passing: bool,
}

impl StoreError {
    /// The failure of `operation` at `store`, from what the SDK reports.
    pub fn from_sdk<E, R>(store: &'static str, operation: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata,
    {
        let cause = match error {
            SdkError::TimeoutError(_) => NO_RESPONSE.to_owned(),
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(connector) => format!("not reached: {}", root_cause(connector)),
                None => "not reached".to_owned(),
            },
            SdkError::ServiceError(answer) => answer.err().code().unwrap_or("an error without a code").to_owned(),
            SdkError::ResponseError(_) => "an answer that could not be read".to_owned(),
            _ => "a request that could not be made".to_owned(),
        };
        let is_passing = !REFUSALS.contains(&cause.as_str());
        Self { store, operation, cause, is_passing }
    }

    /// Returns the failure of `operation` at `store` that was not done in time.
    pub fn overdue(store: &'static str, operation: &'static str) -> Self {
        Self { store, operation, cause: NO_RESPONSE.to_owned(), is_passing: true }
    }

    /// What was stored, or is to be, is not in the form that this version writes and reads.
    pub fn unreadable(store: &'static str, operation: &'static str, what: impl Into<String>) -> Self {
        Self { store, operation, cause: format!("unreadable {}", what.into()), is_passing: false }
    }
}

fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
