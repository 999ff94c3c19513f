//! The suite's rules by themselves.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gate::figures::Programs;
use rules::RULES;
use serde::Serialize;

use crate::statistics::quantile;

/// Long enough for the difference of two runs to be told from what else the machine does.
const RUN: Duration = Duration::from_millis(100);
const RUNS: usize = 5;

/// What a rule takes.
#[derive(Debug, Serialize)]
pub struct Rule {
    pub name: &'static str,
    /// The median.
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

/// A short run is taken off a long one, and with it the start, and what a rule makes once.
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
