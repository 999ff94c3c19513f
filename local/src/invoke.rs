//! Invoking functions that no request waits for, through `cargo lambda watch`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A function and how to reach it.
#[derive(Clone, Debug)]
pub struct Invoker {
    client: reqwest::Client,
    url: String,
    timeout: Duration,
    name: String,
}

impl Invoker {
    /// Invokes `function`, which may take `timeout`, at `functions`, where `cargo lambda watch` takes invocations.
    pub fn new(functions: SocketAddr, function: &str, timeout: Duration) -> Self {
        Self {
            client: reqwest::Client::new(),
            url: format!("http://{functions}/2015-03-31/functions/{function}/invocations"),
            timeout,
            name: function.to_owned(),
        }
    }

    /// The function's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Invokes the function with `event` and gives what it reports of single items as failed. One that answers nothing
    /// has done them all.
    ///
    /// # Errors
    /// When it fails as a whole, or does not answer in time.
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
        // An item without a name fails the whole batch, as Lambda has it.
        Ok(failures.map(|failure| failure["itemIdentifier"].as_str().unwrap_or_default().to_owned()).collect())
    }
}
