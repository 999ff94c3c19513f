//! Number of entries by signal.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::ids::Signal;

/// Counts by signal. Signals that do not occur are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary(BTreeMap<Signal, u64>);

impl Summary {
    /// Counts `count` more entries of `signal`.
    pub fn add(&mut self, signal: Signal, count: u64) {
        if count > 0 {
            *self.0.entry(signal).or_default() += count;
        }
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(signal, count)| self.add(signal.clone(), *count));
    }

    /// Returns the number of entries of `signal`.
    pub fn of(&self, signal: &str) -> u64 {
        self.0.iter().find(|(name, _)| name.as_str() == signal).map_or(0, |(_, count)| *count)
    }

    /// Returns the number of entries of all signals.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns signals and counts in display order: the standard signals first, the others by name.
    pub fn in_order(&self) -> Vec<(&Signal, u64)> {
        let rank = |signal: &Signal| Signal::STANDARD.iter().position(|standard| *standard == signal.as_str());
        let mut counts: Vec<_> = self.0.iter().map(|(signal, count)| (signal, *count)).collect();
        counts.sort_by_key(|(signal, _)| rank(signal).unwrap_or(Signal::STANDARD.len()));
        counts
    }
}

impl FromIterator<(Signal, u64)> for Summary {
    fn from_iter<I: IntoIterator<Item = (Signal, u64)>>(counts: I) -> Self {
        let mut summary = Self::default();
        for (signal, count) in counts {
            summary.add(signal, count);
        }
        summary
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.in_order())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_signals_come_first_and_absent_ones_are_left_out() {
        let signal = |name: &str| Signal::try_from(name).expect("a signal");
        let counts = [("uncertain", 1), ("bored", 2), ("positive", 3), ("neutral", 0), ("amused", 1)];
        let summary: Summary = counts.into_iter().map(|(name, count)| (signal(name), count)).collect();
        let text = serde_json::to_string(&summary).expect("JSON");
        assert_eq!(text, r#"{"positive":3,"uncertain":1,"amused":1,"bored":2}"#);
    }
}
