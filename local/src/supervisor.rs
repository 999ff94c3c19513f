//! The subcommand `supervisor`: runs `cargo lambda watch` and the functions in a separate process.
//!
//! The stack starts the supervisor, and the supervisor ends with the stack, however the stack ends: it reads its commands
//! from standard input, a pipe that the system closes when the stack's process ends.
//!
//! `cargo lambda watch` could start the functions itself. But then it runs cargo twice and watches every folder of the
//! workspace for each process, which adds seconds to each start; and a crashed function stays down until a file
//! changes. So `cargo lambda watch` only serves the Lambda runtime API (`--only-lambda-apis`), and the supervisor starts the
//! functions: several processes of each, so that requests run concurrently as on AWS. It restarts processes that end.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

/// The delay before a function that has ended is restarted.
const PAUSE: Duration = Duration::from_secs(1);

/// The interval at which the port of `cargo lambda watch` is checked.
const OPENING: Duration = Duration::from_millis(10);

/// The command to restart all functions.
pub const RESTART: &str = "restart";
/// The log message for a function that has ended, after the function's name.
pub const HAS_ENDED: &str = "has ended by itself";

/// The processes to run: the first line of standard input, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct SupervisorConfig {
    /// The command line of `cargo lambda watch`.
    pub watch: Vec<OsString>,
    /// The address of `cargo lambda watch`.
    pub address: SocketAddr,
    /// The functions.
    pub functions: Vec<Program>,
    /// The number of processes per function.
    pub processes: u16,
}

/// A function that is built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// The name of the function in the runtime API.
    pub name: String,
    /// The path of the binary.
    pub path: PathBuf,
}

/// Runs the processes of the configuration, the first line of standard input, and follows the commands in the other
/// lines until standard input ends.
///
/// # Errors
/// Fails if the configuration cannot be read or a program cannot be started.
pub async fn run() -> Result<ExitCode> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut commands = commands();
    let config = commands.recv().await.context("there is no configuration on standard input")?;
    let config: SupervisorConfig = serde_json::from_str(&config).context("the configuration cannot be read")?;

    let (program, arguments) = config.watch.split_first().context("the configuration has no command line")?;
    let mut watch = Command::new(program)
        .args(arguments)
        // Messages at other levels are about starting functions, which the supervisor does itself.
        .env("RUST_LOG", "error")
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut functions = JoinSet::new();
    let mut opened = std::pin::pin!(open(config.address));
    let mut is_open = false;
    let status = loop {
        tokio::select! {
            status = watch.wait() => break Some(status?),
            () = &mut opened, if !is_open => {
                is_open = true;
                functions = start(&config);
            }
            _ = terminated.recv() => break None,
            command = commands.recv() => match command {
                Some(command) if command == RESTART => {
                    functions.shutdown().await;
                    functions = start(&config);
                }
                _ => break None,
            },
        }
    };
    functions.shutdown().await;
    match status {
        // The process was not asked to end, so any exit code is a failure.
        Some(status) => {
            eprintln!("cargo lambda watch {HAS_ENDED} ({status})");
            Ok(ExitCode::FAILURE)
        }
        None => {
            // The process has no state to save, and a graceful end would take a second.
            watch.kill().await.context("cargo lambda watch cannot be ended")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Returns the lines of standard input, until it ends.
fn commands() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    // A separate thread: tokio cannot end a process while it reads standard input.
    std::thread::spawn(move || {
        for command in std::io::stdin().lines() {
            let Ok(command) = command else { return };
            if sender.send(command).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits until the runtime API accepts connections. A function that cannot connect ends at once.
async fn open(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(OPENING).await;
    }
}

/// Starts every function. Dropping a task ends its processes.
fn start(config: &SupervisorConfig) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for function in &config.functions {
        for _ in 0..config.processes {
            // The path of the function's runtime API in `cargo lambda watch`. The scheme is required.
            let runtime_api = format!("http://{}/.rt/{}", config.address, function.name);
            tasks.spawn(keep_running(function.clone(), runtime_api));
        }
    }
    tasks
}

async fn keep_running(function: Program, runtime_api: String) {
    let mut command = Command::new(&function.path);
    command.stdin(Stdio::null()).kill_on_drop(true);
    // Variables that Lambda sets for every function.
    command.env("AWS_LAMBDA_RUNTIME_API", runtime_api).env("AWS_LAMBDA_FUNCTION_NAME", &function.name);
    command.env("AWS_LAMBDA_FUNCTION_VERSION", "1").env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
    loop {
        let status = match command.spawn() {
            Ok(mut child) => child.wait().await,
            Err(error) => Err(error),
        };
        eprintln!("{} {HAS_ENDED} ({})", function.name, describe(status));
        tokio::time::sleep(PAUSE).await;
    }
}

fn describe(status: std::io::Result<ExitStatus>) -> String {
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// Returns the process id of `child`, unless `child` has ended.
pub fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}
