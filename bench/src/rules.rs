//! Micro-benchmarks of the rules.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gate::figures::Programs;
use rules::RULES;
use serde::Serialize;

use crate::statistics::quantile;

/// Duration of a long run, in which noise is small compared with the difference of two runs.
const RUN: Duration = Duration::from_millis(100);
const RUNS: usize = 5;

/// The cost of a rule.
#[derive(Debug, Serialize)]
pub struct Rule {
    pub name: &'static str,
    /// Median.
    pub microseconds: f64,
    pub instructions: u64,
}

/// Times every rule.
pub fn measure(programs: &Programs) -> Result<Vec<Rule>> {
    let program = programs.path("rules");
    let measure = |name| {
        Ok(Rule { name, microseconds: microseconds(&program, name)?, instructions: programs.instructions_of(name)? })
    };
    RULES.iter().map(|(name, _)| measure(name)).collect()
}

/// Subtracts a short run from a long run, which removes the start and one-time work.
fn microseconds(program: &Path, name: &str) -> Result<f64> {
    let mut times = 10;
    while run(program, name, times)? < RUN {
        times *= 2;
    }
    let mut micros = Vec::new();
    for _ in 0..RUNS {
        let few = times / 10;
        let (long, short) = (run(program, name, times)?, run(program, name, few)?);
        micros.push(long.saturating_sub(short).as_secs_f64() * 1e6 / f64::from(times - few));
    }
    Ok(quantile(&mut micros, 0.5))
}

fn run(program: &Path, name: &str, times: u32) -> Result<Duration> {
    let started = Instant::now();
    let status = Command::new(program).args([name, &times.to_string()]).status();
    let status = status.with_context(|| format!("cannot start {}", program.display()))?;
    if !status.success() {
        bail!("{} {name} fails", program.display());
    }
    Ok(started.elapsed())
}
