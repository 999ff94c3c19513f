//! The subcommand `demo`: sends interactions and events to the running stack and reports their outcomes.

mod agreement;
mod calls;
mod report;
mod send;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Client;

use crate::data_folder::DataFolder;
use crate::link;
use calls::Calls;
use send::Target;

/// Longer than a function's timeout.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends the built-in set, or each line of `file` as an interaction, to the stack on `data` and prints the outcomes.
/// Returns `true` if everything was stored and the summaries agree.
///
/// # Errors
/// Fails if no stack runs, the file cannot be read, or a summary request gets no response.
pub async fn run(data: &DataFolder, file: Option<&Path>) -> Result<bool> {
    let stack = data.running()?;
    let key = std::fs::read_to_string(data.api_key()).context("cannot read the stack's API key")?;
    let calls = match file {
        Some(file) => Calls::of_file(file)?,
        None => Calls::of_the_house()?,
    };
    let target = Target { api: stack.api, key: key.trim().to_owned() };
    let client = Client::builder().no_proxy().timeout(TIMEOUT).build().context("there is no HTTP client")?;
    let mut report = send::all(&client, &target, calls.lanes).await?;
    let agreement = report.take_entries().compare(&client, &target).await;
    println!("{report}");
    if calls.blank_lines > 0 {
        println!("{} blank lines were skipped", calls.blank_lines);
    }
    let agreement = agreement?;
    match agreement.faults[..] {
        [] => println!("the summaries of all {} conversations agree with it", agreement.conversations),
        _ => agreement.faults.iter().for_each(|fault| println!("{fault}")),
    }
    if !calls.views.is_empty() {
        println!("Each link works once, within one minute. `make link` prints another.");
    }
    for (agent, user) in calls.views {
        println!("Dashboard  {}", link::create(data, &stack.dashboard, &[("agent", &agent), ("user", &user)])?);
    }
    Ok(report.is_complete() && agreement.faults.is_empty())
}
