//! Serving functions that no request waits for: those that streams and queues invoke.

use std::time::Instant;

use lambda_http::lambda_runtime::{self, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Serves the function `function` for as long as the sandbox lives: every event goes to `handler`, whose answer is
/// Lambda's to read.
///
/// # Errors
/// When the Lambda runtime cannot be reached.
pub async fn run<E, A, H, F>(function: &'static str, handler: H) -> Result<(), lambda_runtime::Error>
where
    E: DeserializeOwned + Send,
    A: Serialize + Send,
    H: Fn(E) -> F + Send + Sync,
    F: Future<Output = A> + Send,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(|event: LambdaEvent<E>| async move {
        let started = Instant::now();
        let request_id = event.context.request_id;
        let answer = handler(event.payload).await;
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        tracing::info!(function, request_id, milliseconds, "event handled");
        Ok::<_, lambda_runtime::Error>(answer)
    }))
    .await
}
