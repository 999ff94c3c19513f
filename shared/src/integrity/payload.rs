//! Event payloads: data defined by the caller.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::json::Json;

/// Size from which a payload is kept in an item of its own, so that reading the events of a window does not read it.
const MIN_SEPARATE_BYTES: usize = 1_024;
/// Digest length of 128 bits, enough to rule out collisions.
const DIGEST_BYTES: usize = 16;

/// A JSON object, as its original text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Payload {
    text: String,
    digest: String,
}

impl Payload {
    /// Creates a payload from `json`. Returns `None` if the value is not an object.
    pub fn new(json: Json<'_>) -> Option<Self> {
        json.text().starts_with('{').then(|| Self { text: json.text().to_owned(), digest: digest(json) })
    }

    /// Parses the payload `text`. Returns `None` if the text is not a JSON object within the limits of [`Json`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::new(Json::parse(text.as_bytes()).ok()?)
    }

    /// Returns the original text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns a digest of the meaning of the payload. Payloads that differ only in key order or white space have the
    /// same digest; numbers are compared as they are written.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns whether the payload is kept in an item of its own.
    pub fn is_stored_separately(&self) -> bool {
        self.text.len() >= MIN_SEPARATE_BYTES
    }
}

impl TryFrom<String> for Payload {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("expected a JSON object within the limits")
    }
}

/// Serializes the text as a string.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Default for Payload {
    /// Returns the empty object.
    fn default() -> Self {
        let text = "{}".to_owned();
        let mut hash = Sha256::new();
        Canonical::Object(BTreeMap::new()).hash(&mut hash);
        Self { text, digest: short_hex(hash) }
    }
}

fn digest(json: Json<'_>) -> String {
    let mut hash = Sha256::new();
    Scanner { rest: json.text() }.value().hash(&mut hash);
    short_hex(hash)
}

fn short_hex(hash: Sha256) -> String {
    hex::encode(&hash.finalize()[..DIGEST_BYTES])
}

/// A JSON value in canonical form, the same for all texts with the same meaning. Numbers stay as they are written: read
/// as floats, two different large numbers could become equal.
enum Canonical<'a> {
    Object(BTreeMap<Cow<'a, str>, Canonical<'a>>),
    Array(Vec<Canonical<'a>>),
    String(Cow<'a, str>),
    /// A number, `true`, `false` or `null`.
    Literal(&'a str),
}

impl Canonical<'_> {
    fn hash(&self, hash: &mut Sha256) {
        match self {
            Self::Object(fields) => {
                hash.update(b"{");
                for (name, value) in fields {
                    hash_string(name, hash);
                    hash.update(b":");
                    value.hash(hash);
                    hash.update(b",");
                }
                hash.update(b"}");
            }
            Self::Array(items) => {
                hash.update(b"[");
                for item in items {
                    item.hash(hash);
                    hash.update(b",");
                }
                hash.update(b"]");
            }
            Self::String(text) => hash_string(text, hash),
            Self::Literal(text) => hash.update(text),
        }
    }
}

fn hash_string(text: &str, hash: &mut Sha256) {
    hash.update(serde_json::to_string(text).unwrap_or_default());
}

/// Reads the text of a [`Json`] once, from front to back. The text is known to be valid and within the nesting limit.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn value(&mut self) -> Canonical<'a> {
        match self.peek() {
            Some(b'{') => {
                self.take(1);
                let mut fields = BTreeMap::new();
                while !self.closes(b'}') {
                    let name = self.string();
                    fields.insert(name, self.value());
                }
                Canonical::Object(fields)
            }
            Some(b'[') => {
                self.take(1);
                let mut items = Vec::new();
                while !self.closes(b']') {
                    items.push(self.value());
                }
                Canonical::Array(items)
            }
            Some(b'"') => Canonical::String(self.string()),
            _ => {
                let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
                Canonical::Literal(self.take(end.unwrap_or(self.rest.len())))
            }
        }
    }

    /// Returns the first byte of the next token. In a valid text, commas and colons add nothing to the order of the
    /// tokens.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',', ':']);
        self.rest.bytes().next()
    }

    /// Skips the bracket `close` if it is next. Returns whether the bracket was next or the text has ended.
    fn closes(&mut self, close: u8) -> bool {
        match self.peek() {
            Some(next) if next == close => !self.take(1).is_empty(),
            Some(_) => false,
            None => true,
        }
    }

    fn string(&mut self) -> Cow<'a, str> {
        self.peek();
        let mut is_escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            ends
        });
        let token = self.take(end.map_or(self.rest.len(), |end| end + 2));
        match token.strip_prefix('"').and_then(|token| token.strip_suffix('"')) {
            Some(text) if !text.contains('\\') => Cow::Borrowed(text),
            _ => Cow::Owned(serde_json::from_str(token).unwrap_or_default()),
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(text: &str) -> String {
        Payload::parse(text).expect("a payload").digest().to_owned()
    }

    #[test]
    fn digest_is_the_same_for_equal_payloads() {
        assert_eq!(digest_of(r#"{"a":1,"b":[1,2]}"#), digest_of(r#"{ "b": [1, 2], "a": 1 }"#));
        assert_eq!(digest_of(r#"{"a":"\u00e9"}"#), digest_of(r#"{"a":"é"}"#));
    }

    #[test]
    fn digest_differs_for_different_payloads() {
        let differing = [
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"a":[1,2]}"#,
            r#"{"a":[2,1]}"#,
            r#"{"a":[[1],2]}"#,
            r#"{"a":[1,[2]]}"#,
            r#"{"a":null}"#,
            "{}",
            r#"{"a":12345678901234567890123}"#,
            r#"{"a":12345678901234567890124}"#,
        ];
        let digests: std::collections::BTreeSet<_> = differing.iter().map(|text| digest_of(text)).collect();
        assert_eq!(digests.len(), differing.len());
    }

    /// Digests are stored: an event that is resent after an update must have the same digest.
    #[test]
    fn digest_does_not_change_between_versions() {
        let text =
            r#"{"b ":[1.10,{"\u00e9":null,"\"":[]},"\/\n"],"b":true,"b":{ },"$serde_json::private::RawValue":"[1]"}"#;
        assert_eq!(digest_of(text), "06e94132e7dd40f47945772593ef657c");
        assert_eq!(Payload::default().digest(), digest_of(" {} "));
    }

    #[test]
    fn payload_is_an_object_within_the_limits() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(127), "]".repeat(127));
        for text in ["[]", "\"{}\"", "1", "", "{", "{}{}", &deep] {
            assert_eq!(Payload::parse(text), None, "{text}");
        }
    }

    /// [`Scanner`] consumes each byte once, so the digest takes linear time at any nesting depth.
    #[test]
    fn scanner_consumes_the_whole_text() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(126), "]".repeat(126));
        let flat = format!("{{\"a\":[{}1]}}", "\"\\\\\",".repeat(10_000));
        for text in [deep.as_str(), &flat, "{}", r#"{"a":"\\\"","b":-1.5E+3}"#] {
            let mut scanner = Scanner { rest: text };
            scanner.value();
            assert_eq!(scanner.rest, "");
        }
    }
}
