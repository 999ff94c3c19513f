//! The benchmark: every function beside its floor.
//!
//! `make bench` builds what is needed and runs it.

mod endpoints;
mod fastapi;
mod floor;
mod lambda;
mod measure;
mod process;
mod report;
mod stores;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use endpoints::{ENDPOINTS, LOGS, NOISY, event};
use lambda::Sandbox;
use measure::{Programs, require_success};
use report::Report;
use stores::Stores;

/// Whose log the functions read when they are measured alone.
const READER: &str = LOGS[0].0;
/// Enough events at once for some to be anomalies.
const NOISE: u32 = 30;

#[derive(Parser)]
struct Cli {
    /// The folder of the release binaries.
    #[arg(long, default_value = "target/release")]
    programs: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure every function and write the report.
    Run {
        /// The program uvicorn of an environment that has FastAPI, to compare with.
        #[arg(long)]
        uvicorn: Option<PathBuf>,
        /// Where to write the table.
        #[arg(long, default_value = "docs/performance.md")]
        page: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let programs = Programs(cli.programs);
    match cli.command {
        Command::Run { uvicorn, page } => run(&programs, uvicorn, page).await,
    }
}

async fn run(programs: &Programs, uvicorn: Option<PathBuf>, page: PathBuf) -> Result<()> {
    let root = std::env::current_dir().context("there is no current folder")?;
    eprintln!("starting the stores");
    let stores = Stores::start(&root, &LOGS).await?;
    make_noise(programs, &stores).await?;
    let mut functions = Vec::new();
    for endpoint in ENDPOINTS {
        eprintln!("measuring {}", endpoint.name);
        functions.push(measure::measure(endpoint, programs, &stores, READER).await?);
    }
    let comparison = match uvicorn {
        Some(uvicorn) => {
            eprintln!("comparing with FastAPI");
            Some(fastapi::compare(&root, std::path::absolute(uvicorn)?, programs, &stores).await?)
        }
        None => None,
    };
    stores.stop().await;
    let report = Report::new(functions, comparison);
    print!("{}", report.table());
    report.publish("target/bench/report.json".as_ref(), &page)
}

/// Sends events enough for some anomalies.
async fn make_noise(programs: &Programs, stores: &Stores) -> Result<()> {
    let post_event = ENDPOINTS.into_iter().find(|endpoint| endpoint.name == "post-event").context("no post-event")?;
    let sandbox = Sandbox::start(&programs.path(post_event.name), &stores.environment).await?;
    for _ in 0..NOISE {
        let mut request = post_event.request("", 0);
        request.body = Some(event(NOISY, 0));
        require_success(&sandbox.invoke(request.to_event(&stores.api_key)).await?.1)?;
    }
    Ok(())
}
