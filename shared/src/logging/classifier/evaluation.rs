//! Measures a classifier: on comments in the format of the GoEmotions dataset, or on any texts with known signals.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Classifier;
use crate::ids::Signal;

/// Minimum width of a column of counts.
const MIN_WIDTH: usize = 9;
/// Signals of the dataset's emotions, by number, as positions in [`Signal::STANDARD`]. Asking is neutral, and five
/// emotions fit no signal: approval, desire, disapproval, realization and surprise.
const SIGNAL_OF: [Option<usize>; 28] = [
    Some(0),
    Some(0),
    Some(2),
    Some(2),
    None,
    Some(0),
    Some(3),
    Some(1),
    None,
    Some(2),
    None,
    Some(2),
    Some(2),
    Some(0),
    Some(2),
    Some(0),
    Some(2),
    Some(0),
    Some(0),
    Some(2),
    Some(0),
    Some(0),
    None,
    Some(0),
    Some(2),
    Some(2),
    None,
    Some(1),
];

/// Confusion matrix: number of texts by true and found signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    counts: BTreeMap<(Signal, Signal), u32>,
}

/// Classifies the comments in `text`: lines of a comment, a tab and numbers of emotions. Emotions that fit no signal
/// are ignored. Comments are not counted if their other emotions belong to several signals, or if they have no other
/// emotion.
///
/// # Errors
/// Names the first line with a different format.
pub fn evaluate(classifier: &Classifier, text: &str) -> Result<Evaluation, String> {
    let mut evaluation = Evaluation::default();
    for (index, line) in text.lines().enumerate() {
        let malformed = || format!("line {}: not a comment, a tab and numbers of emotions from 0 to 27", index + 1);
        let mut columns = line.split('\t');
        let (comment, emotions) = columns.next().zip(columns.next()).ok_or_else(malformed)?;
        let mut signals = Vec::new();
        for emotion in emotions.split(',') {
            let number: usize = emotion.parse().map_err(|_| malformed())?;
            signals.extend(*SIGNAL_OF.get(number).ok_or_else(malformed)?);
        }
        if let Some(given) = signals.pop().filter(|given| signals.iter().all(|signal| signal == given)) {
            evaluation.add(Signal::standard(given), classifier.classify(comment).signal);
        }
    }
    Ok(evaluation)
}

impl Evaluation {
    /// Counts a text whose true signal is `given` and for which the classifier found `found`.
    pub fn add(&mut self, given: Signal, found: Signal) {
        *self.counts.entry((given, found)).or_default() += 1;
    }

    /// Returns the number of texts.
    pub fn texts(&self) -> u32 {
        self.sum(|_, _| true)
    }

    /// Returns the number of texts whose signal was found.
    pub fn right(&self) -> u32 {
        self.sum(|given, found| given == found)
    }

    /// Returns the share of texts whose signal was found, or 0 without texts.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.right()) / f64::from(self.texts().max(1))
    }

    /// Returns the F1 score of the signal `name`, or 0 for an unknown signal.
    pub fn f1(&self, name: &str) -> f64 {
        self.measures(name)[2]
    }

    /// Returns the mean of the F1 scores of the standard signals.
    pub fn macro_f1(&self) -> f64 {
        Signal::STANDARD.iter().map(|name| self.f1(name)).sum::<f64>() / 4.0
    }

    /// Returns precision, recall and F1 score.
    fn measures(&self, name: &str) -> [f64; 3] {
        let right = f64::from(self.sum(|given, found| given.as_str() == name && found.as_str() == name));
        let found = f64::from(self.sum(|_, found| found.as_str() == name));
        let given = f64::from(self.sum(|given, _| given.as_str() == name));
        [right / found.max(1.0), right / given.max(1.0), 2.0 * right / (found + given).max(1.0)]
    }

    fn sum(&self, is_counted: impl Fn(&Signal, &Signal) -> bool) -> u32 {
        self.counts.iter().filter(|((given, found), _)| is_counted(given, found)).map(|(_, count)| count).sum()
    }

    /// Returns the standard signals, and then all others that occur.
    fn signals(&self) -> Vec<&str> {
        let occurring = self.counts.keys().flat_map(|(given, found)| [given.as_str(), found.as_str()]);
        let others: BTreeSet<_> = occurring.filter(|name| !Signal::STANDARD.contains(name)).collect();
        Signal::STANDARD.into_iter().chain(others).collect()
    }
}

/// Formats the matrix as a table. Rows are true signals, columns are found signals.
impl fmt::Display for Evaluation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signals = self.signals();
        let width = |name: &str| name.chars().count();
        let first = signals.iter().map(|name| width(name)).max().unwrap_or_default().max(MIN_WIDTH);
        write!(out, "{:<first$} precision recall     F1   found", "signal")?;
        for name in &signals {
            write!(out, " {name:>0$}", width(name).max(MIN_WIDTH))?;
        }
        for given in &signals {
            let [precision, recall, f1] = self.measures(given);
            write!(out, "\n{given:<first$} {precision:>9.3} {recall:>6.3} {f1:>6.3}        ")?;
            for found in &signals {
                let count = self.sum(|a, b| a.as_str() == *given && b.as_str() == *found);
                write!(out, " {count:>0$}", width(found).max(MIN_WIDTH))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(pairs: &[(&str, &str, u32)]) -> Evaluation {
        let signal = |name: &str| Signal::try_from(name).expect("a signal");
        let mut evaluation = Evaluation::default();
        for (given, found, count) in pairs {
            (0..*count).for_each(|_| evaluation.add(signal(given), signal(found)));
        }
        evaluation
    }

    #[test]
    fn measures_follow_from_the_matrix() {
        let found = evaluation(&[("stressed", "stressed", 6), ("stressed", "neutral", 2), ("neutral", "stressed", 4)]);
        assert_eq!((found.texts(), found.right(), found.accuracy()), (12, 6, 0.5));
        assert_eq!(found.measures("stressed"), [0.6, 0.75, 12.0 / 18.0]);
        assert_eq!(found.measures("neutral"), [0.0; 3]);
        assert_eq!(Evaluation::default().accuracy(), 0.0);
    }

    #[test]
    fn table_has_a_row_and_a_column_for_each_signal() {
        let table =
            evaluation(&[("billing", "neutral", 12), ("neutral", "neutral", 3), ("neutral", "é", 1)]).to_string();
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        let signals = ["positive", "neutral", "stressed", "uncertain", "billing", "é"];
        assert_eq!(lines[0], [&["signal", "precision", "recall", "F1", "found"], &signals[..]].concat());
        assert_eq!(lines[2], ["neutral", "0.200", "0.750", "0.316", "0", "3", "0", "0", "0", "1"]);
        assert_eq!(lines[5], ["billing", "0.000", "0.000", "0.000", "0", "12", "0", "0", "0", "0"]);
        let width = table.lines().next().expect("a line").chars().count();
        assert!(table.lines().all(|line| line.chars().count() == width), "{table}");
    }
}
