//! Checks whether the summaries agree with the interactions that were sent.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Client;
use serde_json::Value;
use shared::ids::Signal;
use shared::logging::reader::SUMMARY_ENTRIES;

use super::send::Target;

type Counts = BTreeMap<String, usize>;

/// The stored entries by agent and user: time, id and counted signal from the API's responses.
#[derive(Debug, Default)]
pub(super) struct Entries(BTreeMap<(String, String), Vec<[String; 3]>>);

impl Entries {
    /// Adds `entry`, a response of `POST /log`.
    pub fn add(&mut self, entry: &Value) {
        let field = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let conversation = (field("agent_id"), field("user_id"));
        let is_classified = entry["classification"].is_null() || !entry["classification"]["score"].is_null();
        let signal = if is_classified { field("detected_signal") } else { Signal::UNCLASSIFIED.to_owned() };
        let entry = [field("timestamp"), field("log_id"), signal];
        self.0.entry(conversation).or_default().push(entry);
    }

    /// Adds the entries of `other`.
    pub fn append(&mut self, other: Self) {
        for (conversation, entries) in other.0 {
            self.0.entry(conversation).or_default().extend(entries);
        }
    }

    /// Requests every summary and returns the disagreements as readable messages.
    pub async fn compare(self, client: &Client, target: &Target) -> Result<Agreement> {
        let mut agreement = Agreement::default();
        for ((agent, user), entries) in self.0 {
            let encoded = |id: &str| utf8_percent_encode(id, NON_ALPHANUMERIC).to_string();
            let url = format!("{}/summary/{}/{}", target.api, encoded(&agent), encoded(&user));
            let request = client.get(url).header("x-api-key", &target.key);
            let answer = request.send().await.and_then(reqwest::Response::error_for_status);
            let summary: Counts = answer.context("no summary")?.json().await.context("a summary that is none")?;
            let sent = newest(entries);
            if agrees(&summary, &sent) {
                agreement.conversations += 1;
            } else {
                agreement.faults.push(format!("the summary of {agent} and {user} is {summary:?}, sent were {sent:?}"));
            }
        }
        Ok(agreement)
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

/// Returns the signal counts of the newest entries, as many as a summary covers.
fn newest(mut entries: Vec<[String; 3]>) -> Counts {
    // Timestamps in one format and UUIDv7 ids sort as text.
    entries.sort_unstable();
    let mut counts = Counts::new();
    for [.., signal] in entries.into_iter().rev().take(SUMMARY_ENTRIES) {
        *counts.entry(signal).or_default() += 1;
    }
    counts
}

/// Returns whether `summary` covers the sent entries and, if fewer were sent than a summary covers, entries that
/// existed before.
fn agrees(summary: &Counts, sent: &Counts) -> bool {
    let has_all = sent.iter().all(|(signal, count)| summary.get(signal).is_some_and(|counted| counted >= count));
    let total = |counts: &Counts| counts.values().sum::<usize>();
    has_all && (total(sent) < SUMMARY_ENTRIES || total(summary) == SUMMARY_ENTRIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, usize)]) -> Counts {
        of.iter().map(|&(signal, count)| (signal.to_owned(), count)).collect()
    }

    #[test]
    fn of_many_entries_the_newest_count() {
        let entry = |number: usize, signal: &str| [format!("{number:06}"), String::new(), signal.to_owned()];
        let mut entries: Vec<_> = (0..SUMMARY_ENTRIES + 5).map(|number| entry(number, "new")).collect();
        entries[..5].iter_mut().for_each(|entry| entry[2] = "old".to_owned());
        entries.reverse();
        assert_eq!(newest(entries), counts(&[("new", SUMMARY_ENTRIES)]));
    }

    #[test]
    fn a_summary_may_have_more_than_was_sent_only_where_it_has_room() {
        let sent = counts(&[("a", 2), ("b", 1)]);
        assert!(agrees(&sent, &sent));
        assert!(agrees(&counts(&[("a", 2), ("b", 3), ("c", 1)]), &sent));
        assert!(!agrees(&counts(&[("a", 1), ("b", 1)]), &sent));
        assert!(!agrees(&counts(&[("a", 2)]), &sent));
        let full = counts(&[("a", SUMMARY_ENTRIES)]);
        assert!(agrees(&full, &full));
        assert!(!agrees(&counts(&[("a", SUMMARY_ENTRIES), ("b", 1)]), &full));
    }
}
