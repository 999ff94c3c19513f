//! Serving functions that no request waits for: those that streams and queues invoke.

pub mod stream;

use std::time::{Duration, Instant};

use lambda_http::lambda_runtime::{self, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deadline::Deadline;

/// The most time that a batch takes. Less than the timeout of every function that handles batches, so that those of its
/// items that are done are reported as done.
const BATCH_LIMIT: Duration = Duration::from_secs(25);

/// What Lambda has to tell again; the rest of the batch is done. Of a stream it tells everything from the first of them on.
///
/// Form: <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartialFailure {
    batch_item_failures: Vec<Failed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    item_identifier: String,
}

impl PartialFailure {
    /// Whether what has `identifier` is among it.
    fn names(&self, identifier: &str) -> bool {
        self.batch_item_failures.iter().any(|failed| failed.item_identifier == identifier)
    }
}

/// From message ids, or from sequence numbers of a stream.
impl FromIterator<String> for PartialFailure {
    fn from_iter<I: IntoIterator<Item = String>>(failed: I) -> Self {
        let failed = failed.into_iter().map(|item_identifier| Failed { item_identifier });
        Self { batch_item_failures: failed.collect() }
    }
}

/// Serves the function `function` for as long as the sandbox lives: every event goes to `handler` with its deadline, and
/// the handler's answer is Lambda's to read.
///
/// # Errors
/// When the Lambda runtime cannot be reached.
pub async fn run<E, A, H, F>(function: &'static str, handler: H) -> Result<(), lambda_runtime::Error>
where
    E: DeserializeOwned + Send,
    A: Serialize + Send,
    H: Fn(E, Deadline) -> F + Send + Sync,
    F: Future<Output = A> + Send,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(|event: LambdaEvent<E>| async move {
        let started = Instant::now();
        let deadline = Deadline::of_invocation(event.context.deadline(), BATCH_LIMIT);
        let request_id = event.context.request_id;
        let answer = handler(event.payload, deadline).await;
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        tracing::info!(function, request_id, milliseconds, "event handled");
        Ok::<_, lambda_runtime::Error>(answer)
    }))
    .await
}
