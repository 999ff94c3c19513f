//! Checks whether the summaries agree with the interactions that were sent.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use shared::ids::Signal;

use crate::client::Client;

type Counts = BTreeMap<String, usize>;

/// The stored entries by agent and user, from the API's responses.
#[derive(Debug, Default)]
pub(super) struct Entries(BTreeMap<(String, String), Conversation>);

/// The stored entries of a conversation.
#[derive(Debug, Default, PartialEq, Eq)]
struct Conversation {
    /// The number of entries by signal.
    counts: Counts,
    /// The times of the first and the last entry. Timestamps of one format sort as text.
    since: String,
    until: String,
}

/// The parts of a summary of a time range that are compared.
#[derive(Deserialize)]
struct Summary {
    counts: Counts,
    /// The query of the next page, if there is one.
    next: Option<String>,
}

impl Entries {
    /// Adds `entry`, a response of `POST /log`.
    pub fn add(&mut self, entry: &Value) {
        let field = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let time = field("timestamp");
        let is_classified = entry["classification"].is_null() || !entry["classification"]["score"].is_null();
        let signal = if is_classified { field("detected_signal") } else { Signal::UNCLASSIFIED.to_owned() };
        let counts = Counts::from([(signal, 1)]);
        let one = Conversation { counts, since: time.clone(), until: time };
        self.0.entry((field("agent_id"), field("user_id"))).or_default().append(one);
    }

    /// Adds the entries of `other`.
    pub fn append(&mut self, other: Self) {
        for (names, conversation) in other.0 {
            self.0.entry(names).or_default().append(conversation);
        }
    }

    /// Requests a summary of the time range of each conversation and returns the disagreements as readable messages.
    pub async fn compare(self, client: &Client) -> Result<Agreement> {
        let mut agreement = Agreement::default();
        for ((agent, user), sent) in self.0 {
            let summary = summarise(client, &agent, &user, &sent).await.context("no summary")?;
            if agrees(&summary, &sent.counts) {
                agreement.conversations += 1;
            } else {
                let sent = sent.counts;
                agreement.faults.push(format!("the summary of {agent} and {user} is {summary:?}, sent were {sent:?}"));
            }
        }
        Ok(agreement)
    }
}

impl Conversation {
    fn append(&mut self, other: Self) {
        if self.counts.is_empty() {
            *self = other;
            return;
        }
        add(&mut self.counts, other.counts);
        self.since = std::mem::take(&mut self.since).min(other.since);
        self.until = std::mem::take(&mut self.until).max(other.until);
    }
}

/// The result of the comparison.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// The number of conversations whose summaries agree.
    pub conversations: usize,
    /// Descriptions of the summaries that do not agree.
    pub faults: Vec<String>,
}

/// Returns the counts of all pages of the summary.
async fn summarise(client: &Client, agent: &str, user: &str, sent: &Conversation) -> Result<Counts> {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let path = format!("/summary/{}/{}", encoded(agent), encoded(user));
    let mut counts = Counts::new();
    let mut query = format!("?since={}&until={}", encoded(&sent.since), encoded(&sent.until));
    loop {
        let response = client.get(&format!("{path}{query}"), "application/json").await?;
        if !response.status.is_success() {
            bail!("{} {}", response.status, String::from_utf8_lossy(&response.body));
        }
        let page: Summary = serde_json::from_slice(&response.body)?;
        add(&mut counts, page.counts);
        match page.next {
            Some(next) => query = next,
            None => return Ok(counts),
        }
    }
}

fn add(counts: &mut Counts, more: Counts) {
    for (signal, count) in more {
        *counts.entry(signal).or_default() += count;
    }
}

/// Returns whether `summary` counts the sent entries, and possibly others of the same time.
fn agrees(summary: &Counts, sent: &Counts) -> bool {
    sent.iter().all(|(signal, count)| summary.get(signal).is_some_and(|counted| counted >= count))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counts(of: &[(&str, usize)]) -> Counts {
        of.iter().map(|&(signal, count)| (signal.to_owned(), count)).collect()
    }

    #[test]
    fn entries_are_counted_over_their_time_range() {
        let entry = |second: u32, signal: &str| {
            let timestamp = format!("2026-01-01T00:00:{second:02}.000Z");
            json!({ "agent_id": "a", "user_id": "u", "timestamp": timestamp, "detected_signal": signal })
        };
        let (mut entries, mut more) = (Entries::default(), Entries::default());
        entries.add(&entry(7, "positive"));
        entries.add(&entry(9, "neutral"));
        more.add(&entry(5, "neutral"));
        entries.append(more);
        let expected = Conversation {
            counts: counts(&[("neutral", 2), ("positive", 1)]),
            since: "2026-01-01T00:00:05.000Z".to_owned(),
            until: "2026-01-01T00:00:09.000Z".to_owned(),
        };
        assert_eq!(entries.0, BTreeMap::from([(("a".to_owned(), "u".to_owned()), expected)]));
    }

    #[test]
    fn summary_agrees_when_it_counts_every_sent_entry() {
        let sent = counts(&[("a", 2), ("b", 1)]);
        assert!(agrees(&sent, &sent));
        assert!(agrees(&counts(&[("a", 2), ("b", 3), ("c", 1)]), &sent));
        assert!(!agrees(&counts(&[("a", 1), ("b", 1)]), &sent));
        assert!(!agrees(&counts(&[("a", 2)]), &sent));
    }
}
