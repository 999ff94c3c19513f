//! New sandboxes: how long they take to ask for work, and to do the first of it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use bytes::Bytes;
use serde::Serialize;

use crate::endpoints::Endpoint;
use crate::floor::Bare;
use crate::lambda::Sandbox;
use crate::measure::{Programs, millis, quantile, require_success};
use crate::remote::Remote;
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
    /// From the start to the answer to the first request, there.
    pub remote_total: f64,
    /// The bare calls there, the first that their process makes.
    pub remote_floor_first: f64,
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
        let (started, took) = once(&program, &stores.environment, event(number)).await?;
        start.push(started);
        first.push(took);
        floor_start.push(once(&hello, &stores.environment, event(number)).await?.0);
    }
    let [mut remote_first, mut remote_total, mut remote_floor_first] = [(); 3].map(|()| Vec::new());
    for number in STARTS..2 * STARTS {
        let (started, took) = once(&program, &remote.environment, event(number)).await?;
        remote_first.push(took);
        remote_total.push(started + took);
        if endpoint.calls_aws() {
            let mut bare = Bare::start(&bare, &remote.environment)?;
            let micros = bare.run(endpoint.name, 1, &subject).await?;
            bare.stop().await?;
            remote_floor_first.extend(micros.iter().map(|micros| micros / 1e3));
        }
    }
    Ok(Cold {
        start: quantile(&mut start, 0.5),
        floor_start: quantile(&mut floor_start, 0.5),
        first: quantile(&mut first, 0.5),
        remote_first: quantile(&mut remote_first, 0.5),
        remote_total: quantile(&mut remote_total, 0.5),
        remote_floor_first: if remote_floor_first.is_empty() { 0.0 } else { quantile(&mut remote_floor_first, 0.5) },
    })
}

/// Start and first request of one new sandbox.
async fn once(program: &Path, environment: &BTreeMap<String, String>, event: Bytes) -> Result<(f64, f64)> {
    let sandbox = Sandbox::start(program, environment).await?;
    let (took, answer) = sandbox.invoke(event).await?;
    require_success(&answer)?;
    let start = millis(sandbox.start);
    sandbox.stop().await?;
    Ok((start, millis(took)))
}
