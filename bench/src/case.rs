//! A benchmark scenario: an endpoint and its stores.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use gate::figures::Programs;

use crate::bare::Bare;
use crate::endpoints::Endpoint;
use crate::lambda::Sandbox;
use crate::stores::Stores;

/// An endpoint to measure, and the stores that it uses.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub endpoint: Endpoint,
    pub programs: &'a Programs,
    pub stores: &'a Stores,
    /// The user whose log is read.
    pub user: &'a str,
}

impl Case<'_> {
    /// Starts a sandbox of the endpoint's function.
    pub async fn sandbox(&self, environment: &BTreeMap<String, String>) -> Result<Sandbox> {
        Sandbox::start(&self.programs.path(self.endpoint.name), environment).await
    }

    /// Starts a sandbox of the baseline function.
    pub async fn hello(&self, environment: &BTreeMap<String, String>) -> Result<Sandbox> {
        Sandbox::start(&self.programs.path("hello"), environment).await
    }

    /// Starts the program that makes the bare calls.
    pub fn bare(&self, environment: &BTreeMap<String, String>) -> Result<Bare> {
        Bare::start(&self.programs.path("bare"), environment)
    }

    /// Makes the bare calls repeatedly. Returns the duration of each repetition in milliseconds.
    pub async fn call(&self, bare: &mut Bare, times: u32) -> Result<Vec<f64>> {
        let micros = bare.run(self.endpoint.name, times, &self.endpoint.subject(self.user)?).await?;
        Ok(micros.iter().map(|micros| micros / 1e3).collect())
    }

    /// Sends the request `number` to `sandbox`. Checks the response and returns its duration.
    pub async fn ask(&self, sandbox: &Sandbox, number: u32) -> Result<Duration> {
        let (took, answer) = sandbox.invoke(self.event(number)).await?;
        self.endpoint.require(&answer)?;
        Ok(took)
    }

    fn event(&self, number: u32) -> Bytes {
        self.endpoint.request(self.user, number).to_event(&self.stores.api_key)
    }
}
