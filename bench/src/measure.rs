//! Measures a function and its baseline.

use anyhow::Result;
use gate::figures::sizes;
use serde::Serialize;

use crate::case::Case;
use crate::cold::{self, Cold};
use crate::remote::Remote;
use crate::throughput;
use crate::warm::{self, Warm};

/// Numbers of concurrent sandboxes.
pub const SANDBOXES: [usize; 3] = [1, 2, 8];

/// The figures of a function.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub name: &'static str,
    pub binary_bytes: u64,
    pub zip_bytes: u64,
    pub cold: Cold,
    pub warm: Warm,
    /// Requests per second for each number in [`SANDBOXES`].
    pub per_second: Vec<f64>,
}

/// Measures `case`.
pub async fn measure(case: Case<'_>, remote: &Remote) -> Result<Measured> {
    let name = case.endpoint.name;
    let (binary_bytes, zip_bytes) = sizes(&case.programs.path(name))?;
    let cold = cold::measure(case, remote).await?;
    let warm = warm::measure(case, remote).await?;
    let mut per_second = Vec::new();
    for sandboxes in SANDBOXES {
        per_second.push(throughput::of_function(case, sandboxes).await?);
    }
    Ok(Measured { name, binary_bytes, zip_bytes, cold, warm, per_second })
}
