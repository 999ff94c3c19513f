//! New sandboxes: start time and first request.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::case::Case;
use crate::lambda::Sandbox;
use crate::remote::Remote;
use crate::statistics::{median, millis, quantile};

const STARTS: u32 = 31;
/// First request number, distinct from all others, so that no two events have the same time.
const FIRST: u32 = 10_000;

/// Medians in milliseconds.
#[derive(Debug, Serialize)]
pub struct Cold {
    /// Time from the start of the process to its request for work, of the function and of the baseline.
    pub start: f64,
    pub floor_start: f64,
    /// The first request, including the lookup of the API key.
    pub first: f64,
    /// The first request over TLS with a round trip.
    pub remote_first: f64,
    /// Time from the start to the first response over TLS; and from the start to the end of the bare calls, without the
    /// key's lookup.
    pub remote_total: f64,
    pub remote_floor_total: Option<f64>,
}

/// Measures `case`. Function and baseline alternate, so that other load on the machine affects both.
pub async fn measure(case: Case<'_>, remote: &Remote) -> Result<Cold> {
    let here = &case.stores.environment;
    let [mut start, mut floor_start, mut first] = [(); 3].map(|()| Vec::new());
    for number in 0..STARTS {
        let ours = once(case, case.sandbox(here), number).await?;
        start.push(ours.start);
        first.push(ours.first);
        floor_start.push(once(case, case.hello(here), number).await?.start);
    }
    let [mut remote_first, mut remote_total, mut remote_floor_total] = [(); 3].map(|()| Vec::new());
    for number in STARTS..2 * STARTS {
        let ours = once(case, case.sandbox(&remote.environment), number).await?;
        remote_first.push(ours.first);
        remote_total.push(ours.total);
        if case.endpoint.calls_aws() {
            let started = Instant::now();
            let mut bare = case.bare(&remote.environment)?;
            case.call(&mut bare, 1).await?;
            remote_floor_total.push(millis(started.elapsed()));
            bare.stop().await?;
        }
    }
    Ok(Cold {
        start: quantile(&mut start, 0.5),
        floor_start: quantile(&mut floor_start, 0.5),
        first: quantile(&mut first, 0.5),
        remote_first: quantile(&mut remote_first, 0.5),
        remote_total: quantile(&mut remote_total, 0.5),
        remote_floor_total: median(&mut remote_floor_total),
    })
}

/// Measurements of one new sandbox in milliseconds.
struct Once {
    start: f64,
    first: f64,
    total: f64,
}

/// Measures start and first request of the sandbox that `starting` starts.
async fn once(case: Case<'_>, starting: impl Future<Output = Result<Sandbox>>, number: u32) -> Result<Once> {
    let started = Instant::now();
    let sandbox = starting.await?;
    let first = case.ask(&sandbox, FIRST + number).await?;
    let total = started.elapsed();
    let start = sandbox.start;
    sandbox.stop().await?;
    Ok(Once { start: millis(start), first: millis(first), total: millis(total) })
}
