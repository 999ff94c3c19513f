//! Runs the program that makes only the AWS calls of an endpoint.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The running program.
pub struct Bare {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Bare {
    /// Starts the program.
    pub fn start(program: &Path, environment: &BTreeMap<String, String>) -> Result<Self> {
        let mut command = Command::new(program);
        command.env_clear().envs(environment).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let orders = child.stdin.take().context("it has no standard input")?;
        let answers = BufReader::new(child.stdout.take().context("it has no standard output")?).lines();
        Ok(Self { child, orders, answers })
    }

    /// Makes the calls of `endpoint` repeatedly. Returns the duration of each repetition in microseconds.
    pub async fn run(&mut self, endpoint: &str, times: u32, subject: &str) -> Result<Vec<f64>> {
        self.orders.write_all(format!("{endpoint} {times} {subject}\n").as_bytes()).await?;
        let answer = self.answers.next_line().await?.context("the bare calls failed")?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Stops the program and waits until it has ended, so that it cannot disturb the next one.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill().await.context("the bare calls cannot be ended")
    }

    /// The program's process id.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("it has ended")
    }
}
