//! Languages that the classifier has a lexicon for.

use serde::{Serialize, Serializer};

/// A language with a lexicon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
    /// Spanish.
    Spanish,
    /// French.
    French,
    /// Portuguese.
    Portuguese,
    /// Japanese.
    Japanese,
}

impl Language {
    /// Languages that are written in Latin letters: the first ones in `lexicon/languages.tsv`.
    pub(super) const LATIN: [Self; 5] = [Self::English, Self::German, Self::Spanish, Self::French, Self::Portuguese];

    /// Returns the set of this language alone. The bits of a set have the order of the languages.
    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Returns the BCP 47 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Spanish => "es",
            Self::French => "fr",
            Self::Portuguese => "pt",
            Self::Japanese => "ja",
        }
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}
