//! Stands between the stack and `cargo lambda watch`, so that nothing stays behind however the stack ends.
//!
//! `cargo lambda watch` gives each function a session of its own, out of reach of a signal to a process group. So it is
//! started by a small process that waits for the end of its standard input: a pipe that the stack holds open and the
//! system closes, whatever kills the stack. The guard then ends `cargo lambda watch`, which ends its functions, and on
//! Linux adopts and kills those that it did not.

use std::ffi::OsString;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How long the command may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// Runs `command` until it ends, or until standard input does.
///
/// # Errors
/// When the command cannot be started.
pub async fn run(command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("there is no command to guard")?;
    adopt_orphans();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;

    let status = tokio::select! {
        status = child.wait() => Some(status?),
        () = end_of_input() => None,
        _ = terminated.recv() => None,
    };
    let code = match status {
        Some(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
        None => {
            end(&mut child, GRACE).await;
            0
        }
    };
    kill_orphans();
    Ok(ExitCode::from(code))
}

async fn end_of_input() {
    let (ended, end) = oneshot::channel();
    // A thread of its own: tokio would wait for a read of its standard input before it lets the process go.
    std::thread::spawn(move || {
        let _closed = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// Asks `child` to end, waits for it, and kills it when `grace` is over.
pub async fn end(child: &mut Child, grace: Duration) {
    if let Some(pid) = pid(child) {
        // It fails when the child is gone, and that is what it is for.
        let _gone = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        let _gone = child.kill().await;
    }
}

/// The process id of `child`, unless it has ended.
pub fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

#[cfg(target_os = "linux")]
fn adopt_orphans() {
    // Without it orphans go to init; then only a function that hangs would outlive us.
    let _unsupported = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

#[cfg(not(target_os = "linux"))]
fn adopt_orphans() {}

/// Kills every child there is, and the children that these leave behind.
#[cfg(target_os = "linux")]
fn kill_orphans() {
    use rustix::process::{WaitOptions, wait};
    loop {
        for pid in children() {
            let _gone = kill_process(pid, Signal::KILL);
        }
        // No child left is an error here.
        if wait(WaitOptions::empty()).is_err() {
            return;
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn kill_orphans() {}

/// The processes whose parent this is, by the fourth field of `/proc/<pid>/stat` (proc_pid_stat(5)).
#[cfg(target_os = "linux")]
fn children() -> Vec<Pid> {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_child = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            // The second field is the command in brackets, and may hold anything.
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(&own)
        })
    };
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(is_child)
        .filter_map(Pid::from_raw)
        .collect()
}
