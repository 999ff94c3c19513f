//! The subcommand `import`: sends the interactions in files to a stack.
//!
//! The files are read twice. The first pass checks every row, so that nothing is sent if a row is invalid, and plans the
//! requests. The second pass sends them. An id is derived for each row that has none, so repeating an import changes
//! nothing.

pub(crate) mod batches;
mod checkpoint;
mod mapping;
mod plan;
pub(crate) mod row;
mod rows;
pub(crate) mod send;
pub(crate) mod tally;
mod value;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Args;
use futures_util::stream::{FuturesUnordered, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};

use crate::client::{ApiAccess, Client};
use crate::formats::Format;
use crate::retries::Retries;
use batches::Window;
use checkpoint::{Checkpoint, Import, Progress};
use mapping::{Columns, Mapping};
use plan::Plan;
use row::Rules;
use rows::Files;
use send::Endpoint;
use tally::{Described, Tally};

/// The options of `import`.
#[derive(Args, Clone, Debug)]
pub struct ImportOptions {
    /// The files to import, in UTF-8. Standard input is the file -.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The format of the files [default: by their names: .csv and .tsv, or .jsonl, .ndjson, .json and .log]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The character between the cells of a CSV file [default: a comma, or a tab in a .tsv file]
    #[arg(long)]
    pub delimiter: Option<char>,
    /// Check the files, print counts and the first invalid rows, and send nothing. Needs no stack.
    #[arg(long)]
    pub dry_run: bool,
    /// Leave out invalid rows. Without this option, nothing is sent if a row is invalid.
    #[arg(long)]
    pub skip_invalid: bool,
    /// Leave out the signals in the files: the classifier determines all signals.
    #[arg(long)]
    pub reclassify: bool,
    /// Send everything, even if an earlier run with the same files was interrupted.
    #[arg(long)]
    pub restart: bool,
    /// The maximum number of requests at the same time. There are fewer while the stack is overloaded.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub parallel: u8,
    /// The columns of the fields.
    #[command(flatten)]
    pub columns: Columns,
}

impl ImportOptions {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// Fails if an option is invalid, or a file cannot be read.
    pub fn check(&self) -> Result<Checked> {
        let rules = Rules::new(Mapping::of(&self.columns)?, self.reclassify)?;
        let files = Files::open(&self.files, self.format, self.delimiter)?;
        let progress = spinner(&format!("checking {files}: {{pos}} rows"));
        let plan = Plan::of(&files, &rules, |rows| progress.set_position(rows))?;
        progress.finish_and_clear();
        let Self { skip_invalid, delimiter, format, .. } = self;
        let identity = format!("{:?} {} {skip_invalid} {delimiter:?} {format:?}", rules.mapping(), self.reclassify);
        Ok(Checked { rules, files, plan, identity })
    }
}

/// Files that have been checked.
#[derive(Debug)]
pub struct Checked {
    rules: Rules,
    files: Files,
    plan: Plan,
    /// The options that determine the interactions.
    identity: String,
}

impl Checked {
    /// Returns the counts and the first invalid rows as text.
    pub fn report(&self) -> String {
        self.plan.to_string()
    }

    /// Returns whether every row is valid.
    pub fn is_valid(&self) -> bool {
        self.plan.invalid.count == 0
    }
}

/// Sends the interactions in `checked` to the stack that `access` leads to, and prints the outcome. Keeps the progress in
/// `folder` until the import is complete. Returns `true` if every row was accepted.
///
/// # Errors
/// Fails if a row is invalid and invalid rows are not skipped, or if the stack rejects a request or remains unavailable.
pub async fn run(options: &ImportOptions, checked: Checked, access: &ApiAccess, folder: Option<&Path>) -> Result<bool> {
    let Checked { rules, files, plan, identity } = checked;
    if plan.invalid.count > 0 && !options.skip_invalid {
        eprintln!("{}", plan.invalid_rows().join("\n"));
        bail!(
            "{} of {} rows are invalid, so nothing was sent: correct them, or leave them out with --skip-invalid",
            plan.invalid.count,
            plan.rows
        );
    }
    let client = Client::new(access)?;
    let import = Import { api: &access.address, files: plan.digest, options: identity };
    let checkpoint = Checkpoint::of(&import, folder);
    if options.restart {
        checkpoint.remove();
    }
    let started = Instant::now();
    let mut sender = Sender {
        client,
        checkpoint: &checkpoint,
        concurrency: Concurrency::up_to(options.parallel.into()),
        bar: bar(plan.valid)?,
        earlier: checkpoint.load(),
        done: Progress::default(),
        refused: Described::default(),
    };
    let sent = sender.send_all(&files, &rules, options.skip_invalid).await;
    sender.bar.finish_and_clear();
    let Sender { done, earlier, refused, .. } = sender;
    println!("{}", summary(done.tally, earlier.tally, plan.invalid.count, started.elapsed().as_secs_f64()));
    for line in refused.lines() {
        println!("{line}");
    }
    if !plan.unused.is_empty() {
        println!("{}", plan.unused_names());
    }
    sent.map_err(|error| error.context("the import is not complete; to continue, run the same command again"))?;
    ensure!(done.tally.total() == plan.valid, "the files have changed during the import: import them again");
    checkpoint.remove();
    Ok(refused.count == 0 && done.tally.conflicts + done.tally.refused == 0)
}

