//! Measures a classifier on comments in the format of the GoEmotions dataset.

use std::fmt;

use super::Classifier;
use crate::ids::Signal;

const SIGNALS: usize = Signal::STANDARD.len();
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

/// Confusion matrix: number of comments by true and found signal, both as positions in [`Signal::STANDARD`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Evaluation {
    counts: [[u32; SIGNALS]; SIGNALS],
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
            let found = classifier.classify(comment).signal;
            if let Some(found) = Signal::STANDARD.iter().position(|name| *name == found.as_str()) {
                evaluation.counts[given][found] += 1;
            }
        }
    }
    Ok(evaluation)
}

impl Evaluation {
    /// Returns the F1 score of the signal `name`, or 0 for an unknown signal.
    pub fn f1(&self, name: &str) -> f64 {
        Signal::STANDARD.iter().position(|signal| *signal == name).map_or(0.0, |signal| self.measures(signal)[2])
    }

    /// Returns the mean of the F1 scores of the signals.
    pub fn macro_f1(&self) -> f64 {
        Signal::STANDARD.iter().map(|name| self.f1(name)).sum::<f64>() / 4.0
    }

    /// Returns precision, recall and F1 score.
    fn measures(&self, signal: usize) -> [f64; 3] {
        let right = f64::from(self.counts[signal][signal]);
        let found = f64::from(self.counts.iter().map(|row| row[signal]).sum::<u32>());
        let given = f64::from(self.counts[signal].iter().sum::<u32>());
        [right / found.max(1.0), right / given.max(1.0), 2.0 * right / (found + given).max(1.0)]
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [positive, neutral, stressed, uncertain] = Signal::STANDARD;
        writeln!(
            out,
            "{:<10} {:>9} {:>6} {:>6}   found {positive:>9} {neutral:>8} {stressed:>9} {uncertain:>10}",
            "signal", "precision", "recall", "F1"
        )?;
        for (signal, name) in Signal::STANDARD.iter().enumerate() {
            let [precision, recall, f1] = self.measures(signal);
            let [a, b, c, d] = self.counts[signal];
            writeln!(out, "{name:<10} {precision:>9.3} {recall:>6.3} {f1:>6.3}         {a:>9} {b:>8} {c:>9} {d:>10}")?;
        }
        write!(out, "macro-F1 {:.4}", self.macro_f1())
    }
}
