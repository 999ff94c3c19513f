//! Measures a function beside its floor.

use anyhow::Result;
use gate::figures::{Programs, sizes};
use serde::Serialize;

use crate::cold::{self, Cold};
use crate::endpoints::Endpoint;
use crate::remote::Remote;
use crate::stores::Stores;
use crate::throughput;
use crate::warm::{self, Warm};

/// How many sandboxes work at the same time.
pub const SANDBOXES: [usize; 3] = [1, 2, 8];

/// What was measured of a function.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub name: &'static str,
    pub binary_bytes: u64,
    pub zip_bytes: u64,
    pub cold: Cold,
    pub warm: Warm,
    /// With as many sandboxes as [`SANDBOXES`] says.
    pub per_second: Vec<f64>,
}

/// Measures `endpoint`.
pub async fn measure(
    endpoint: Endpoint,
    programs: &Programs,
    stores: &Stores,
    remote: &Remote,
    user: &str,
) -> Result<Measured> {
    let program = programs.path(endpoint.name);
    let (binary_bytes, zip_bytes) = sizes(&program)?;
    let cold = cold::measure(endpoint, programs, stores, remote, user).await?;
    let warm = warm::measure(endpoint, programs, stores, remote, user).await?;
    let mut per_second = Vec::new();
    for sandboxes in SANDBOXES {
        per_second.push(throughput::of_function(endpoint, programs, stores, user, sandboxes).await?);
    }
    Ok(Measured { name: endpoint.name, binary_bytes, zip_bytes, cold, warm, per_second })
}
