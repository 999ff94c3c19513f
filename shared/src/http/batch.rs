//! Items of a batch: each is checked by itself and has its own result.

use serde::Serialize;

use super::error::Error;
use crate::aws::StoreError;
use crate::validation::{self, FieldError};

/// The result of an item that is not processed.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Refusal {
    /// The item is invalid. Every invalid field is listed.
    Invalid {
        /// The errors.
        detail: Vec<FieldError>,
    },
    /// The caller may not access the data of the item's agent.
    Forbidden {
        /// The reason.
        detail: &'static str,
    },
}

impl Refusal {
    /// Returns the result of an item of an agent whose data the caller may not access.
    pub fn forbidden() -> Self {
        Self::Forbidden { detail: "Forbidden" }
    }

    /// Moves the invalid values into the `index`-th item.
    fn in_item(self, index: usize) -> Self {
        match self {
            Self::Invalid { detail } => {
                Self::Invalid { detail: detail.into_iter().map(|error| error.in_item(index)).collect() }
            }
            Self::Forbidden { .. } => self,
        }
    }

    /// Limits the invalid values that the result repeats to `max_bytes` of a response.
    #[must_use]
    pub fn with_echoes_within(mut self, max_bytes: usize) -> Self {
        if let Self::Invalid { detail } = &mut self {
            validation::limit_echoes(detail, max_bytes);
        }
        self
    }
}

impl From<Vec<FieldError>> for Refusal {
    fn from(detail: Vec<FieldError>) -> Self {
        Self::Invalid { detail }
    }
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Self::Invalid { detail: vec![error] }
    }
}

/// The items of a batch that are not processed, each with its place among the others.
#[derive(Debug)]
pub struct Refused(Vec<Option<Refusal>>);

impl Refused {
    /// Returns the results of all items in request order. `processed` are the results of the other items.
    pub fn merge<R: From<Refusal>>(self, processed: impl IntoIterator<Item = R>) -> Vec<R> {
        let mut processed = processed.into_iter();
        self.0.into_iter().filter_map(|refusal| refusal.map(R::from).or_else(|| processed.next())).collect()
    }
}

/// Checks each of `items`. Returns those to be processed, and the results of the others.
pub fn check_items<T>(items: &[&[u8]], check: impl Fn(&[u8]) -> Result<T, Refusal>) -> (Vec<T>, Refused) {
    let mut accepted = Vec::with_capacity(items.len());
    let refused = items.iter().enumerate().map(|(index, item)| match check(item) {
        Ok(item) => {
            accepted.push(item);
            None
        }
        Err(refusal) => Some(refusal.in_item(index)),
    });
    let refused = Refused(refused.collect());
    (accepted, refused)
}

/// Logs the first failures of a batch.
///
/// # Errors
/// A failure if no item was stored: a caller that checks only the status then sends the batch again, and the retry
/// reports the items that were refused. If some failures are transient, the batch is worth a retry, so the reported
/// failure is transient.
pub fn require_stored<T>(results: &[Result<T, StoreError>]) -> Result<(), Error> {
    let (transient, permanent) = StoreError::first_of(results);
    for failure in transient.into_iter().chain(permanent) {
        tracing::error!(cause = %failure, is_transient = failure.is_transient, "failed to store items of a batch");
    }
    match transient.or(permanent) {
        Some(failure) if results.iter().all(Result::is_err) => Err(failure.clone().into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Echo;
    use crate::validation::Violation;
    use serde_json::{Value, json};

    #[derive(Serialize)]
    #[serde(tag = "status", rename_all = "lowercase")]
    enum Outcome {
        Stored {
            item: u8,
        },
        #[serde(untagged)]
        Refused(Refusal),
    }

    impl From<Refusal> for Outcome {
        fn from(refusal: Refusal) -> Self {
            Self::Refused(refusal)
        }
    }

    fn check(item: &[u8]) -> Result<u8, Refusal> {
        match item {
            [b'f'] => Err(Refusal::forbidden()),
            [item @ b'0'..=b'9'] => Ok(item - b'0'),
            _ => Err(FieldError::new("body", None, Violation::value_error("must be a digit"), Echo::null()).into()),
        }
    }

    #[test]
    fn results_are_in_request_order_and_name_their_item() {
        let items: Vec<&[u8]> = vec![b"x", b"1", b"f", b"2", b"y"];
        let (accepted, refused) = check_items(&items, check);
        assert_eq!(accepted, [1, 2]);
        let results = refused.merge(accepted.into_iter().map(|item| Outcome::Stored { item }));
        let invalid = |index: usize| {
            let msg = "Value error, must be a digit";
            json!({ "status": "invalid", "detail": [{ "type": "value_error", "loc": ["body", index], "msg": msg, "input": null }] })
        };
        let stored = |item: u8| json!({ "status": "stored", "item": item });
        let forbidden = json!({ "status": "forbidden", "detail": "Forbidden" });
        assert_eq!(json!(results), json!([invalid(0), stored(1), forbidden, stored(2), invalid(4)]));
    }

    /// Returns the status of the response if the results have these failures: transient, permanent or none.
    fn status(failures: &[Option<bool>]) -> u16 {
        let result = |is_transient: &Option<bool>| match is_transient {
            None => Ok(()),
            Some(is_transient) => {
                Err(StoreError { is_transient: *is_transient, ..StoreError::overdue("s3", "PutObject") })
            }
        };
        let results: Vec<_> = failures.iter().map(result).collect();
        require_stored(&results).map_or_else(|error| error.into_response().status().as_u16(), |()| 207)
    }

    #[test]
    fn batch_fails_only_when_no_item_is_stored() {
        let (transient, permanent) = (Some(true), Some(false));
        assert_eq!(status(&[]), 207);
        assert_eq!(status(&[transient, None, permanent]), 207);
        assert_eq!(status(&[transient, transient]), 503);
        assert_eq!(status(&[permanent, transient]), 503);
        assert_eq!(status(&[permanent, permanent]), 500);
    }

    #[test]
    fn refusal_repeats_values_up_to_its_limit() {
        let error =
            |bytes: usize| FieldError::new("body", None, Violation::value_error("x"), Echo::of(&"x".repeat(bytes)));
        let refusal = Refusal::from(vec![error(10), error(100), error(20), error(80)]).with_echoes_within(50);
        let inputs: Vec<_> = json!(refusal)["detail"]
            .as_array()
            .expect("errors")
            .iter()
            .map(|error| error["input"].as_str().map(str::len))
            .collect();
        assert_eq!(inputs, [Some(10), None, Some(20), None]);
        assert_eq!(json!(Refusal::forbidden().with_echoes_within(0))["detail"], Value::from("Forbidden"));
    }

    #[test]
    fn batch_is_worth_a_retry_if_one_failure_is_transient() {
        let failed = |is_transient| {
            Err(StoreError { store: "s3", operation: "PutObject", cause: "some cause".to_owned(), is_transient })
        };
        let status = |results: &[Result<(), StoreError>]| match require_stored(results) {
            Ok(()) => (207, false),
            Err(error) => {
                let response = error.into_response();
                (response.status().as_u16(), response.headers().contains_key("retry-after"))
            }
        };
        assert_eq!(status(&[failed(true), failed(true)]), (503, true));
        assert_eq!(status(&[failed(false), failed(false), failed(true)]), (503, true));
        assert_eq!(status(&[failed(false), failed(false)]), (500, false));
        assert_eq!(status(&[failed(false), Ok(()), failed(true)]), (207, false));
        assert_eq!(status(&[]), (207, false));
    }
}
