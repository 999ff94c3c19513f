//! Invokes functions asynchronously, without an HTTP request, through `cargo lambda watch`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A function and its invocation endpoint.
#[derive(Clone, Debug)]
pub struct Invoker {
    client: reqwest::Client,
    url: String,
    timeout: Duration,
    name: String,
}

impl Invoker {
    /// Creates an invoker for `function`, whose timeout is `timeout`. `functions` is the address of `cargo lambda
    /// watch`.
    pub fn new(functions: SocketAddr, function: &str, timeout: Duration) -> Self {
        Self {
            client: reqwest::Client::new(),
            url: format!("http://{functions}/2015-03-31/functions/{function}/invocations"),
            timeout,
            name: function.to_owned(),
        }
    }

    /// Returns the function's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Invokes the function with `event` and returns the ids of the items that it reports as failed. An empty response
    /// means that all items succeeded.
    ///
    /// # Errors
    /// Fails if the whole invocation fails, or the function does not respond in time.
    pub async fn invoke(&self, event: &Value) -> Result<Vec<String>> {
        let response = self.client.post(&self.url).timeout(self.timeout).json(event).send().await?;
        let status = response.status();
        let body = response.text().await?;
        ensure!(status.is_success(), "{status}: {body}");
        if body.trim().is_empty() {
            return Ok(Vec::new());
        }
        let answer: Value = serde_json::from_str(&body).context("it answers no JSON")?;
        let failures = answer["batchItemFailures"].as_array().into_iter().flatten();
        // As in Lambda, an item without a name fails the whole batch.
        Ok(failures.map(|failure| failure["itemIdentifier"].as_str().unwrap_or_default().to_owned()).collect())
    }
}
