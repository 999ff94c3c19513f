//! The counts over all users, which the dashboard shows.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use shared::time::Timestamp;

use super::read;
use crate::client::Client;

/// The signals that come first in the table.
const STANDARD: [&str; 4] = ["positive", "neutral", "uncertain", "stressed"];

/// The numbers of interactions by agent and signal.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<String, BTreeMap<String, u64>>);

#[derive(Deserialize)]
struct Summary {
    counts: BTreeMap<String, u64>,
}

impl Counts {
    /// Reads the counts of `agents` between two times in Unix milliseconds, until they reach `expected` interactions.
    /// Returns the last counts if that takes too long.
    pub async fn wait(client: &Client, agents: &[&str], (since, until): (i64, i64), expected: u64) -> Result<Self> {
        let time = |millis| Timestamp::clamped_millis(millis).to_rfc3339_millis();
        // The end of the range is not part of the range.
        let range = format!("since={}&until={}", time(since), time(until + 1));
        let spinner = ProgressBar::new_spinner().with_message("waiting until everything is counted");
        spinner.enable_steady_tick(read::PERIOD);
        let counts = async || {
            let mut counts = Self::default();
            for agent in agents {
                let path = format!("/agents/{}/summary?{range}", utf8_percent_encode(agent, NON_ALPHANUMERIC));
                let Summary { counts: of_agent } = read::json(client, &path).await.context("cannot read the counts")?;
                counts.0.insert((*agent).to_owned(), of_agent);
            }
            Ok(counts)
        };
        let counts = read::until(counts, |counts| counts.total() >= expected).await;
        spinner.finish_and_clear();
        counts
    }

    /// Returns the number of interactions.
    pub fn total(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    /// Returns a table with a line per agent and a column per signal.
    pub fn table(&self) -> String {
        let others: BTreeSet<_> = self.0.values().flat_map(BTreeMap::keys).map(String::as_str).collect();
        let others = others.into_iter().filter(|signal| !STANDARD.contains(signal));
        let signals: Vec<_> = STANDARD.into_iter().chain(others).collect();
        let width = self.0.keys().map(|agent| agent.chars().count()).max().unwrap_or(0);
        let mut lines = vec![format!("{:width$}", "")];
        signals.iter().for_each(|signal| lines[0].push_str(&format!("  {signal:>9}")));
        for (agent, counts) in &self.0 {
            let mut line = format!("{agent:width$}");
            for signal in &signals {
                let count = counts.get(*signal).copied().unwrap_or(0);
                line.push_str(&format!("  {count:>width$}", width = signal.chars().count().max(9)));
            }
            lines.push(line);
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_standard_signals_first() {
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        let counts = Counts(BTreeMap::from([
            ("shop".to_owned(), counts(&[("neutral", 12), ("stressed", 3)])),
            ("concierge".to_owned(), counts(&[("enthusiastic", 1)])),
        ]));
        assert_eq!(counts.total(), 16);
        assert_eq!(
            counts.table().lines().collect::<Vec<_>>(),
            [
                "            positive    neutral  uncertain   stressed  enthusiastic",
                "concierge          0          0          0          0             1",
                "shop               0         12          0          3             0",
            ]
        );
    }
}
