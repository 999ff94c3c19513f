//! `gate check FUNCTION…` fails if a figure exceeds `bench/baseline.json`. `gate baseline FUNCTION…` rewrites that
//! file. Both measure the programs in `target/release`, which `make gate` and `make baseline` build first.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use gate::baseline::{Baseline, TOLERANCE};
use gate::figures::{Programs, toolchain};

const PROGRAMS: &str = "target/release";
const BASELINE: &str = "bench/baseline.json";

fn main() -> Result<ExitCode> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (command, functions) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)).unwrap_or_default();
    match command {
        "check" => check(functions),
        "baseline" => retake(functions),
        _ => {
            eprintln!("usage: gate check FUNCTION..., or gate baseline FUNCTION...");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn count(functions: &[String]) -> Result<Baseline> {
    Ok(Baseline { toolchain: toolchain()?, figures: Programs(PROGRAMS.into()).figures(functions)? })
}

fn retake(functions: &[String]) -> Result<ExitCode> {
    let now = count(functions)?;
    // The old file may be missing or unreadable, for example because of merge markers.
    if let Ok(committed) = Baseline::read(Path::new(BASELINE)) {
        print!("{}", committed.compare(&now));
    }
    now.write(Path::new(BASELINE))?;
    println!("{BASELINE} has these figures now: commit it, and say why they changed.");
    Ok(ExitCode::SUCCESS)
}

fn check(functions: &[String]) -> Result<ExitCode> {
    let committed = Baseline::read(Path::new(BASELINE))?;
    let now = count(functions)?;
    let comparison = committed.compare(&now);
    print!("{comparison}");
    if comparison.other_toolchain {
        println!(
            "Growth fails nothing here, for {BASELINE} is of another toolchain:\n  committed: {}\n  here:      {}\nWhere \
             the project has changed its toolchain, `make baseline` takes the new figures.",
            committed.toolchain, now.toolchain
        );
    }
    let shrunk = comparison.shrunk();
    if !shrunk.is_empty() {
        println!("Smaller by more than {TOLERANCE} %: {}. `make baseline` keeps it so.", shrunk.join(", "));
    }
    let failures = comparison.failures();
    if failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "{BASELINE} does not allow this:\n  {}\nUndo it; or, if it is meant, take the new figures with `make baseline` \
         and say why in the commit.",
        failures.join("\n  ")
    );
    Ok(ExitCode::FAILURE)
}
