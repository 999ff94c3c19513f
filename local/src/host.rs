//! The subcommand `host`: `cargo lambda watch` and the functions, in a process of their own.
//!
//! It is started by the stack and ends with it, however the stack ends: it reads its orders from standard input, a pipe
//! that the stack holds open and the system closes, whatever kills the stack.
//!
//! `cargo lambda watch` could start the functions itself. Then it runs cargo twice and watches every folder of the
//! workspace for each process, which costs a newcomer seconds at each start; and a function that has crashed stays away
//! until a file changes. So it serves the Lambda runtime API alone (`--only-lambda-apis`), and the functions are
//! started here: several processes of each, as many requests at once as on AWS, and again when they end.

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

/// How soon a function that has ended is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// How often to look whether `cargo lambda watch` listens.
const OPENING: Duration = Duration::from_millis(10);

/// The order to start all functions anew.
pub const RESTART: &str = "restart";
/// What the log says of a function that has ended, behind its name.
pub const HAS_ENDED: &str = "has ended by itself";

/// What to run: the first line of standard input, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The command line of `cargo lambda watch`.
    pub watch: Vec<OsString>,
    /// Where it will listen.
    pub address: SocketAddr,
    /// The functions.
    pub functions: Vec<Program>,
    /// How many processes each function has.
    pub processes: u16,
}

/// A function that is built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// Its name, under which the runtime API knows it.
    pub name: String,
    /// Its binary.
    pub path: PathBuf,
}

/// Follows the plan and the orders on standard input until it ends.
///
/// # Errors
/// When the plan cannot be read or a program not be started.
pub async fn run() -> Result<ExitCode> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut orders = orders();
    let plan = orders.recv().await.context("there is no plan on standard input")?;
    let plan: Plan = serde_json::from_str(&plan).context("the plan cannot be read")?;

    let (program, arguments) = plan.watch.split_first().context("the plan has no command")?;
    let mut watch = Command::new(program)
        .args(arguments)
        // What it has to say at other levels is about starting functions, which is not its business here.
        .env("RUST_LOG", "error")
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut functions = JoinSet::new();
    let mut opened = std::pin::pin!(open(plan.address));
    let mut is_open = false;
    let status = loop {
        tokio::select! {
            status = watch.wait() => break Some(status?),
            () = &mut opened, if !is_open => {
                is_open = true;
                functions = start(&plan);
            }
            _ = terminated.recv() => break None,
            order = orders.recv() => match order {
                Some(order) if order == RESTART => {
                    functions.shutdown().await;
                    functions = start(&plan);
                }
                _ => break None,
            },
        }
    };
    functions.shutdown().await;
    match status {
        // Whatever its code says, it was not asked to end.
        Some(status) => {
            eprintln!("cargo lambda watch {HAS_ENDED} ({status})");
            Ok(ExitCode::FAILURE)
        }
        None => {
            // It keeps nothing, and asked to end it would take a second.
            watch.kill().await.context("cargo lambda watch cannot be ended")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The lines of standard input, until it ends.
fn orders() -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    // A thread of its own: tokio lets no process go that still reads its standard input.
    std::thread::spawn(move || {
        for order in std::io::stdin().lines() {
            let Ok(order) = order else { return };
            if sender.send(order).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Waits until the runtime API listens. A function that finds nobody there ends at once.
async fn open(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(OPENING).await;
    }
}

/// Starts every function; its processes end with its task.
fn start(plan: &Plan) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for function in &plan.functions {
        for _ in 0..plan.processes {
            // The path is where `cargo lambda watch` has the runtime API of a function; the scheme has to be there.
            let runtime_api = format!("http://{}/.rt/{}", plan.address, function.name);
            tasks.spawn(keep_running(function.clone(), runtime_api));
        }
    }
    tasks
}

async fn keep_running(function: Program, runtime_api: String) {
    let mut command = Command::new(&function.path);
    command.stdin(Stdio::null()).kill_on_drop(true);
    // What Lambda tells a function about itself.
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

/// The process id of `child`, unless it has ended.
pub fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}
