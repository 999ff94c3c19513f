//! Reads from the API.

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::retries::Retries;

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
