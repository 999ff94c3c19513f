//! The subcommand `exec`: runs a command against a fresh stack.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::shutdown::Interruption;
use crate::stack::{Options, Stack};
use crate::{supervisor, toolchain};

/// The time that the command has to end after an interruption.
const GRACE: Duration = Duration::from_secs(5);
/// The offset that shells add to the number of the signal that ended a program.
const SIGNAL_BASE: u8 = 128;

/// Starts a fresh stack, runs `command` with the stack's addresses and an API key in its environment, stops the stack
/// and returns the command's exit code. `options` holds everything but the data folder, which is temporary; `keep`
/// preserves it.
///
/// # Errors
/// Fails if the stack or the command does not start, or the stack ends before the command.
pub async fn run(mut options: Options, keep: bool, command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("a command is missing: write it after --")?;
    let mut interruption = Interruption::listen()?;
    let mut folder = TempDir::with_prefix("signals-").context("cannot make a temporary folder")?;
    folder.disable_cleanup(keep);
    options.data = folder.path().to_owned();
    let mut stack = tokio::select! {
        stack = Stack::start(&options) => stack?,
        signal = interruption.wait() => return Ok(ExitCode::from(SIGNAL_BASE + signal)),
    };

    let description = stack.description();
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(toolchain::environment(&description.environment))
        .env("SIGNALS_URL", &description.api)
        .env("SIGNALS_DASHBOARD", &description.dashboard)
        .env("SIGNALS_KEY", stack.api_key())
        .env("SIGNALS_INVOCATIONS", format!("http://{}", description.functions))
        .env("SIGNALS_RUNTIME_API", stack.runtime_api())
        .env("SIGNALS_DATA", folder.path())
        .env("SIGNALS_PROGRAM", &options.program)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()));
    let outcome = match &mut child {
        Err(_) => Ok(ExitCode::FAILURE),
        Ok(child) => tokio::select! {
            status = child.wait() => status.map(exit_code).context("cannot wait for the command"),
            signal = interruption.wait() => {
                end(child, GRACE).await;
                Ok(ExitCode::from(SIGNAL_BASE + signal))
            }
            error = stack.failure() => {
                end(child, GRACE).await;
                Err(error)
            }
        },
    };
    stack.stop().await;
    if keep {
        eprintln!("the stack's data is in {}", PathBuf::from(folder.path()).display());
    }
    child.and(outcome)
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let signal = || status.signal().and_then(|signal| u8::try_from(signal).ok()).map(|signal| SIGNAL_BASE + signal);
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).or_else(signal).unwrap_or(1))
}

/// Asks `child` to end, waits for it, and kills it after `grace`.
async fn end(child: &mut Child, grace: Duration) {
    if let Some(pid) = supervisor::pid(child) {
        // The call fails if the child has already ended, which is fine.
        let _gone = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        let _gone = child.kill().await;
    }
}
