//! The gate: what does not depend on the machine may not grow.
//!
//! Bytes of three functions, and instructions of the rules as valgrind counts them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::measure::{Programs, sizes};

/// One of each kind: S3, DynamoDB, and the chart.
const FUNCTIONS: [&str; 3] = ["post-log", "post-event", "get-visualize"];
const RULES: [&str; 6] = ["classify", "judge-window", "parse-event", "parse-log", "summarise-1000", "draw-chart"];
/// How much a figure may grow before somebody has to say that it should.
const ALLOWED_GROWTH: f64 = 1.05;
/// A difference of two runs leaves the start of the program out.
const FEW: u32 = 5;
const MANY: u32 = 25;

type Figures = BTreeMap<String, u64>;

/// Counts everything anew.
fn count(programs: &Programs) -> Result<Figures> {
    let mut figures = Figures::new();
    for function in FUNCTIONS {
        let (binary, zip) = sizes(&programs.path(function))?;
        figures.insert(format!("{function}: bytes"), binary);
        figures.insert(format!("{function}: bytes zipped"), zip);
    }
    for rule in RULES {
        let (few, many) = (instructions(programs, rule, FEW)?, instructions(programs, rule, MANY)?);
        figures.insert(format!("{rule}: instructions"), many.saturating_sub(few) / u64::from(MANY - FEW));
    }
    Ok(figures)
}

fn instructions(programs: &Programs, rule: &str, times: u32) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = command.arg(programs.path("rules")).args([rule, &times.to_string()]).output();
    let output = output.context("valgrind is missing: on Debian, apt install valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("valgrind fails: {text}");
    }
    let collected = text.lines().find_map(|line| line.split_once("Collected :")).map(|(_, number)| number.trim());
    collected.and_then(|number| number.parse().ok()).with_context(|| format!("valgrind counts nothing: {text}"))
}

/// Writes the figures as they are now to `baseline`.
pub fn record(programs: &Programs, baseline: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(&count(programs)?)?;
    fs::write(baseline, text + "\n").with_context(|| format!("cannot write {}", baseline.display()))
}

/// Fails when a figure has grown past what `baseline` allows.
pub fn check(programs: &Programs, baseline: &Path) -> Result<()> {
    let text = fs::read_to_string(baseline).with_context(|| format!("cannot read {}", baseline.display()))?;
    let before: Figures = serde_json::from_str(&text).with_context(|| baseline.display().to_string())?;
    let mut grown = Vec::new();
    for (name, now) in count(programs)? {
        let was = *before.get(&name).with_context(|| format!("{}: {name} is missing", baseline.display()))?;
        println!("{name:<32} {now:>10}  {:+6.1} %", (now as f64 / was as f64 - 1.0) * 100.0);
        if now as f64 > was as f64 * ALLOWED_GROWTH {
            grown.push(format!("{name}: {was} -> {now}"));
        }
    }
    if grown.is_empty() {
        return Ok(());
    }
    bail!(
        "more than 5 % past {}:\n  {}\nIf that is worth it, `make bench-baseline` takes the new figures.",
        baseline.display(),
        grown.join("\n  ")
    )
}
