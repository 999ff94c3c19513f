//! The classifier's result and its explanation.

use serde::Serialize;

use super::language::Language;
use crate::ids::Signal;

/// The signal of a text and its explanation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The signal. Neutral if no keyword decided and the classifier has no lexicon for the text's language.
    pub signal: Signal,
    /// The probability that the signal is right: calibrated for the lexicon, 1 if a keyword of `signals.toml` decided,
    /// and 1 without a lexicon. `None` if no keyword decided and the classifier has no lexicon for the text's language.
    pub score: Option<f64>,
    /// The language of the text. `None` if it was not recognised or the classifier has no lexicon for it.
    pub language: Option<Language>,
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
    pub score: Option<f64>,
    /// Same as in [`Verdict`].
    pub language: Option<Language>,
    /// Same as in [`Verdict`].
    pub matched: Vec<Matched>,
    /// Same as in [`Verdict`].
    pub version: &'static str,
}

impl Verdict {
    /// Returns the signal under which an entry with this verdict is counted: `unclassified` if the classifier could not read
    /// the text.
    pub fn counted_signal(&self) -> Signal {
        if self.score.is_some() { self.signal.clone() } else { Signal::unclassified() }
    }

    /// Splits the verdict into the signal and its explanation.
    pub fn into_parts(self) -> (Signal, Classification) {
        let Self { signal, score, language, matched, version } = self;
        (signal, Classification { score, language, matched, version })
    }
}
