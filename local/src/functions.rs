//! The functions under `cargo lambda watch`: starts, controls and stops the [`supervisor`] process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

use crate::supervisor::{self, Program, SupervisorConfig};
use crate::toolchain;

/// Longer than the time that the supervisor gives its own processes.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);
/// The number of log lines in an error message.
const TAIL_LINES: usize = 25;
/// The number of log lines that are searched for the error message.
const LOOKED_AT_LINES: usize = 500;

/// The settings for starting the functions.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The workspace's folder.
    pub root: &'a Path,
    /// The current program, which has the subcommand `supervisor`.
    pub program: &'a Path,
    /// The program `cargo-lambda`.
    pub cargo_lambda: &'a Path,
    /// The address for `cargo lambda watch`.
    pub address: SocketAddr,
    /// The functions' binaries.
    pub functions: &'a [Program],
    /// The number of processes per function.
    pub processes: u16,
    /// Additional environment variables of the functions, besides the user's own.
    pub environment: &'a BTreeMap<String, String>,
    /// The log file for all output.
    pub log: &'a Path,
}

/// The running functions.
#[derive(Debug)]
pub struct Functions {
    supervisor: Child,
    // Dropping this pipe stops the supervisor.
    commands: Option<ChildStdin>,
    address: SocketAddr,
    log: PathBuf,
}

impl Functions {
    /// Starts the functions. [`Functions::address`] responds some time later.
    ///
    /// # Errors
    /// Fails if the supervisor cannot be started, or the log cannot be written.
    pub async fn start(settings: &Settings<'_>) -> Result<Self> {
        let log = File::create(settings.log).with_context(|| format!("cannot write {}", settings.log.display()))?;
        let address = settings.address;
        let mut supervisor = Command::new(settings.program)
            .arg("supervisor")
            .env_clear()
            .envs(toolchain::environment(settings.environment))
            // Not the workspace: `cargo lambda watch` searches every subfolder for .gitignore.
            .current_dir(settings.log.parent().unwrap_or(settings.root))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("cannot share the log")?)
            .stderr(log)
            // Ctrl-C is handled by the stack, which shuts down in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", settings.program.display()))?;
        let mut functions =
            Self { commands: supervisor.stdin.take(), supervisor, address, log: settings.log.to_owned() };
        let config = SupervisorConfig {
            watch: command_line(settings, address),
            address,
            functions: settings.functions.to_vec(),
            processes: settings.processes,
        };
        functions.send(&serde_json::to_string(&config).context("the functions cannot be described")?).await?;
        Ok(functions)
    }

    /// Returns the address of `cargo lambda watch`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops every process of every function and starts it again from the current binaries.
    ///
    /// # Errors
    /// Fails if the supervisor has ended.
    pub async fn restart(&mut self) -> Result<()> {
        self.send(supervisor::RESTART).await
    }

    /// Waits until the supervisor ends by itself, and returns an error with the tail of the log.
    pub async fn failure(&mut self) -> anyhow::Error {
        let status = match self.supervisor.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        anyhow!("cargo lambda watch has ended ({status}){}", self.tail())
    }

    /// Returns the tail of the log for an error message, without repeated lines.
    pub fn tail(&self) -> String {
        let log = self.log();
        let mut tail = Vec::new();
        // Every process of every function may have logged the same line.
        for line in log.lines().rev().filter(|line| !line.trim().is_empty()).take(LOOKED_AT_LINES) {
            if !tail.contains(&line) {
                tail.push(line);
            }
        }
        tail.truncate(TAIL_LINES);
        tail.reverse();
        let tail = tail.join("\n  ");
        format!("; the end of {}:\n  {tail}", self.log.display())
    }

    /// Returns all output of the functions and `cargo lambda watch`.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Stops all processes and waits until they have ended.
    pub async fn stop(mut self) {
        self.commands.take();
        let group = supervisor::pid(&self.supervisor);
        if tokio::time::timeout(STOP_TIMEOUT, self.supervisor.wait()).await.is_err()
            && let Some(group) = group
        {
            let _gone = kill_process_group(group, Signal::KILL);
            let _status = self.supervisor.wait().await;
        }
    }

    async fn send(&mut self, command: &str) -> Result<()> {
        let commands = self.commands.as_mut().context("the functions are being stopped")?;
        commands.write_all(format!("{command}\n").as_bytes()).await.context("the functions' supervisor has ended")
    }
}

/// Returns the command line that serves the Lambda runtime API and the routes of the workspace on `address`.
fn command_line(settings: &Settings<'_>, address: SocketAddr) -> Vec<OsString> {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let mut command = vec![settings.cargo_lambda.into()];
    let fixed = ["lambda", "watch", "--only-lambda-apis", "--disable-cors", "--color", "never"];
    command.extend(fixed.map(OsString::from));
    command.extend(["--invoke-address", &ip, "--invoke-port", &port, "--manifest-path"].map(OsString::from));
    command.push(settings.root.join("Cargo.toml").into());
    command
}
