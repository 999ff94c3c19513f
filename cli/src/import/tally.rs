//! The counts of an import, and the rows that were not stored.

use serde::{Deserialize, Serialize};

/// The maximum number of rows of a kind that are described.
pub(super) const SHOWN: usize = 10;

/// The outcomes of the rows that the stack has answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub stored: u64,
    pub duplicates: u64,
    pub queued: u64,
    pub conflicts: u64,
    pub refused: u64,
}

impl Tally {
    /// Returns the number of rows.
    pub fn total(self) -> u64 {
        self.stored + self.duplicates + self.queued + self.conflicts + self.refused
    }

    pub fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.duplicates += other.duplicates;
        self.queued += other.queued;
        self.conflicts += other.conflicts;
        self.refused += other.refused;
    }
}

/// Descriptions of rows: the first ten, and the number of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Described {
    pub shown: Vec<String>,
    pub count: u64,
}

impl Described {
    pub fn add(&mut self, describe: impl FnOnce() -> String) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(describe());
        }
    }

    /// Returns the descriptions as lines, and how many there are more.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.shown.clone();
        let more = self.count - self.shown.len() as u64;
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }
}
