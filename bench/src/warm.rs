//! Sandboxes that have had requests before.

use std::time::Duration;

use anyhow::Result;
use gate::figures::Programs;
use serde::Serialize;

use crate::bare::Bare;
use crate::endpoints::Endpoint;
use crate::lambda::Sandbox;
use crate::process;
use crate::remote::Remote;
use crate::statistics::{millis, quantile};
use crate::stores::Stores;

/// Function and floor take turns, so that what else the machine does meets both.
const ROUNDS: u32 = 12;
const TIMES: u32 = 25;

/// A request's cost. Times are in milliseconds.
#[derive(Debug, Serialize)]
pub struct Warm {
    pub p50: f64,
    pub p99: f64,
    /// The median of the bare calls, where there are any.
    pub floor_p50: Option<f64>,
    /// Processor time, and that of the bare calls.
    pub cpu: f64,
    pub floor_cpu: Option<f64>,
    /// The most that was resident, with the stores behind TLS, and what is of a function that does nothing.
    pub memory_bytes: u64,
    pub floor_memory_bytes: u64,
}

impl Warm {
    /// The function's own time beside its calls, with the runtime's share.
    pub fn own(&self) -> f64 {
        self.p50 - self.floor_p50.unwrap_or_default()
    }
}

/// Measures `endpoint` in turns with the bare calls.
pub async fn measure(
    endpoint: Endpoint,
    programs: &Programs,
    stores: &Stores,
    remote: &Remote,
    user: &str,
) -> Result<Warm> {
    let sandbox = Sandbox::start(&programs.path(endpoint.name), &stores.environment).await?;
    let mut bare = Bare::start(&programs.path("bare"), &stores.environment)?;
    let subject = endpoint.subject(user)?;
    let (mut whole, mut calls) = (Vec::new(), Vec::new());
    let (mut cpu, mut floor_cpu) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS + 1 {
        // The first round warms up.
        let counts = round > 0;
        let before = process::cpu(sandbox.pid()?)?;
        for number in 0..TIMES {
            let event = endpoint.request(user, 1_000 + round * TIMES + number).to_event(&stores.api_key);
            let (took, answer) = sandbox.invoke(event).await?;
            endpoint.require(&answer)?;
            if counts {
                whole.push(millis(took));
            }
        }
        if counts {
            cpu += process::cpu(sandbox.pid()?)?.saturating_sub(before);
        }
        if endpoint.calls_aws() {
            let before = process::cpu(bare.pid()?)?;
            let micros = bare.run(endpoint.name, TIMES, &subject).await?;
            if counts {
                calls.extend(micros.iter().map(|micros| micros / 1e3));
                floor_cpu += process::cpu(bare.pid()?)?.saturating_sub(before);
            }
        }
    }
    sandbox.stop().await?;
    bare.stop().await?;
    let ours = Sandbox::start(&programs.path(endpoint.name), &remote.environment).await?;
    let hello = Sandbox::start(&programs.path("hello"), &remote.environment).await?;
    for number in 0..ROUNDS * TIMES {
        for sandbox in [&ours, &hello] {
            let event = endpoint.request(user, 10_000 + number).to_event(&stores.api_key);
            endpoint.require(&sandbox.invoke(event).await?.1)?;
        }
    }
    let times = f64::from(ROUNDS * TIMES);
    Ok(Warm {
        p50: quantile(&mut whole, 0.5),
        p99: quantile(&mut whole, 0.99),
        floor_p50: (!calls.is_empty()).then(|| quantile(&mut calls, 0.5)),
        cpu: millis(cpu) / times,
        floor_cpu: endpoint.calls_aws().then(|| millis(floor_cpu) / times),
        memory_bytes: process::peak_memory(ours.pid()?)?,
        floor_memory_bytes: process::peak_memory(hello.pid()?)?,
    })
}
