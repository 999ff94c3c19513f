//! Whether the summaries say what was sent.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Client;
use serde_json::Value;
use shared::logging::reader::SUMMARY_ENTRIES;

use super::send::Target;

type Counts = BTreeMap<String, usize>;

/// The entries that were stored, by agent and user: time, id and signal as the API gave them.
#[derive(Debug, Default)]
pub(super) struct Entries(BTreeMap<(String, String), Vec<[String; 3]>>);

impl Entries {
    /// Adds `entry`, as `POST /log` has answered it.
    pub fn add(&mut self, entry: &Value) {
        let field = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let conversation = (field("agent_id"), field("user_id"));
        let entry = ["timestamp", "log_id", "detected_signal"].map(field);
        self.0.entry(conversation).or_default().push(entry);
    }

    /// Adds the entries of `other`.
    pub fn append(&mut self, other: Self) {
        for (conversation, entries) in other.0 {
            self.0.entry(conversation).or_default().extend(entries);
        }
    }

    /// Asks for each summary and gives those that do not agree, as sentences for a person.
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

/// What the comparison has found.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// How many summaries agree.
    pub conversations: usize,
    /// What is wrong with the others.
    pub faults: Vec<String>,
}

/// The counts of as many entries as a summary takes, the newest.
fn newest(mut entries: Vec<[String; 3]>) -> Counts {
    // Times of one format and UUIDv7 sort as text.
    entries.sort_unstable();
    let mut counts = Counts::new();
    for [.., signal] in entries.into_iter().rev().take(SUMMARY_ENTRIES) {
        *counts.entry(signal).or_default() += 1;
    }
    counts
}

/// Whether `summary` is of what was sent and, where that was less than a summary takes, of what was there before.
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
