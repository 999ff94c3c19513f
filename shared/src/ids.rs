//! The names that callers give: agents, users, events and signals.
//!
//! Each is a type of its own, so that a raw string stops at the door and no two kinds of name can be confused. The
//! characters they exclude are those that a URL path, an S3 key or a DynamoDB sort key would read as structure.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::validation::Problem;

/// Characters that no name may contain: separators of paths, of URLs and of sort keys, and the escape character.
const RESERVED: [char; 5] = ['/', '\\', '%', '?', '#'];

fn check(text: &str, max_bytes: usize) -> Result<(), Problem> {
    if text.is_empty() {
        return Err(Problem::new("string_too_short", "String should have at least 1 character"));
    }
    if text.len() > max_bytes {
        return Err(Problem::new("string_too_long", format!("String should have at most {max_bytes} bytes of UTF-8")));
    }
    if text == "." || text == ".." {
        return Err(Problem::value_error("must not be '.' or '..'"));
    }
    match text.chars().find(|c| c.is_control() || RESERVED.contains(c)) {
        Some(c) if c.is_control() => Err(Problem::value_error("must not contain control characters")),
        Some(c) => Err(Problem::value_error(format!("must not contain '{c}'"))),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max_bytes:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The longest value, in bytes of UTF-8.
            pub const MAX_BYTES: usize = $max_bytes;

            /// The text as the caller gave it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Problem;

            fn try_from(text: String) -> Result<Self, Problem> {
                check(&text, Self::MAX_BYTES).map(|()| Self(text))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Problem;

            fn try_from(text: &str) -> Result<Self, Problem> {
                Self::try_from(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

name!(
    /// The agent that a user talks to.
    AgentId,
    128
);
name!(
    /// The person, or program, that talks to an agent.
    UserId,
    128
);
name!(
    /// What makes an event the same event when it is sent again.
    EventId,
    128
);
name!(
    /// What a user felt in an interaction: `positive`, `neutral`, `stressed`, `uncertain`, or a signal of the caller's own.
    Signal,
    32
);
name!(
    /// The kind of an event, which chooses the threshold it is judged by.
    SignalType,
    64
);

impl EventId {
    /// A new id for an event whose sender gave none: a UUIDv7, so that ids sort by the time they were made.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

impl Signal {
    /// The signals that the suite itself gives, in the order in which they are shown.
    pub const STANDARD: [&'static str; 4] = ["positive", "neutral", "stressed", "uncertain"];

    /// The signal at `index` in [`Self::STANDARD`].
    pub(crate) fn standard(index: usize) -> Self {
        Self::STANDARD.get(index).map_or_else(Self::neutral, |name| Self((*name).to_owned()))
    }

    /// What a text without any keyword is labelled.
    pub fn neutral() -> Self {
        Self("neutral".to_owned())
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
    fn what_a_path_or_a_key_would_read_as_structure_is_refused() {
        for text in
            ["", ".", "..", "a/b", "a\\b", "100%", "a?b", "a#b", "a\nb", "a\u{7f}b", &"x".repeat(129), &"é".repeat(65)]
        {
            assert!(UserId::try_from(text).is_err(), "{text:?}");
        }
    }
}
