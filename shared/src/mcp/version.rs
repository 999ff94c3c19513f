//! Versions of the protocol.

use std::borrow::Cow;

use strum::{EnumString, IntoStaticStr, VariantNames};

/// A version of the protocol, named by its date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantNames)]
pub enum Version {
    /// The first version with the transport "Streamable HTTP", and the only version with batches.
    #[strum(serialize = "2025-03-26")]
    March2025,
    /// Introduces the header `MCP-Protocol-Version` and structured results.
    #[strum(serialize = "2025-06-18")]
    June2025,
    /// The last version that begins with `initialize`.
    #[strum(serialize = "2025-11-25")]
    November2025,
    /// The first stateless version: each request carries its version and the client's capabilities.
    #[strum(serialize = "2026-07-28")]
    July2026,
}

impl Version {
    /// Version of a request that names none.
    pub const UNNAMED: Self = Self::March2025;
    /// Newest version that `initialize` can agree on.
    pub const NEWEST_WITH_INITIALIZE: Self = Self::November2025;

    /// Returns the name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the names of all versions, newest first.
    pub fn names() -> Vec<&'static str> {
        Self::VARIANTS.iter().rev().copied().collect()
    }

    /// Returns whether each request carries its version and the client's capabilities, without `initialize`.
    pub fn is_stateless(self) -> bool {
        self >= Self::July2026
    }

    /// Returns the version that `initialize` agrees on with a client which asks for `requested`.
    pub fn agreed(requested: &str) -> Self {
        match requested.parse() {
            Ok(version) if version <= Self::NEWEST_WITH_INITIALIZE => version,
            _ => Self::NEWEST_WITH_INITIALIZE,
        }
    }
}

/// Returns the value of a header that a client may have encoded as `=?base64?…?=`, or `None` if the encoding is invalid.
pub fn decoded_header(value: &str) -> Option<Cow<'_, str>> {
    let Some(encoded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Some(Cow::Borrowed(value));
    };
    let bytes = aws_smithy_types::base64::decode(encoded).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initialize_agrees_on_a_version_that_has_it() {
        for (requested, agreed) in [
            ("2025-03-26", "2025-03-26"),
            ("2025-06-18", "2025-06-18"),
            ("2025-11-25", "2025-11-25"),
            ("2026-07-28", "2025-11-25"),
            ("2024-11-05", "2025-11-25"),
            ("", "2025-11-25"),
        ] {
            assert_eq!(Version::agreed(requested).name(), agreed, "{requested}");
        }
        assert_eq!(Version::names(), ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]);
    }

    #[test]
    fn header_is_decoded_if_it_is_encoded() {
        for (value, expected) in [
            ("tools/call", Some("tools/call")),
            ("=?base64?w6k=?=", Some("é")),
            ("=?base64?/w==?=", None),
            ("=?base64?!?=", None),
            ("=?base64?w6k=", Some("=?base64?w6k=")),
        ] {
            assert_eq!(decoded_header(value).as_deref(), expected, "{value}");
        }
    }
}
