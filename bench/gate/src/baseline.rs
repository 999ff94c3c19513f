//! The committed figures, and comparisons with them.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::figures::Figures;

/// Maximum growth of a figure in per cent.
pub const TOLERANCE: u32 = 5;

/// Figures and the toolchain that they depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The compiler, its target and the libc.
    pub toolchain: String,
    /// The figures by name.
    pub figures: Figures,
}

impl Baseline {
    /// Reads the baseline from `path`.
    ///
    /// # Errors
    /// Fails if the file is missing or invalid.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a baseline", path.display()))
    }

    /// Writes the baseline to `path`.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.to_json()?).with_context(|| format!("cannot write {}", path.display()))
    }

    fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Compares `now` with the committed figures.
    #[must_use]
    pub fn compare(&self, now: &Self) -> Comparison {
        let names: BTreeSet<_> = self.figures.keys().chain(now.figures.keys()).collect();
        let change = |name: &String| Change {
            name: name.clone(),
            committed: self.figures.get(name).copied(),
            now: now.figures.get(name).copied(),
        };
        let other_toolchain = self.toolchain != now.toolchain;
        Comparison { changes: names.into_iter().map(change).collect(), other_toolchain }
    }
}

/// A figure before and now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    name: String,
    committed: Option<u64>,
    now: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Kept,
    Grown,
    Shrunk,
    /// Measured, but not in the baseline.
    NotCommitted,
    /// In the baseline, but not measured.
    NotMeasured,
}

impl Change {
    fn verdict(&self) -> Verdict {
        let (committed, now) = match (self.committed, self.now) {
            (None, _) => return Verdict::NotCommitted,
            (_, None) => return Verdict::NotMeasured,
            (Some(committed), Some(now)) => (u128::from(committed), u128::from(now)),
        };
        let tolerance = u128::from(TOLERANCE);
        if now * 100 > committed * (100 + tolerance) {
            Verdict::Grown
        } else if now * 100 < committed * (100 - tolerance) {
            Verdict::Shrunk
        } else {
            Verdict::Kept
        }
    }

    /// Returns the growth in per cent.
    fn growth(&self) -> Option<f64> {
        Some((self.now? as f64 / self.committed? as f64 - 1.0) * 100.0)
    }
}

/// A row of the table.
impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let growth = self.growth().map_or_else(|| "-".to_owned(), |growth| format!("{growth:+.2} %"));
        let verdict = match self.verdict() {
            Verdict::Kept => "",
            Verdict::Grown => "  grown",
            Verdict::Shrunk => "  shrunk",
            Verdict::NotCommitted => "  not committed",
            Verdict::NotMeasured => "  not measured",
        };
        let (committed, now) = (number(self.committed), number(self.now));
        write!(formatter, "{:<28} {committed:>10} {now:>10} {growth:>10}{verdict}", self.name)
    }
}

/// The comparison of all figures; displayed as a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    changes: Vec<Change>,
    /// The committed figures come from another compiler or libc.
    pub other_toolchain: bool,
}

