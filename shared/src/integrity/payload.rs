//! What a caller says of an event in its own terms.

use serde_json::Value;
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
    /// The payload `text`, which is a JSON object.
    pub fn new(text: String) -> Self {
        let digest = digest(&text);
        Self { text, digest }
    }

    /// The text as it came in.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Tells payloads apart. Two that mean the same, whatever the order of their keys and their white space, have the
    /// same digest.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether it is kept in an item of its own.
    pub fn is_apart(&self) -> bool {
        self.text.len() >= APART_FROM_BYTES
    }
}

fn digest(text: &str) -> String {
    // Serde's maps are sorted, so that writing a value again gives one text for all that mean the same.
    let canonical = serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| value.to_string());
    Sha256::digest(canonical)[..DIGEST_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_that_mean_the_same_have_the_same_digest() {
        let payload = |text: &str| Payload::new(text.to_owned());
        assert_eq!(payload(r#"{"a":1,"b":[1,2]}"#).digest(), payload(r#"{ "b": [1, 2], "a": 1 }"#).digest());
        assert_ne!(payload(r#"{"a":1}"#).digest(), payload(r#"{"a":"1"}"#).digest());
        assert_ne!(payload(r#"{"a":[1,2]}"#).digest(), payload(r#"{"a":[2,1]}"#).digest());
    }
}
