//! The benchmark: compares every function with its baseline.
//!
//! `make bench` builds the programs and runs the benchmark.

mod bare;
mod case;
mod cold;
mod endpoints;
mod fastapi;
mod lambda;
mod measure;
mod process;
mod remote;
mod report;
mod rules;
mod statistics;
mod stores;
mod throughput;
mod warm;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use gate::figures::Programs;

use case::Case;
use endpoints::{ENDPOINTS, LOGS, NOISE, noise};
use lambda::Sandbox;
use remote::Remote;
use report::Report;
use stores::Stores;

/// The user whose log the functions read when only one function is measured.
const READER: &str = LOGS[0].0;

#[derive(Parser)]
struct Cli {
    /// The folder of the release binaries.
    #[arg(long, default_value = "target/release")]
    programs: PathBuf,
    /// The program uvicorn of an environment with FastAPI, for the comparison.
    #[arg(long)]
    uvicorn: Option<PathBuf>,
    /// Measure only this function and print its figures. Can be repeated.
    #[arg(long)]
    only: Vec<String>,
}

const REPORT: &str = "target/bench/report.json";
const PAGE: &str = "docs/performance.md";

#[tokio::main]
async fn main() -> Result<()> {
    let Cli { programs, uvicorn, only } = Cli::parse();
    let programs = Programs(programs);
    let root = std::env::current_dir().context("cannot read the current folder")?;
    eprintln!("starting the stores");
    let stores = Stores::start(&root, &LOGS).await?;
    make_noise(&programs, &stores).await?;
    let remote = Remote::before(&stores).await?;
    let mut functions = Vec::new();
    for endpoint in ENDPOINTS.into_iter().filter(|endpoint| only.is_empty() || only.iter().any(|o| o == endpoint.name))
    {
        eprintln!("measuring {}", endpoint.name);
        let case = Case { endpoint, programs: &programs, stores: &stores, user: READER };
        functions.push(measure::measure(case, &remote).await?);
    }
    if !only.is_empty() {
        print!("{}", Report::new(functions, Vec::new(), None)?.tables());
        return Ok(());
    }
    eprintln!("timing the rules");
    let rules = rules::measure(&programs)?;
    let comparison = match uvicorn {
        Some(uvicorn) => Some(fastapi::compare(&root, std::path::absolute(uvicorn)?, &programs, &stores).await?),
        None => None,
    };
    stores.stop().await;
    let report = Report::new(functions, rules, comparison)?;
    print!("{}", report.tables());
    report.publish(REPORT.as_ref(), PAGE.as_ref())
}

/// Sends enough events for some anomalies.
async fn make_noise(programs: &Programs, stores: &Stores) -> Result<()> {
    let (endpoint, request) = noise();
    let sandbox = Sandbox::start(&programs.path(endpoint.name), &stores.environment).await?;
    for _ in 0..NOISE {
        endpoint.require(&sandbox.invoke(request.to_event(&stores.api_key)).await?.1)?;
    }
    Ok(())
}
