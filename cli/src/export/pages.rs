//! Reads the entries of an agent's users in pages.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use shared::ids::{AgentId, UserId};
use shared::time::Timestamp;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;

use crate::client::{Client, Response};
use crate::retries::Retries;

/// The sizes of a page of names and of a page of entries as lines, the largest that the API returns.
const NAMES: usize = 100;
const ENTRIES: usize = 1_000;
/// The number of pages of a user, each of up to 4 MiB, that are read ahead.
const READ_AHEAD: usize = 1;
const LINES: &str = "application/x-ndjson";

/// A range of time, both ends included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// Reads entries of one agent.
#[derive(Clone)]
pub(super) struct Reader(Arc<Inner>);

struct Inner {
    client: Client,
    agent: String,
    range: Range,
}

/// A page of a user's entries, oldest first.
pub(super) struct Page {
    /// The index of the user.
    pub user_index: u64,
    lines: Bytes,
}

impl Page {
    /// Returns whether the page has no entries.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns the entries, each the JSON of an entry.
    pub fn lines(&self) -> impl Iterator<Item = Result<&str>> {
        let lines = self.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| std::str::from_utf8(line).context("unexpected response: not UTF-8"))
    }
}

impl Reader {
    /// Creates a reader of the entries of `agent` in `range`.
    pub fn new(client: Client, agent: AgentId, range: Range) -> Self {
        Self(Arc::new(Inner { client, agent: encoded(agent.as_str()), range }))
    }

    /// Returns the pages of `user`, or of all users one after the other. Reads up to `parallel` users at the same time.
    pub fn pages(&self, user: Option<UserId>, parallel: usize) -> Pages {
        let is_all = user.is_none();
        Pages {
            reader: self.clone(),
            names: user.into_iter().map(|user| user.as_str().to_owned()).collect(),
            next_names: is_all.then(|| format!("?limit={NAMES}")),
            users: VecDeque::new(),
            tasks: JoinSet::new(),
            parallel,
            opened: 0,
        }
    }

    /// Reads all pages of `user` and sends them to `pages`.
    async fn read(self, user: String, user_index: u64, pages: Sender<Result<Page>>) {
        let Range { since, until } = self.0.range;
        let path = format!("/logs/{}/{}", self.0.agent, encoded(&user));
        let time = |name: &str, time: Option<Timestamp>| {
            time.map_or_else(String::new, |time| format!("&{name}={}", encoded(&time.to_string())))
        };
        let mut next = Some(format!("?order=oldest&limit={ENTRIES}{}{}", time("since", since), time("until", until)));
        while let Some(query) = next.take() {
            let page = self.get(&format!("{path}{query}"), LINES).await.map(|response| {
                next = response.next_page().map(str::to_owned);
                Page { user_index, lines: response.body }
            });
            let is_failed = page.is_err();
            // Nobody receives pages after an error.
            if pages.send(page).await.is_err() || is_failed {
                return;
            }
        }
    }

    /// Returns the names on the page at `path`, and the query of the next page.
    async fn names(&self, path: &str) -> Result<(VecDeque<String>, Option<String>)> {
        let response = self.get(path, "application/json").await?;
        let names =
            serde_json::from_slice(&response.body).with_context(|| format!("unexpected response: {response}"))?;
        Ok((names, response.next_page().map(str::to_owned)))
    }

    /// Returns the page at `path`, whose media type is `kind`.
    async fn get(&self, path: &str, kind: &'static str) -> Result<Response> {
        let mut retries = Retries::default();
        loop {
            let (reason, retry_after) = match self.0.client.get(path, kind).await {
                Ok(response) if response.status == StatusCode::OK => {
                    ensure!(response.has_type(kind), "unexpected response, not {kind}: {response}");
                    return Ok(response);
                }
                Ok(response) if response.is_transient() => (response.to_string(), response.retry_after()),
                Ok(response) => bail!(rejection(&response)),
                Err(failure) => (failure.to_string(), None),
            };
            retries.wait(&reason, retry_after).await?;
        }
    }
}

/// The pages of one user or of all users.
pub(super) struct Pages {
    reader: Reader,
    /// The names of users that are not being read yet.
    names: VecDeque<String>,
    /// The query of the next page of names.
    next_names: Option<String>,
    /// The users that are being read, in order.
    users: VecDeque<Receiver<Result<Page>>>,
    /// Ends with the pages.
    tasks: JoinSet<()>,
    parallel: usize,
    opened: u64,
}

impl Pages {
    /// Returns the next page.
    pub async fn next(&mut self) -> Option<Result<Page>> {
        loop {
            if let Err(error) = self.open().await {
                return Some(Err(error));
            }
            if let Some(page) = self.users.front_mut()?.recv().await {
                return Some(page);
            }
            self.users.pop_front();
        }
    }

    /// Starts to read further users, up to the limit.
    async fn open(&mut self) -> Result<()> {
        while self.users.len() < self.parallel {
            let Some(user) = self.names.pop_front() else {
                let Some(query) = self.next_names.take() else { return Ok(()) };
                let path = format!("/agents/{}/users{query}", self.reader.0.agent);
                (self.names, self.next_names) = self.reader.names(&path).await?;
                continue;
            };
            let (sender, receiver) = mpsc::channel(READ_AHEAD);
            while self.tasks.try_join_next().is_some() {}
            self.tasks.spawn(self.reader.clone().read(user, self.opened, sender));
            self.users.push_back(receiver);
            self.opened += 1;
        }
        Ok(())
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Returns what is wrong with a request that must not be repeated.
fn rejection(response: &Response) -> String {
    let advice = match response.status {
        StatusCode::UNAUTHORIZED => "the stack does not know the API key",
        StatusCode::FORBIDDEN => "the API key needs the scope logs:read, and access to the agent",
        _ => "the stack rejects the request",
    };
    format!("{advice}: {response}")
}
