//! Reads from the API.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::retries::Retries;

/// The time to wait until a busy stack shows what it has accepted, and the interval between two reads.
const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const PERIOD: Duration = Duration::from_millis(200);

/// Calls `read` until its value is complete according to `is_complete`. Returns the last value if that takes too long.
///
/// # Errors
/// Fails if `read` fails.
pub(super) async fn until<T>(read: impl AsyncFn() -> Result<T>, is_complete: impl Fn(&T) -> bool) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let value = read().await?;
        if is_complete(&value) || Instant::now() > deadline {
            return Ok(value);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Gets `path` as JSON, again if a busy stack cannot read at the moment.
///
/// # Errors
/// Fails if the stack rejects the request or remains unavailable.
pub(super) async fn json<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T> {
    let mut retries = Retries::default();
    loop {
        let (reason, retry_after) = match client.get(path, "application/json").await {
            Ok(response) if response.status.is_success() => {
                return serde_json::from_slice(&response.body)
                    .with_context(|| format!("unexpected response: {response}"));
            }
            Ok(response) if response.is_transient() => (response.to_string(), response.retry_after()),
            Ok(response) => bail!("{response}"),
            Err(failure) => (failure.to_string(), None),
        };
        retries.wait(&reason, retry_after).await?;
    }
}
