//! The subcommand `demo`: sends a story of conversations and events to a stack, or the lines of a file.

mod counts;
mod dice;
mod file;
mod guide;
mod items;
mod read;
mod report;
mod send;
mod story;
mod texts;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::client::{ApiAccess, Client};
use crate::data_folder::DataFolder;
use crate::import::batches::{Batch, Window};
use crate::import::row::{Entry, Origin};
use crate::import::send::Endpoint;
use crate::link;
use crate::target::{DASHBOARD, StackTarget};
use counts::Counts;
use file::Lines;
use report::Report;
use send::Request;
use story::{Marker, Story};
use texts::Texts;

/// The number of objects of a request: few, so that a busy machine stores them in time.
const OBJECTS: usize = 16;
/// The number of events in a request.
const EVENTS: usize = 30;
/// The number of a file's interactions in a request.
const LINES: usize = 1_000;
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

    /// Returns a link to the dashboard's view of `parameters`, if the stack has a dashboard.
    fn link(&self, parameters: &[(&str, &str)]) -> Result<Option<String>> {
        match &self.dashboard {
            Dashboard::Local(address, data) => link::create(data, address, parameters).map(Some),
            Dashboard::Aws(address) => Ok(address.as_deref().map(|address| link::to_view(address, parameters))),
        }
    }

    /// Returns a command that gets `path` from the API.
    fn curl(&self, path: &str) -> String {
        let key = match &self.dashboard {
            Dashboard::Local(_, data) => {
                let file = data.api_key();
                let here = std::env::current_dir().unwrap_or_default();
                format!("$(cat {})", file.strip_prefix(here).unwrap_or(&file).display())
            }
            Dashboard::Aws(_) => "$SIGNALS_KEY".to_owned(),
        };
        format!("curl -H \"x-api-key: {key}\" \"{}{path}\"", self.api.address.trim_end_matches('/'))
    }

    /// Returns what a user must know about the links, if there are any.
    fn advice(&self) -> Option<&'static str> {
        match &self.dashboard {
            Dashboard::Local(..) => Some("Each link signs in once, within one minute. `make link` prints another."),
            Dashboard::Aws(_) => None,
        }
    }
}

/// Sends the story, or each line of `file` as an interaction, to `destination`, and prints the outcomes and where to look.
/// Returns `true` if everything was accepted.
///
/// A second run on the same day (UTC) changes nothing.
///
/// # Errors
/// Fails if the file cannot be read, or the stack rejects a request or remains unavailable.
pub async fn run(destination: &Destination, file: Option<&Path>) -> Result<bool> {
    let client = Client::new(&destination.api)?;
    let now = OffsetDateTime::now_utc();
    let report = match file {
        Some(file) => send_file(destination, &client, file, now).await?,
        None => send_story(destination, &client, now).await?,
    };
    if let Some(advice) = destination.advice() {
        println!("\n{advice}");
    }
    Ok(report.is_complete())
}

async fn send_story(destination: &Destination, client: &Client, now: OffsetDateTime) -> Result<Report> {
    let texts = Texts::load()?;
    let marker = Marker::of(now.date(), &texts);
    let earlier = end_of_earlier_run(client, &marker).await?;
    let story = Story::until(earlier.unwrap_or(now), &texts);
    let describe =
        |endpoint: Endpoint, origin: Origin| format!("number {} of the demo's {}", origin.line, endpoint.items());
    let (marked, stages) = requests(&story, &marker)?;
    let mut report = Report::default();
    send::all(client, vec![vec![marked]], describe, &mut report).await?;
    // A busy stack stores the conversation later. Then a later run can find it.
    read::until(async || end_of_earlier_run(client, &marker).await, Option::is_some).await?;
    send::all(client, stages, describe, &mut report).await?;
    println!("{report}");
    let agents: Vec<_> = texts.agents.iter().map(|agent| agent.name).collect();
    let times = story.interactions.iter().map(|one| one.item.millis);
    print_counts(client, &agents, times, &report).await?;
    println!("{}", guide::questions(destination, &story, &texts)?);
    Ok(report)
}

