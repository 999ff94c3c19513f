//! The classifier's result and its explanation.

use serde::Serialize;

use crate::ids::Signal;

/// The signal of a text and its explanation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The signal.
    pub signal: Signal,
    /// The probability that the signal is right: calibrated for the lexicon, 1 if a keyword of `signals.toml` decided,
    /// and 1 without a lexicon.
    pub score: f64,
    /// The few terms that support the signal most, strongest first: the lexicon's terms or the keyword, never other
    /// text. Empty for neutral.
    pub matched: Vec<Matched>,
    /// The version of the lexicon, or `keywords`.
    pub version: &'static str,
}

/// A term found in a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matched {
    /// Term as written in the lexicon or `signals.toml`.
    pub term: String,
    /// The signal that the term supports.
    pub signal: Signal,
    /// Strength of the term: in the lexicon in log odds against the mean of all signals; 1 for a keyword, which decides
    /// alone.
    pub weight: f64,
}

/// The part of a verdict that a log entry stores next to its signal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// Same as in [`Verdict`].
    pub score: f64,
    /// Same as in [`Verdict`].
    pub matched: Vec<Matched>,
    /// Same as in [`Verdict`].
    pub version: &'static str,
}

impl Verdict {
    /// Splits the verdict into the signal and its explanation.
    pub fn into_parts(self) -> (Signal, Classification) {
        (self.signal, Classification { score: self.score, matched: self.matched, version: self.version })
    }
}
