//! Serves functions invoked by streams, queues and schedules instead of requests.

pub mod stream;

use std::time::{Duration, Instant};

use futures_util::future::FutureExt;
use lambda_http::lambda_runtime::{self, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::aws::StoreError;
use crate::deadline::Deadline;

/// Time limit of a batch. Shorter than the timeout of every function that handles batches, so that completed items are
/// reported as completed.
const BATCH_LIMIT: Duration = Duration::from_secs(25);

/// Items that Lambda should retry (`batchItemFailures`). For streams, Lambda retries everything from the first failed
/// record.
///
/// Format: <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    batch_item_failures: Vec<Failed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    item_identifier: String,
}

impl BatchResponse {
    /// Returns whether the item with `identifier` failed.
    fn contains(&self, identifier: &str) -> bool {
        self.batch_item_failures.iter().any(|failed| failed.item_identifier == identifier)
    }
}

/// Collects message ids, or sequence numbers of a stream.
impl FromIterator<String> for BatchResponse {
    fn from_iter<I: IntoIterator<Item = String>>(failed: I) -> Self {
        let failed = failed.into_iter().map(|item_identifier| Failed { item_identifier });
        Self { batch_item_failures: failed.collect() }
    }
}

/// Serves the function `function` for the lifetime of the sandbox: passes every event with its deadline to `handler`
/// and returns the handler's response to Lambda.
pub async fn run<E, R, H, F>(function: &'static str, handler: H) -> Result<(), lambda_runtime::Error>
where
    E: DeserializeOwned + Send,
    R: Serialize + Send,
    H: Fn(E, Deadline) -> F + Send + Sync,
    F: Future<Output = R> + Send,
{
    let handler = &handler;
    serve(function, BATCH_LIMIT, move |event, deadline| async move { Ok(handler(event, deadline).await) }).await
}

/// Serves the function `function`, which a schedule invokes, for the lifetime of the sandbox: calls `handler` with a
/// deadline at most `limit` from then. An error fails the invocation, and Lambda repeats it twice.
pub async fn run_scheduled<H, F>(
    function: &'static str,
    limit: Duration,
    handler: H,
) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Deadline) -> F + Send + Sync,
    F: Future<Output = Result<(), StoreError>> + Send,
{
    let handler = &handler;
    // Boxed, because the type of the future may be nested more deeply than the compiler allows.
    serve(function, limit, move |_: IgnoredAny, deadline| async move { Ok(handler(deadline).boxed().await?) }).await
}

async fn serve<E, R, H, F>(function: &'static str, limit: Duration, handler: H) -> Result<(), lambda_runtime::Error>
where
    E: DeserializeOwned + Send,
    R: Serialize + Send,
    H: Fn(E, Deadline) -> F + Send + Sync,
    F: Future<Output = Result<R, lambda_runtime::Error>> + Send,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(|event: LambdaEvent<E>| async move {
        let started = Instant::now();
        let deadline = Deadline::of_invocation(event.context.deadline(), limit);
        let request_id = event.context.request_id;
        let response = handler(event.payload, deadline).await;
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        match &response {
            Ok(_) => tracing::info!(function, request_id, milliseconds, "handled event"),
            Err(error) => tracing::error!(function, request_id, milliseconds, cause = %error, "failed to handle event"),
        }
        response
    }))
    .await
}
