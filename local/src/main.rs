//! The command line of the local stack.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use cli::arguments::{Data, TEMPLATE, root};
use cli::data_folder::DataFolder;
use cli::link;
use local::ports::Ports;
use local::stack::Options;
use local::{exec, supervisor, up};

/// Enough processes for requests to run concurrently as on AWS, and for a call to find a free process.
const PROCESSES: u16 = 4;

/// The local stack: DynamoDB, S3, SQS, the functions and the dashboard on one machine.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a stack and run it in the foreground. Ctrl-C stops it.
    Up {
        #[command(flatten)]
        data: Data,
        /// The port of the dashboard and the API. The stores use the next three, invocations the port 920 above.
        #[arg(long, default_value_t = 8080)]
        port_base: u16,
        /// The cargo profile of the functions.
        #[arg(long, default_value = "dev")]
        profile: String,
        /// Show the functions' log.
        #[arg(short, long)]
        verbose: bool,
    },
    /// Run a command against a fresh stack on free ports, then stop the stack.
    ///
    /// The command finds SIGNALS_URL, SIGNALS_KEY, SIGNALS_DASHBOARD and the functions' own variables in its environment.
    Exec {
        /// Keep the stack's data and print its folder.
        #[arg(long)]
        keep: bool,
        /// The cargo profile of the functions.
        #[arg(long, default_value = "dev")]
        profile: String,
        /// The command.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Print a sign-in link to the running stack's dashboard. It works once, within one minute.
    Link {
        #[command(flatten)]
        data: Data,
    },
    /// Run the functions that standard input describes until standard input ends.
    #[command(hide = true)]
    Supervisor,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up { data, port_base, profile, verbose } => {
            let options = Options { data: data.folder()?, ports: Ports::From(port_base), profile, ..options()? };
            up::run(&options, verbose).await?;
        }
        Command::Exec { keep, profile, command } => {
            return exec::run(Options { profile, ..options()? }, keep, &command).await;
        }
        Command::Link { data } => {
            let data = DataFolder::at(&data.folder()?);
            println!("{}", link::create(&data, &data.running()?.dashboard, &[])?);
        }
        Command::Supervisor => return supervisor::run().await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the options that `up` and `exec` share.
fn options() -> Result<Options> {
    let root = root()?;
    Ok(Options {
        template: root.join(TEMPLATE),
        root,
        data: PathBuf::new(),
        ports: Ports::Free,
        profile: String::new(),
        processes: PROCESSES,
        program: std::env::current_exe().context("this program does not find itself")?,
        overrides: BTreeMap::new(),
    })
}
