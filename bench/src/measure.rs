//! Measures a function beside its floor.

use std::time::Duration;

use anyhow::{Result, bail};
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

/// The value below which `share` of `values` lie.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let place = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}

/// In milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Whether `answer` is one that `endpoint` is expected to give.
pub fn require_answer(endpoint: Endpoint, answer: &[u8]) -> Result<()> {
    // As the runtime writes it; to parse a whole chart would take longer than to draw it.
    let status = answer.strip_prefix(br#"{"statusCode":"#).and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok());
    if status.and_then(|status| status.parse().ok()).is_some_and(|status| endpoint.expects(status)) {
        return Ok(());
    }
    bail!("{} answers {}", endpoint.name, String::from_utf8_lossy(answer))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::ENDPOINTS;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!([0.0, 0.5, 0.99].map(|share| quantile(&mut values, share)), [1.0, 3.0, 5.0]);
        assert!(quantile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn an_answer_that_was_not_expected_is_an_error() {
        let endpoint = |name| ENDPOINTS.into_iter().find(|endpoint| endpoint.name == name).expect("an endpoint");
        let check = |name, answer: &str| require_answer(endpoint(name), answer.as_bytes()).is_ok();
        assert!(check("post-log", r#"{"statusCode":201,"body":""}"#));
        assert!(check("get-visualize", r#"{"statusCode":404}"#), "an empty log has no chart");
        for answer in
            [r#"{"statusCode":404}"#, r#"{"statusCode":503}"#, r#"{"statusCode":2"#, "", r#"{"errorType":"x"}"#]
        {
            assert!(!check("get-summary", answer), "{answer}");
        }
    }
}
