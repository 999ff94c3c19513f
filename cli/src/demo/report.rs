//! The outcomes of the calls.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::agreement::Entries;
use super::calls::Endpoint;
use crate::client::Failure;

/// The maximum number of distinct reasons in the report.
const SHOWN_REASONS: usize = 5;
/// The maximum length of a response in the report, in characters.
const SHOWN_ANSWER: usize = 160;

/// The counts of one endpoint's calls.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    stored: usize,
    refused: usize,
}

/// The counts of all calls.
#[derive(Debug, Default)]
pub(super) struct Report {
    logs: Count,
    events: Count,
    /// The number of calls whose data an earlier call has stored.
    duplicates: usize,
    /// The number of recorded interactions by signal.
    signals: BTreeMap<String, usize>,
    /// The number of events whose response had an anomaly, by severity.
    anomalies: BTreeMap<String, usize>,
    /// The reasons of refused calls, each with the number of calls and the origin of the first one.
    reasons: BTreeMap<String, (usize, String)>,
    entries: Entries,
}

impl Report {
    /// Counts a call that succeeded.
    pub fn stored(&mut self, endpoint: Endpoint, answer: &Value) {
        self.count(endpoint).stored += 1;
        self.duplicates += usize::from(answer["duplicate"] == true);
        if let Some(signal) = answer["logged"]["detected_signal"].as_str() {
            *self.signals.entry(signal.to_owned()).or_default() += 1;
            self.entries.add(&answer["logged"]);
        }
        if let Some(severity) = answer["anomaly"]["severity"].as_str() {
            *self.anomalies.entry(severity.to_owned()).or_default() += 1;
        }
    }

    /// Counts a call from `origin` whose response was an error.
    pub fn refused(&mut self, endpoint: Endpoint, origin: &str, status: u16, answer: &str) {
        self.count(endpoint).refused += 1;
        let answer: String = answer.chars().take(SHOWN_ANSWER).collect();
        self.reasons.entry(format!("{status} {answer}")).or_insert_with(|| (0, origin.to_owned())).0 += 1;
    }

    /// Counts a call from `origin` that got no response.
    pub fn failed(&mut self, endpoint: Endpoint, origin: &str, failure: &Failure) {
        self.count(endpoint).refused += 1;
        self.reasons.entry(failure.to_string()).or_insert_with(|| (0, origin.to_owned())).0 += 1;
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: Self) {
        for (mine, theirs) in [(&mut self.logs, other.logs), (&mut self.events, other.events)] {
            mine.stored += theirs.stored;
            mine.refused += theirs.refused;
        }
        self.duplicates += other.duplicates;
        for (mine, theirs) in [(&mut self.signals, other.signals), (&mut self.anomalies, other.anomalies)] {
            for (name, count) in theirs {
                *mine.entry(name).or_default() += count;
            }
        }
        for (reason, (count, origin)) in other.reasons {
            self.reasons.entry(reason).or_insert((0, origin)).0 += count;
        }
        self.entries.append(other.entries);
    }

    /// Removes and returns the stored entries for the comparison.
    pub fn take_entries(&mut self) -> Entries {
        std::mem::take(&mut self.entries)
    }

    /// Returns whether every call succeeded.
    pub fn is_complete(&self) -> bool {
        self.logs.refused + self.events.refused == 0
    }

    fn count(&mut self, endpoint: Endpoint) -> &mut Count {
        match endpoint {
            Endpoint::Log => &mut self.logs,
            Endpoint::Event => &mut self.events,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        for (what, count) in [("interactions", self.logs), ("events", self.events)] {
            let Count { stored, refused } = count;
            if stored + refused > 0 {
                lines.push(format!("{} {what} sent, {stored} stored, {refused} refused", stored + refused));
            }
        }
        if self.duplicates > 0 {
            lines.push(format!("{} of these were stored before and are unchanged", self.duplicates));
        }
        let width = self.signals.keys().map(|signal| signal.chars().count()).max().unwrap_or(0);
        let mut signals: Vec<_> = self.signals.iter().collect();
        signals.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
        lines.extend(signals.into_iter().map(|(signal, count)| format!("  {signal:width$} {count:>7}")));
        if !self.anomalies.is_empty() {
            let by_severity: Vec<_> = self.anomalies.iter().map(|(name, count)| format!("{count} {name}")).collect();
            lines.push(format!("{} anomalies: {}", self.anomalies.values().sum::<usize>(), by_severity.join(", ")));
        }
        for (reason, (count, origin)) in self.reasons.iter().take(SHOWN_REASONS) {
            lines.push(format!("{count} refused, the first of {origin}: {reason}"));
        }
        if self.reasons.len() > SHOWN_REASONS {
            lines.push(format!("and {} reasons more", self.reasons.len() - SHOWN_REASONS));
        }
        out.write_str(&lines.join("\n"))
    }
}
