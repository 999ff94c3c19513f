//! The subcommand `export`: writes the interactions of an agent to a file or a pipe, through the API.

mod lines;
mod output;
mod pages;

use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use shared::datetime;
use shared::ids::{AgentId, UserId};
use shared::time::Timestamp;

use crate::client::{ApiAccess, Client};
use crate::formats::Format;
use lines::Lines;
use output::Output;
use pages::{Range, Reader};

/// The options of `export`.
#[derive(Args, Clone, Debug)]
pub struct ExportOptions {
    /// The agent.
    #[arg(long, value_parser = parse_agent)]
    pub agent: AgentId,
    /// The user [default: all users of the agent]
    #[arg(long, value_parser = parse_user)]
    pub user: Option<UserId>,
    /// The time of the first interaction, such as 2026-01-01 or 2026-01-01T12:00:00Z.
    #[arg(long, value_parser = parse_time)]
    pub since: Option<Timestamp>,
    /// The time of the last interaction. Without an offset, times are UTC.
    #[arg(long, value_parser = parse_time)]
    pub until: Option<Timestamp>,
    /// The format [default: by the name of the file, or jsonl]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The file to write, which only its owner can read. It appears when it is complete. Standard output is the file -.
    #[arg(long, short, value_name = "FILE", default_value = output::STDOUT)]
    pub output: PathBuf,
    /// The number of users that are read at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub parallel: u8,
}

/// Writes the interactions that `options` select, oldest first for each user, from the stack that `access` leads to.
///
/// If the reader of a pipe has closed the pipe, ends without an error.
///
/// # Errors
/// Fails if the stack rejects a request or remains unavailable, or if the file cannot be written. The file then does not
/// exist, or is what it was before.
pub async fn run(options: ExportOptions, access: &ApiAccess) -> Result<()> {
    let ExportOptions { agent, user, since, until, format, output, parallel } = options;
    let format = format.or_else(|| Format::of(&output)).unwrap_or(Format::Jsonl);
    let reader = Reader::new(Client::new(access)?, agent, Range { since, until });
    let progress = ProgressBar::no_length().with_style(
        ProgressStyle::with_template("exported {pos} interactions  {per_sec}").context("the progress bar")?,
    );
    let mut file = Output::create(&output)?;
    let written = write(&reader, user, parallel.into(), Lines::new(&mut file, format), &progress).await;
    progress.finish_and_clear();
    match written.and_then(|counts| file.finish().map(|()| counts)) {
        Ok((interactions, users)) => eprintln!("exported {interactions} interactions of {users} users"),
        Err(error) if is_broken_pipe(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Writes the interactions of `user`, or of all users, and returns the number of interactions and of users that have any.
async fn write(
    reader: &Reader,
    user: Option<UserId>,
    parallel: usize,
    mut lines: Lines<&mut Output>,
    progress: &ProgressBar,
) -> Result<(u64, u64)> {
    lines.write_header()?;
    let (mut interactions, mut users) = (0, 0);
    let mut pages = reader.pages(user, parallel);
    let mut last = None;
    while let Some(page) = pages.next().await {
        let page = page?;
        if page.is_empty() {
            continue;
        }
        for entry in page.lines() {
            lines.write(entry?)?;
        }
        if last.replace(page.user_index) != Some(page.user_index) {
            users += 1;
        }
        interactions += page.lines().count() as u64;
        progress.set_position(interactions);
    }
    lines.flush()?;
    Ok((interactions, users))
}

/// Returns whether `error` says that nobody reads the output any more, as with `| head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut failures = error.chain().filter_map(|cause| cause.downcast_ref::<output::WriteError>());
    failures.any(|failure| failure.0.kind() == io::ErrorKind::BrokenPipe)
}

fn parse_agent(text: &str) -> Result<AgentId> {
    AgentId::try_from(text).map_err(|error| anyhow::anyhow!("the agent {text:?}: {error}"))
}

fn parse_user(text: &str) -> Result<UserId> {
    UserId::try_from(text).map_err(|error| anyhow::anyhow!("the user {text:?}: {error}"))
}

fn parse_time(text: &str) -> Result<Timestamp> {
    datetime::from_text(text).map_err(|error| anyhow::anyhow!("the time {text:?}: {error}"))
}
