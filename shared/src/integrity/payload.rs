//! What a caller says of an event in its own terms.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// From this size on a payload is kept in an item of its own, so that reading the events of a window does not read it.
const APART_FROM_BYTES: usize = 1_024;
/// Enough that no two payloads meet: 128 bits.
const DIGEST_BYTES: usize = 16;

/// A JSON object, as the text it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    text: String,
    digest: String,
}

impl Payload {
    /// The payload `text`, which is a JSON object no deeper than serde reads it.
    pub fn new(text: String) -> Self {
        let digest = digest(&text);
        Self { text, digest }
    }

    /// The text as it came in.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Tells payloads apart. Two that mean the same, whatever the order of their keys and their white space, have the
    /// same digest; numbers are taken as they are written.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether it is kept in an item of its own.
    pub fn is_apart(&self) -> bool {
        self.text.len() >= APART_FROM_BYTES
    }
}

fn digest(text: &str) -> String {
    let mut hash = Sha256::new();
    if let Ok(value) = serde_json::from_str(text) {
        hash_canonical(value, &mut hash);
    }
    hash.finalize()[..DIGEST_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes one text for all values that mean the same. A number is hashed as it is written: read as a float, two large
/// ones that differ would be the same.
fn hash_canonical(value: &RawValue, hash: &mut Sha256) {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            hash.update(b"{");
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
            for (name, value) in fields {
                hash.update(Value::String(name).to_string());
                hash.update(b":");
                hash_canonical(value, hash);
                hash.update(b",");
            }
            hash.update(b"}");
        }
        Some(b'[') => {
            hash.update(b"[");
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
            for item in items {
                hash_canonical(item, hash);
                hash.update(b",");
            }
            hash.update(b"]");
        }
        Some(b'"') => {
            let string: String = serde_json::from_str(text).unwrap_or_default();
            hash.update(Value::String(string).to_string());
        }
        _ => hash.update(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(text: &str) -> String {
        Payload::new(text.to_owned()).digest().to_owned()
    }

    #[test]
    fn payloads_that_mean_the_same_have_the_same_digest() {
        assert_eq!(digest_of(r#"{"a":1,"b":[1,2]}"#), digest_of(r#"{ "b": [1, 2], "a": 1 }"#));
        assert_eq!(digest_of(r#"{"a":"\u00e9"}"#), digest_of(r#"{"a":"é"}"#));
    }

    #[test]
    fn payloads_that_differ_have_different_digests() {
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
}
