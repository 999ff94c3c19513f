//! Names given by callers: agents, users, events and signals.
//!
//! Each has a type of its own, so that raw strings are validated on entry and kinds of names cannot be confused. Names
//! exclude the characters that a URL path, an S3 key or a DynamoDB sort key would treat as structure.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::validation::Violation;

/// Characters not allowed in names: separators of paths, of URLs and of sort keys, and the escape character.
const RESERVED: [char; 5] = ['/', '\\', '%', '?', '#'];

/// Returns the UUIDv7 of the Unix milliseconds `millis` whose other bits are the first ones of `hash`: the same time and
/// hash always have the same id.
pub fn uuid_v7(millis: u64, hash: &[u8; 32]) -> Uuid {
    let mut bits = [0; 10];
    bits.copy_from_slice(&hash[..10]);
    Builder::from_unix_timestamp_millis(millis, &bits).into_uuid()
}

fn check(text: &str, max_bytes: usize) -> Result<(), Violation> {
    if text.is_empty() {
        return Err(Violation::new("string_too_short", "String should have at least 1 character"));
    }
    if text.len() > max_bytes {
        return Err(Violation::string_too_long(max_bytes));
    }
    if text == "." || text == ".." {
        return Err(Violation::value_error("must not be '.' or '..'"));
    }
    match text.chars().find(|c| c.is_control() || RESERVED.contains(c)) {
        Some(c) if c.is_control() => Err(Violation::value_error("must not contain control characters")),
        Some(c) => Err(Violation::value_error(format!("must not contain '{c}'"))),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max_bytes:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Maximum length in bytes of UTF-8.
            pub const MAX_BYTES: usize = $max_bytes;

            /// Returns the text as given by the caller.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Violation;

            fn try_from(text: String) -> Result<Self, Violation> {
                check(&text, Self::MAX_BYTES).map(|()| Self(text))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Violation;

            fn try_from(text: &str) -> Result<Self, Violation> {
                Self::try_from(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

name!(
    /// An agent that users talk to.
    AgentId,
    128
);
name!(
    /// A person, or program, that talks to an agent.
    UserId,
    128
);
name!(
    /// Identifier by which resends of the same event are detected.
    EventId,
    128
);
name!(
    /// The user's feeling in an interaction: `positive`, `neutral`, `stressed`, `uncertain`, or a signal defined by the
    /// caller.
    Signal,
    32
);
name!(
    /// Kind of an event, which selects its threshold.
    SignalType,
    64
);

impl EventId {
    /// Generates an id for an event sent without one: a UUIDv7, so that ids sort by creation time.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl Signal {
    /// Signals that the suite itself assigns, in display order.
    pub const STANDARD: [&'static str; 4] = ["positive", "neutral", "stressed", "uncertain"];

    /// Returns the signal at `index` in [`Self::STANDARD`].
    pub(crate) fn standard(index: usize) -> Self {
        Self::STANDARD.get(index).map_or_else(Self::neutral, |name| Self((*name).to_owned()))
    }

    /// Signal of users who need help.
    pub const STRESSED: &'static str = Self::STANDARD[2];

    /// Name under which entries are counted whose text the classifier could not read.
    pub const UNCLASSIFIED: &'static str = "unclassified";

    /// Returns the signal of a text without any keyword.
    pub fn neutral() -> Self {
        Self("neutral".to_owned())
    }

    /// Returns the name under which entries are counted whose text the classifier could not read.
    pub fn unclassified() -> Self {
        Self(Self::UNCLASSIFIED.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_script_spaces_and_url_punctuation_are_allowed() {
        for text in ["日本 语", "a b+c&d=e;f", "...", "Ünïcødé", &"x".repeat(128)] {
            assert_eq!(UserId::try_from(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn characters_with_a_structural_meaning_are_refused() {
        for text in
            ["", ".", "..", "a/b", "a\\b", "100%", "a?b", "a#b", "a\nb", "a\u{7f}b", &"x".repeat(129), &"é".repeat(65)]
        {
            assert!(UserId::try_from(text).is_err(), "{text:?}");
        }
    }
}
