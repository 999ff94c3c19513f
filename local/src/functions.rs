//! The functions under `cargo lambda watch`, as the stack sees them: a [`host`] to start, to give orders and to end.

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

use crate::host::{self, Plan, Program};
use crate::toolchain;

/// Longer than the host gives what it runs.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);
/// As much of the log as goes with an error message.
const TAIL_LINES: usize = 25;
/// As many lines as are looked at for it.
const LOOKED_AT_LINES: usize = 500;

/// How to start them.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The workspace's folder.
    pub root: &'a Path,
    /// This program, which has the subcommand `host`.
    pub program: &'a Path,
    /// The program `cargo-lambda`.
    pub cargo_lambda: &'a Path,
    /// The address for `cargo lambda watch`.
    pub address: SocketAddr,
    /// The functions' binaries.
    pub functions: &'a [Program],
    /// How many processes each function has.
    pub processes: u16,
    /// What the functions find in their environment besides the user's own.
    pub environment: &'a BTreeMap<String, String>,
    /// Where all output goes.
    pub log: &'a Path,
}

/// The running functions.
#[derive(Debug)]
pub struct Functions {
    host: Child,
    // To drop it is to tell the host that it is over.
    orders: Option<ChildStdin>,
    address: SocketAddr,
    log: PathBuf,
}

impl Functions {
    /// Starts them; [`Functions::address`] answers some time later.
    ///
    /// # Errors
    /// When the host cannot be started, or the log not be written.
    pub async fn start(settings: &Settings<'_>) -> Result<Self> {
        let log = File::create(settings.log).with_context(|| format!("cannot write {}", settings.log.display()))?;
        let address = settings.address;
        let mut host = Command::new(settings.program)
            .arg("host")
            .env_clear()
            .envs(toolchain::environment(settings.environment))
            // Not the workspace: `cargo lambda watch` looks through every folder below for .gitignore.
            .current_dir(settings.log.parent().unwrap_or(settings.root))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().context("cannot share the log")?)
            .stderr(log)
            // Ctrl-C is for the stack, which ends things in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", settings.program.display()))?;
        let mut functions = Self { orders: host.stdin.take(), host, address, log: settings.log.to_owned() };
        let plan = Plan {
            watch: command_line(settings, address),
            address,
            functions: settings.functions.to_vec(),
            processes: settings.processes,
        };
        functions.order(&serde_json::to_string(&plan).context("the functions cannot be described")?).await?;
        Ok(functions)
    }

    /// Where `cargo lambda watch` listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every process of every function and starts it anew, from the binaries as they are now.
    ///
    /// # Errors
    /// When the host has ended.
    pub async fn restart(&mut self) -> Result<()> {
        self.order(host::RESTART).await
    }

    /// Waits until the host has ended by itself, and says so with the tail of the log.
    pub async fn failure(&mut self) -> anyhow::Error {
        let status = match self.host.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        anyhow!("cargo lambda watch has ended ({status}){}", self.tail())
    }

    /// The end of the log, each line once, for an error message.
    pub fn tail(&self) -> String {
        let log = self.log();
        let mut tail = Vec::new();
        // Every process of every function may have said the same.
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

    /// Everything that the functions and `cargo lambda watch` have written.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Ends everything and waits until it is gone.
    pub async fn stop(mut self) {
        self.orders.take();
        let group = host::pid(&self.host);
        if tokio::time::timeout(STOP_TIMEOUT, self.host.wait()).await.is_err()
            && let Some(group) = group
        {
            let _gone = kill_process_group(group, Signal::KILL);
            let _status = self.host.wait().await;
        }
    }

    async fn order(&mut self, line: &str) -> Result<()> {
        let orders = self.orders.as_mut().context("the functions are being stopped")?;
        orders.write_all(format!("{line}\n").as_bytes()).await.context("the functions' host has ended")
    }
}

/// The command that serves the Lambda runtime API and the routes of the workspace on `address`.
fn command_line(settings: &Settings<'_>, address: SocketAddr) -> Vec<OsString> {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let mut command = vec![settings.cargo_lambda.into()];
    let fixed = ["lambda", "watch", "--only-lambda-apis", "--disable-cors", "--color", "never"];
    command.extend(fixed.map(OsString::from));
    command.extend(["--invoke-address", &ip, "--invoke-port", &port, "--manifest-path"].map(OsString::from));
    command.push(settings.root.join("Cargo.toml").into());
    command
}
