//! Filters entries by their content, which keys do not tell.

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::Deserialize;

use super::RecordedEntry;
use crate::validation::Violation;

/// Required content of entries. Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentFilter {
    /// The session id of an entry, exactly.
    pub session_id: Option<String>,
    /// A text in the user's input or in the agent's output.
    pub text: Option<SearchText>,
}

/// The fields of an entry that are searched.
#[derive(Deserialize)]
struct Content {
    session_id: Option<String>,
    user_input: Option<String>,
    agent_output: Option<String>,
}

impl ContentFilter {
    /// Returns whether the filter accepts every entry, so that no content has to be searched.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the filter accepts `entry`.
    pub(super) fn accepts(&self, entry: &RecordedEntry) -> bool {
        if self.is_empty() {
            return true;
        }
        let Ok(content) = serde_json::from_str::<Content>(entry.json.get()) else { return false };
        let is_session = self.session_id.is_none() || self.session_id == content.session_id;
        let texts = || content.user_input.iter().chain(&content.agent_output);
        is_session && self.text.as_ref().is_none_or(|wanted| texts().any(|text| wanted.is_in(text)))
    }
}

/// A text to search for, regardless of case and of Unicode's compatible forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchText {
    folded: String,
}

impl SearchText {
    /// Maximum length in bytes of UTF-8.
    const MAX_BYTES: usize = 256;

    fn is_in(&self, text: &str) -> bool {
        fold(text).contains(&self.folded)
    }
}

impl TryFrom<String> for SearchText {
    type Error = Violation;

    fn try_from(text: String) -> Result<Self, Violation> {
        if text.is_empty() {
            return Err(Violation::new("string_too_short", "String should have at least 1 character"));
        }
        if text.len() > Self::MAX_BYTES {
            return Err(Violation::string_too_long(Self::MAX_BYTES));
        }
        Ok(Self { folded: fold(&text) })
    }
}

/// Returns `text` as compared: normalized by NFKC, in lower case. Letters that have no lower case of their own, such as "ß"
/// and "ς", are compared by the lower case of their upper case, as "ss" and "σ".
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let normalizer = ComposingNormalizerBorrowed::new_nfkc();
    let lower = normalizer.normalize(text).to_lowercase();
    let folded: String = lower.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    normalizer.normalize(&folded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn text(text: &str) -> SearchText {
        SearchText::try_from(text.to_owned()).expect("a text")
    }

    fn entry(more: &Value) -> RecordedEntry {
        let mut line = json!({
            "log_id": "019b796d-d600-7c2a-8a53-5d1c54f1a6c1", "timestamp": "2026-01-01T12:00:00.000Z",
            "detected_signal": "neutral",
        });
        line.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        RecordedEntry::parse(line.to_string().as_bytes()).expect("an entry")
    }

    #[test]
    fn search_ignores_case_in_every_script() {
        for (wanted, found) in [
            ("parcel", "My PARCEL?"),
            ("PARCEL", "my parcel"),
            ("strasse", "Große STRAẞE"),
            ("Straße", "STRASSE"),
            ("όσος", "ΌΣΟΣ"),
            ("привет", "ПРИВЕТ!"),
            ("\u{e9}t\u{e9}", "E\u{301}TE\u{301}"),
            ("e\u{301}t\u{e9}", "\u{c9}T\u{c9}"),
            ("ﬁn", "FIN"),
            ("abc1", "ＡＢＣ１"),
            ("日本", "日本語"),
        ] {
            assert!(text(wanted).is_in(found), "{wanted} in {found}");
        }
        for (wanted, other) in [("parcels", "parcel"), ("ete", "\u{e9}t\u{e9}"), ("a b", "ab"), ("%", "100")] {
            assert!(!text(wanted).is_in(other), "{wanted} in {other}");
        }
    }

    #[test]
    fn search_text_has_1_to_256_bytes() {
        assert!(SearchText::try_from(String::new()).is_err());
        assert!(SearchText::try_from("é".repeat(128)).is_ok());
        assert!(SearchText::try_from("é".repeat(129)).is_err());
    }

    #[test]
    fn filter_accepts_entries_with_all_of_its_content() {
        let sorry = json!({ "session_id": "s-1", "user_input": "Where is it?", "agent_output": "Sorry!" });
        let filter = |session_id: Option<&str>, wanted: Option<&str>| ContentFilter {
            session_id: session_id.map(str::to_owned),
            text: wanted.map(text),
        };
        for (session_id, wanted, is_accepted) in [
            (None, None, true),
            (Some("s-1"), None, true),
            (Some("S-1"), None, false),
            (Some(""), None, false),
            (None, Some("WHERE"), true),
            (None, Some("sorry"), true),
            (None, Some("s-1"), false),
            (Some("s-1"), Some("sorry"), true),
            (Some("s-2"), Some("sorry"), false),
        ] {
            assert_eq!(filter(session_id, wanted).accepts(&entry(&sorry)), is_accepted, "{session_id:?} {wanted:?}");
        }
        // An entry of an older version has no reply, and need not have a session.
        let old = entry(&json!({ "user_input": "Where is it?" }));
        assert!(filter(None, Some("where")).accepts(&old) && filter(None, None).accepts(&old));
        assert!(!filter(Some("s-1"), None).accepts(&old) && !filter(None, Some("sorry")).accepts(&old));
        let null = entry(&json!({ "user_input": "", "session_id": null, "agent_output": null }));
        assert!(!filter(Some(""), None).accepts(&null) && !filter(None, Some("null")).accepts(&null));
    }
}