/// Sends rows, window by window.
struct Sender<'a> {
    client: Client,
    checkpoint: &'a Checkpoint,
    concurrency: Concurrency,
    bar: ProgressBar,
    /// The progress of an earlier run.
    earlier: Progress,
    done: Progress,
    refused: Described,
}

impl Sender<'_> {
    async fn send_all(&mut self, files: &Files, rules: &Rules, skip_invalid: bool) -> Result<()> {
        let mut rows = files.rows(rules);
        let mut window = Window::default();
        while let Some(row) = rows.next()? {
            match row {
                Ok(entry) => {
                    if window.add(entry) {
                        self.send(files, std::mem::take(&mut window)).await?;
                    }
                }
                Err(invalid) => {
                    let position = files.position(invalid.origin);
                    ensure!(skip_invalid, "the file has changed since it was checked: {position}: {invalid}");
                }
            }
        }
        self.send(files, window).await
    }

    async fn send(&mut self, files: &Files, window: Window) -> Result<()> {
        if self.done.windows < self.earlier.windows {
            self.bar.inc(window.len() as u64);
            self.done.windows += 1;
            if self.done.windows == self.earlier.windows {
                self.done.tally = self.earlier.tally;
            }
            return Ok(());
        }
        let (client, bar) = (&self.client, &self.bar);
        let retrying = |reason: &str| bar.set_message(format!("waiting: {reason}"));
        let mut batches = window.into_plan().batches.into_iter();
        let mut requests = FuturesUnordered::new();
        loop {
            let free = self.concurrency.current.saturating_sub(requests.len());
            requests.extend(
                batches
                    .by_ref()
                    .take(free)
                    .map(|batch| send::send(client, Endpoint::Logs, batch, Retries::default(), retrying)),
            );
            let Some(outcome) = requests.try_next().await? else { break };
            bar.set_message("");
            bar.inc(outcome.tally.total());
            self.concurrency.adapt(outcome.retries > 0 || outcome.tally.queued > 0);
            self.done.tally.add(outcome.tally);
            for (origin, reason) in outcome.refused {
                self.refused.add(|| format!("{}: {reason}", files.position(origin)));
            }
        }
        drop(requests);
        self.done.windows += 1;
        self.checkpoint.save(&self.done)
    }
}

/// The number of requests at the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Concurrency {
    pub current: usize,
    most: usize,
}

impl Concurrency {
    pub fn up_to(most: usize) -> Self {
        Self { current: 1, most }
    }

    /// Halves the number if the stack `is_overloaded`, else allows one request more.
    pub fn adapt(&mut self, is_overloaded: bool) {
        self.current = if is_overloaded { (self.current / 2).max(1) } else { (self.current + 1).min(self.most) };
    }
}

/// Returns the summary of an import. `done` includes the rows of `earlier`, an interrupted run.
fn summary(done: Tally, earlier: Tally, invalid: u64, seconds: f64) -> String {
    let Tally { stored, duplicates, queued, conflicts, refused } = done;
    let mut text = format!("{stored} stored, {duplicates} stored before");
    for (count, what) in
        [(queued, "queued, to be stored later"), (conflicts, "conflicts"), (refused, "refused"), (invalid, "invalid")]
    {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if earlier.total() > 0 {
        text.push_str(&format!("; {} of these by an earlier run", earlier.total()));
    }
    let sent = done.total() - earlier.total();
    // The time may be too short to be measured.
    let speed = if seconds > 0.0 { sent as f64 / seconds } else { 0.0 };
    text.push_str(&format!("\n{seconds:.1} s, {speed:.0} interactions per second"));
    text
}

fn bar(rows: u64) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {per_sec}  {eta} left  {msg}")?;
    Ok(ProgressBar::new(rows).with_style(style))
}

fn spinner(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::no_length().with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_falls_while_the_stack_is_overloaded() {
        let mut concurrency = Concurrency::up_to(5);
        let mut after = |is_overloaded| {
            concurrency.adapt(is_overloaded);
            concurrency.current
        };
        assert_eq!([false; 6].map(&mut after), [2, 3, 4, 5, 5, 5]);
        assert_eq!([true, true, true, false].map(after), [2, 1, 1, 2]);
    }

    #[test]
    fn summary_names_every_outcome_that_occurred() {
        let done = Tally { stored: 10, duplicates: 2, ..Tally::default() };
        let text = summary(done, Tally::default(), 0, 2.0);
        assert_eq!(text, "10 stored, 2 stored before\n2.0 s, 6 interactions per second");
        let all = Tally { queued: 1, conflicts: 3, refused: 4, ..done };
        let text = summary(all, Tally { stored: 8, ..Tally::default() }, 5, 0.0);
        assert_eq!(
            text,
            "10 stored, 2 stored before, 1 queued, to be stored later, 3 conflicts, 4 refused, 5 invalid; \
             8 of these by an earlier run\n0.0 s, 0 interactions per second"
        );
    }
}