impl Comparison {
    /// Returns the violations. With another toolchain, figures may have any size.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let failure = |change: &Change| match change.verdict() {
            Verdict::Grown if !self.other_toolchain => Some(format!(
                "{} grew by {:.2} %, from {} to {}; {TOLERANCE} % are allowed",
                change.name,
                change.growth()?,
                change.committed?,
                change.now?
            )),
            Verdict::NotCommitted => Some(format!("{} is measured, but not committed", change.name)),
            Verdict::NotMeasured => Some(format!("{} is committed, but not measured any more", change.name)),
            Verdict::Grown | Verdict::Shrunk | Verdict::Kept => None,
        };
        self.changes.iter().filter_map(failure).collect()
    }

    /// Returns the names of figures that shrank so much that they could grow back unnoticed.
    #[must_use]
    pub fn shrunk(&self) -> Vec<&str> {
        let shrunk = |change: &&Change| !self.other_toolchain && change.verdict() == Verdict::Shrunk;
        self.changes.iter().filter(shrunk).map(|change| change.name.as_str()).collect()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:<28} {:>10} {:>10} {:>10}", "figure", "committed", "now", "change")?;
        self.changes.iter().try_for_each(|change| writeln!(formatter, "{change}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(figures: &[(&str, u64)]) -> Baseline {
        let figures = figures.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect();
        Baseline { toolchain: "rustc 1".to_owned(), figures }
    }

    fn compared(committed: u64, now: u64) -> Comparison {
        baseline(&[("a: bytes", committed)]).compare(&baseline(&[("a: bytes", now)]))
    }

    #[test]
    fn growth_up_to_the_tolerance_passes() {
        for now in [2_000, 2_099, 2_100] {
            assert_eq!(compared(2_000, now).failures(), [""; 0], "{now}");
        }
    }

    #[test]
    fn growth_past_the_tolerance_fails_and_is_named() {
        let failures = compared(2_000, 2_101).failures();
        assert_eq!(failures, ["a: bytes grew by 5.05 %, from 2000 to 2101; 5 % are allowed"]);
    }

    #[test]
    fn what_came_from_nothing_has_grown() {
        assert_eq!(compared(0, 0).failures(), [""; 0]);
        assert_eq!(compared(0, 1).failures().len(), 1);
    }

    #[test]
    fn each_figure_is_compared_alone() {
        let committed = baseline(&[("a: bytes", 100), ("b: bytes", 100), ("c: bytes", 100)]);
        let comparison = committed.compare(&baseline(&[("a: bytes", 106), ("b: bytes", 80), ("c: bytes", 120)]));
        let failures = comparison.failures();
        assert!(failures.len() == 2 && failures[0].starts_with("a:") && failures[1].starts_with("c:"), "{failures:?}");
        assert_eq!(comparison.shrunk(), ["b: bytes"]);
    }

    #[test]
    fn shrinking_past_the_tolerance_is_told_and_passes() {
        assert_eq!(compared(2_000, 1_900).shrunk(), [""; 0]);
        let comparison = compared(2_000, 1_899);
        assert_eq!(comparison.shrunk(), ["a: bytes"]);
        assert_eq!(comparison.failures(), [""; 0]);
    }

    #[test]
    fn names_that_only_one_side_knows_fail() {
        let comparison =
            baseline(&[("a: bytes", 1), ("b: bytes", 1)]).compare(&baseline(&[("b: bytes", 1), ("c: bytes", 1)]));
        let expected = ["a: bytes is committed, but not measured any more", "c: bytes is measured, but not committed"];
        assert_eq!(comparison.failures(), expected);
    }

    #[test]
    fn with_another_toolchain_names_alone_can_fail() {
        let mut now = baseline(&[("a: bytes", 1_000), ("b: bytes", 1), ("d: bytes", 1)]);
        now.toolchain = "rustc 2".to_owned();
        let comparison = baseline(&[("a: bytes", 1), ("b: bytes", 1_000), ("c: bytes", 1)]).compare(&now);
        assert!(comparison.other_toolchain);
        let failures = comparison.failures();
        assert!(failures.len() == 2 && failures[0].starts_with("c:") && failures[1].starts_with("d:"), "{failures:?}");
        assert_eq!(comparison.shrunk(), [""; 0]);
    }

    #[test]
    fn the_table_has_each_figure_once() {
        let comparison = baseline(&[("a: bytes", 100), ("b: bytes", 1)]).compare(&baseline(&[("a: bytes", 112)]));
        let table = comparison.to_string();
        let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["a:", "bytes", "100", "112", "+12.00", "%", "grown"]);
        assert_eq!(lines[2], ["b:", "bytes", "1", "-", "-", "not", "measured"]);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn the_committed_file_is_as_it_would_be_written() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("baseline.json");
        let committed = Baseline::read(&path).expect("a baseline");
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(text, committed.to_json().expect("JSON"));
    }
}
