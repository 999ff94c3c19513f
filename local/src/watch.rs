//! `cargo lambda watch`: builds, starts and restarts the functions.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Signal, kill_process_group};
use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, Command};

use crate::{guard, toolchain};

/// Longer than the guard gives what it guards.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);
/// As much of the log as goes with an error message.
const TAIL_LINES: usize = 25;

/// How to start it.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The workspace's folder.
    pub root: &'a Path,
    /// This program, which has the subcommand `guard`.
    pub guard: &'a Path,
    /// The port of 127.0.0.1 to listen on.
    pub port: u16,
    /// The cargo profile to build with.
    pub profile: &'a str,
    /// Whether to rebuild and restart the functions when a file changes.
    pub reload: bool,
    /// The most processes of one function.
    pub concurrency: u16,
    /// What the functions find in their environment besides the user's own.
    pub environment: &'a BTreeMap<String, String>,
    /// Where their output goes.
    pub log: &'a Path,
}

/// What the functions are made of: a change in it is a reason to build them again.
const SOURCES: [&str; 4] = ["Cargo.toml", "functions", "shared", "signals.toml"];

/// A folder of links to the sources under `root`.
///
/// `cargo lambda watch` asks the system to watch every folder below the one that it starts in, once for each function.
/// In the root that would be `target`, `.venv` and `node_modules` too: a hundred thousand folders, seconds of work and,
/// on many machines, more than the system allows.
fn link_sources(root: &Path) -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("signals-sources-").tempdir().context("cannot make a folder")?;
    for source in SOURCES {
        symlink(root.join(source), folder.path().join(source)).with_context(|| format!("cannot link to {source}"))?;
    }
    Ok(folder)
}

/// A running `cargo lambda watch`.
#[derive(Debug)]
pub struct Watch {
    guard: Child,
    // To drop it is to tell the guard that it is over.
    life_line: Option<ChildStdin>,
    address: SocketAddr,
    log: PathBuf,
    _sources: TempDir,
}

impl Watch {
    /// Starts it; [`Watch::address`] answers some time later.
    ///
    /// # Errors
    /// When it is not installed, or the log cannot be written.
    pub fn start(settings: &Settings<'_>) -> Result<Self> {
        let program = toolchain::cargo_lambda(settings.root)?;
        let log = File::create(settings.log).with_context(|| format!("cannot write {}", settings.log.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
        let (port, concurrency) = (settings.port.to_string(), settings.concurrency.to_string());
        let sources = link_sources(settings.root)?;

        let mut command = Command::new(settings.guard);
        command.arg("guard").arg("--").arg(program).args(["lambda", "watch", "--disable-cors", "--color", "never"]);
        command.arg("--manifest-path").arg(settings.root.join("Cargo.toml"));
        command.args(["--invoke-address", "127.0.0.1", "--invoke-port", &port]);
        command.args(["--concurrency", &concurrency, "--profile", settings.profile]);
        command.args((!settings.reload).then_some("--ignore-changes"));
        let mut guard = command
            .env_clear()
            .envs(toolchain::environment(settings.environment))
            .current_dir(sources.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("cannot share the log")?)
            .stderr(log)
            // Ctrl-C is for the stack, which ends things in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", settings.guard.display()))?;
        let life_line = guard.stdin.take();
        Ok(Self { guard, life_line, address, log: settings.log.to_owned(), _sources: sources })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has ended by itself, and says so with the tail of its log.
    pub async fn failure(&mut self) -> anyhow::Error {
        let status = match self.guard.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        anyhow!("cargo lambda watch has ended ({status}){}", self.tail())
    }

    /// The end of its log, for an error message.
    pub fn tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n  ");
        format!("; the end of {}:\n  {tail}", self.log.display())
    }

    /// Everything that it has written.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Ends it and all functions, and waits until they are gone.
    pub async fn stop(mut self) {
        self.life_line.take();
        let group = guard::pid(&self.guard);
        if tokio::time::timeout(STOP_TIMEOUT, self.guard.wait()).await.is_err()
            && let Some(group) = group
        {
            let _gone = kill_process_group(group, Signal::KILL);
            let _status = self.guard.wait().await;
        }
    }
}
