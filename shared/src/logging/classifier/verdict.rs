//! What the classifier finds, and why.

use serde::Serialize;

use crate::ids::Signal;

/// The signal of a text and what decided it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The signal.
    pub signal: Signal,
    /// How sure it is: 1 where a keyword of `signals.toml` decided, else the lexicon's probability of the signal; a list
    /// of keywords alone is as sure of neutral where none is found.
    pub score: f64,
    /// The few terms that spoke most clearly, for whichever signal: the lexicon's terms or the keyword, never other text.
    pub matched: Vec<Matched>,
    /// What was asked: the lexicon by its version, or `keywords`.
    pub version: &'static str,
}

/// A term found in a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Matched {
    /// As the lexicon or `signals.toml` writes it.
    pub term: String,
    /// The signal it speaks for.
    pub signal: Signal,
    /// How strongly: in the lexicon in log odds against the mean of all signals; 1 for a keyword, which decides alone.
    pub weight: f64,
}

/// The part of a verdict that a log entry keeps beside its signal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// As in [`Verdict`].
    pub score: f64,
    /// As in [`Verdict`].
    pub matched: Vec<Matched>,
    /// As in [`Verdict`].
    pub version: &'static str,
}

impl Verdict {
    /// The signal, and how it was found.
    pub fn into_parts(self) -> (Signal, Classification) {
        (self.signal, Classification { score: self.score, matched: self.matched, version: self.version })
    }
}