async fn send_file(destination: &Destination, client: &Client, path: &Path, now: OffsetDateTime) -> Result<Report> {
    let lines = Lines::of(path, now.date())?;
    let entry = |(number, item): &(u64, items::Item)| item.entry(Endpoint::Logs, Origin { file: 0, line: *number });
    let entries = lines.items.iter().map(entry).collect::<Result<Vec<_>>>()?;
    let requests = entries.chunks(LINES).map(|chunk| (Endpoint::Logs, chunk.to_vec())).collect();
    let mut report = Report::default();
    send::all(client, vec![requests], |_, origin| format!("line {}", origin.line), &mut report).await?;
    println!("{report}");
    if lines.blank > 0 {
        println!("{} blank lines were skipped", lines.blank);
    }
    let times = lines.items.iter().map(|(_, item)| item.millis);
    print_counts(client, &[file::AGENT], times, &report).await?;
    if let Some(link) = destination.link(&[("agent", file::AGENT), ("user", &lines.user)])? {
        println!("{link}");
    }
    Ok(report)
}

/// Returns the end of the story that an earlier run has sent, if there was one on the day of `marker`: another story would
/// have other times.
async fn end_of_earlier_run(client: &Client, marker: &Marker) -> Result<Option<OffsetDateTime>> {
    #[derive(Deserialize)]
    struct Entry {
        timestamp: String,
    }
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let [agent, user, session] = [marker.agent, &marker.user, &marker.session_id].map(encoded);
    let path = format!("/logs/{agent}/{user}?session_id={session}&limit=1");
    let entries: Vec<Entry> = read::json(client, &path).await.context("cannot look for an earlier run")?;
    let Some(newest) = entries.last() else { return Ok(None) };
    let time = OffsetDateTime::parse(&newest.timestamp, &Rfc3339)
        .with_context(|| format!("unexpected response: the timestamp {:?}", newest.timestamp))?;
    Ok(Some(time + marker.before_end))
}

/// Returns the requests of `story`: the conversation of `marker`, which is sent first so that a run finds the end of an
/// earlier one that was interrupted, and the stages of the others.
fn requests(story: &Story, marker: &Marker) -> Result<(Request, Vec<Vec<Request>>)> {
    let mut marked = Batch::new();
    // The stack stores the interactions of a user and an hour together.
    let mut windows = BTreeMap::<_, Window>::new();
    for (line, interaction) in (1..).zip(&story.interactions) {
        let entry = interaction.item.entry(Endpoint::Logs, Origin { file: 0, line })?;
        if marker.has(interaction) {
            marked.push(entry);
        } else {
            windows.entry((&interaction.item.agent, &interaction.item.user)).or_default().add(entry);
        }
    }
    let batches = windows.into_values().flat_map(|window| window.into_plan_of(OBJECTS).batches);
    let batches = batches.map(|batch| (Endpoint::Logs, batch)).collect();
    let entry = |(line, event): (u64, &items::Item)| event.entry(Endpoint::Events, Origin { file: 0, line });
    let events: Vec<Entry> = (1..).zip(&story.events).map(entry).collect::<Result<_>>()?;
    let events = events.chunks(EVENTS).map(|chunk| (Endpoint::Events, chunk.to_vec())).collect();
    // Interactions last: while the stack counts interactions, events take longer.
    Ok(((Endpoint::Logs, marked), vec![events, batches]))
}

/// Prints the counts of `agents` between the first and the last of `times`.
async fn print_counts(
    client: &Client,
    agents: &[&str],
    times: impl Iterator<Item = i64> + Clone,
    report: &Report,
) -> Result<()> {
    let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return Ok(()) };
    let expected = report.accepted_interactions();
    let counts = Counts::wait(client, agents, (first, last), expected).await?;
    println!("\n{}\n", counts.table());
    if counts.total() < expected {
        println!("{} interactions are not counted yet. The dashboard shows them later.\n", expected - counts.total());
    }
    Ok(())
}
