//! New sandboxes: how long they take to ask for work, and to do the first of it.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::case::Case;
use crate::lambda::Sandbox;
use crate::remote::Remote;
use crate::statistics::{median, millis, quantile};

const STARTS: u32 = 31;
/// Apart from what else is sent: an event is not to meet another of its time.
const FIRST: u32 = 10_000;

/// Medians in milliseconds.
#[derive(Debug, Serialize)]
pub struct Cold {
    /// From the start of the process until it asks for work, and the same of the floor.
    pub start: f64,
    pub floor_start: f64,
    /// The first request, the key's look-up included.
    pub first: f64,
    /// The same with the stores behind TLS and a round trip away.
    pub remote_first: f64,
    /// From the start to the answer to the first request, there; and from the start until the bare calls are made, without
    /// the key's.
    pub remote_total: f64,
    pub remote_floor_total: Option<f64>,
}

/// Measures `case`. A function and its floor take turns, so that what else the machine does meets both.
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

/// One new sandbox, in milliseconds.
struct Once {
    start: f64,
    first: f64,
    total: f64,
}

/// Start and first request of the one new sandbox that `starting` gives.
async fn once(case: Case<'_>, starting: impl Future<Output = Result<Sandbox>>, number: u32) -> Result<Once> {
    let started = Instant::now();
    let sandbox = starting.await?;
    let first = case.ask(&sandbox, FIRST + number).await?;
    let total = started.elapsed();
    let start = sandbox.start;
    sandbox.stop().await?;
    Ok(Once { start: millis(start), first: millis(first), total: millis(total) })
}
