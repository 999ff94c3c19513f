//! New sandboxes: how long they take to ask for work, and to do the first of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use gate::figures::Programs;
use serde::Serialize;

use crate::bare::Bare;
use crate::endpoints::Endpoint;
use crate::lambda::Sandbox;
use crate::remote::Remote;
use crate::statistics::{millis, quantile};
use crate::stores::Stores;

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

/// Measures `endpoint`. A function and its floor take turns, so that what else the machine does meets both.
pub async fn measure(
    endpoint: Endpoint,
    programs: &Programs,
    stores: &Stores,
    remote: &Remote,
    user: &str,
) -> Result<Cold> {
    let (program, hello, bare) = (programs.path(endpoint.name), programs.path("hello"), programs.path("bare"));
    let subject = endpoint.subject(user)?;
    let event = |number| endpoint.request(user, FIRST + number).to_event(&stores.api_key);
    let [mut start, mut floor_start, mut first] = [(); 3].map(|()| Vec::new());
    for number in 0..STARTS {
        let ours = once(endpoint, &program, &stores.environment, event(number)).await?;
        start.push(ours.start);
        first.push(ours.first);
        floor_start.push(once(endpoint, &hello, &stores.environment, event(number)).await?.start);
    }
    let [mut remote_first, mut remote_total, mut remote_floor_total] = [(); 3].map(|()| Vec::new());
    for number in STARTS..2 * STARTS {
        let ours = once(endpoint, &program, &remote.environment, event(number)).await?;
        remote_first.push(ours.first);
        remote_total.push(ours.total);
        if endpoint.calls_aws() {
            let started = Instant::now();
            let mut bare = Bare::start(&bare, &remote.environment)?;
            bare.run(endpoint.name, 1, &subject).await?;
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
        remote_floor_total: (!remote_floor_total.is_empty()).then(|| quantile(&mut remote_floor_total, 0.5)),
    })
}

/// One new sandbox, in milliseconds.
struct Once {
    start: f64,
    first: f64,
    total: f64,
}

/// Start and first request of one new sandbox.
async fn once(
    endpoint: Endpoint,
    program: &Path,
    environment: &BTreeMap<String, String>,
    event: Bytes,
) -> Result<Once> {
    let started = Instant::now();
    let sandbox = Sandbox::start(program, environment).await?;
    let (took, answer) = sandbox.invoke(event).await?;
    let total = started.elapsed();
    endpoint.require(&answer)?;
    let start = millis(sandbox.start);
    sandbox.stop().await?;
    Ok(Once { start, first: millis(took), total: millis(total) })
}
