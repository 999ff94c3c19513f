//! Warm sandboxes.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::case::Case;
use crate::process;
use crate::remote::Remote;
use crate::statistics::{median, millis, quantile};

/// Function and baseline alternate in rounds, so that other load on the machine affects both.
const ROUNDS: u32 = 12;
const TIMES: u32 = 25;

/// The cost of a request. Times are in milliseconds.
#[derive(Debug, Serialize)]
pub struct Warm {
    pub p50: f64,
    pub p99: f64,
    /// The median of the bare calls, if the endpoint makes any.
    pub floor_p50: Option<f64>,
    /// Processor time of the request, and of the bare calls.
    pub cpu: f64,
    pub floor_cpu: Option<f64>,
    /// Peak resident memory with TLS, of the function and of the baseline.
    pub memory_bytes: u64,
    pub floor_memory_bytes: u64,
}

impl Warm {
    /// Returns the function's own time: the median minus the bare calls. It includes the runtime.
    pub fn own(&self) -> f64 {
        self.p50 - self.floor_p50.unwrap_or_default()
    }
}

/// Measures `case`, alternating with the bare calls.
pub async fn measure(case: Case<'_>, remote: &Remote) -> Result<Warm> {
    let sandbox = case.sandbox(&case.stores.environment).await?;
    let mut bare = case.bare(&case.stores.environment)?;
    let (mut whole, mut calls) = (Vec::new(), Vec::new());
    let (mut cpu, mut floor_cpu) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS + 1 {
        // The first round warms up.
        let counts = round > 0;
        let before = process::cpu(sandbox.pid()?)?;
        for number in 0..TIMES {
            let took = case.ask(&sandbox, 1_000 + round * TIMES + number).await?;
            if counts {
                whole.push(millis(took));
            }
        }
        if counts {
            cpu += process::cpu(sandbox.pid()?)?.saturating_sub(before);
        }
        if case.endpoint.calls_aws() {
            let before = process::cpu(bare.pid()?)?;
            let took = case.call(&mut bare, TIMES).await?;
            if counts {
                calls.extend(took);
                floor_cpu += process::cpu(bare.pid()?)?.saturating_sub(before);
            }
        }
    }
    sandbox.stop().await?;
    bare.stop().await?;
    let (ours, hello) = (case.sandbox(&remote.environment).await?, case.hello(&remote.environment).await?);
    for number in 0..ROUNDS * TIMES {
        for sandbox in [&ours, &hello] {
            case.ask(sandbox, 10_000 + number).await?;
        }
    }
    let times = f64::from(ROUNDS * TIMES);
    Ok(Warm {
        p50: quantile(&mut whole, 0.5),
        p99: quantile(&mut whole, 0.99),
        floor_p50: median(&mut calls),
        cpu: millis(cpu) / times,
        floor_cpu: case.endpoint.calls_aws().then(|| millis(floor_cpu) / times),
        memory_bytes: process::peak_memory(ours.pid()?)?,
        floor_memory_bytes: process::peak_memory(hello.pid()?)?,
    })
}
