//! The subcommand `demo`: sends interactions and events to a stack and reports their outcomes.

mod agreement;
mod calls;
mod report;
mod send;

use std::path::Path;

use anyhow::Result;
use time::OffsetDateTime;

use crate::client::{ApiAccess, Client};
use crate::data_folder::DataFolder;
use crate::link;
use crate::target::{DASHBOARD, StackTarget};
use calls::Calls;

/// The stack that receives the data.
#[derive(Debug)]
pub struct Destination {
    api: ApiAccess,
    dashboard: Dashboard,
}

/// The dashboard that shows the data.
#[derive(Debug)]
enum Dashboard {
    /// The dashboard at this address, of the stack on this data folder.
    Local(String, DataFolder),
    /// The dashboard of a stack on AWS, if the stack has one.
    Aws(Option<String>),
}

impl Destination {
    /// Returns the stack that runs on `data`.
    ///
    /// # Errors
    /// Fails if no stack runs.
    pub fn local(data: DataFolder) -> Result<Self> {
        Ok(Self { api: ApiAccess::local(&data)?, dashboard: Dashboard::Local(data.running()?.dashboard, data) })
    }

    /// Returns the stack `target` on AWS. The API key is in the environment.
    ///
    /// # Errors
    /// Fails if the environment has no API key, or the stack does not provide its address.
    pub fn on_aws(target: &StackTarget) -> Result<Self> {
        Ok(Self {
            api: ApiAccess::on_aws(target, "the scopes logs:write, logs:read and events:write")?,
            dashboard: Dashboard::Aws(target.setting(DASHBOARD).map(str::to_owned)),
        })
    }

    /// Returns a link to the dashboard's view of `user` with `agent`, if the stack has a dashboard.
    fn link(&self, agent: &str, user: &str) -> Result<Option<String>> {
        let view = [("agent", agent), ("user", user)];
        match &self.dashboard {
            Dashboard::Local(address, data) => link::create(data, address, &view).map(Some),
            Dashboard::Aws(address) => Ok(address.as_deref().map(|address| link::to_view(address, &view))),
        }
    }
}

/// Sends the built-in set, or each line of `file` as an interaction, to `destination` and prints the outcomes. Returns
/// `true` if everything was stored and the summaries agree.
///
/// Times and idempotency keys depend only on the day and the data, so a second run on the same day (UTC) changes nothing.
///
/// # Errors
/// Fails if the file cannot be read, or a summary request gets no response.
pub async fn run(destination: &Destination, file: Option<&Path>) -> Result<bool> {
    let day = OffsetDateTime::now_utc().date();
    let calls = match file {
        Some(file) => Calls::of_file(file, day)?,
        None => Calls::built_in(day)?,
    };
    let client = Client::new(&destination.api)?;
    let mut report = send::all(&client, calls.lanes).await?;
    let agreement = report.take_entries().compare(&client).await;
    println!("{report}");
    if calls.blank_lines > 0 {
        println!("{} blank lines were skipped", calls.blank_lines);
    }
    let agreement = agreement?;
    match agreement.faults[..] {
        [] => println!("the summaries of all {} conversations agree with it", agreement.conversations),
        _ => agreement.faults.iter().for_each(|fault| println!("{fault}")),
    }
    if matches!(destination.dashboard, Dashboard::Local(..)) && !calls.views.is_empty() {
        println!("Each link works once, within one minute. `make link` prints another.");
    }
    for (agent, user) in calls.views {
        if let Some(link) = destination.link(&agent, &user)? {
            println!("Dashboard  {link}");
        }
    }
    Ok(report.is_complete() && agreement.faults.is_empty())
}
