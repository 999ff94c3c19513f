//! API keys: the secret, its hash and the stored record.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest, Sha256};

use super::{Agents, Scope, Seal};
use crate::time::Timestamp;

const PREFIX: &str = "sig_";
const SECRET_BYTES: usize = 32;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Base-62 digits of 32 bytes.
const SECRET_DIGITS: usize = 43;

/// The secret that a caller sends as `X-API-Key`: `sig_` and 32 random bytes in base 62.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Generates a new key from the operating system's source of randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self(format!("{PREFIX}{}", base62(secret))))
    }

    /// Parses `text` as a key. Returns `None` for a text with a different format, which needs no lookup.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        (digits.len() == SECRET_DIGITS && digits.bytes().all(|digit| BASE62.contains(&digit)))
            .then(|| Self(text.to_owned()))
    }

    /// Returns the hash that is stored instead of the key.
    pub fn hash(&self) -> KeyHash {
        KeyHash(hex::encode(Sha256::digest(self.0.as_bytes())))
    }

    /// Returns the secret itself, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ApiKey(…)")
    }
}

/// Returns `bytes` as one big-endian number in base 62, padded to a constant width.
fn base62(mut bytes: [u8; SECRET_BYTES]) -> String {
    let mut digits = [0; SECRET_DIGITS];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_usize;
        for byte in &mut bytes {
            let dividend = remainder << 8 | usize::from(*byte);
            *byte = (dividend / BASE62.len()).try_into().unwrap_or(u8::MAX);
            remainder = dividend % BASE62.len();
        }
        *digit = BASE62[remainder];
    }
    digits.iter().map(|&digit| char::from(digit)).collect()
}

/// SHA-256 of a key, in hexadecimal: the partition key of the table `api_keys`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub(super) String);

impl KeyHash {
    /// Returns the hash as hexadecimal text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Stored record of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Identifies the key without revealing it.
    pub hash: KeyHash,
    /// Human-readable name, used in logs.
    pub name: String,
    /// Permissions of the key.
    pub scopes: BTreeSet<Scope>,
    /// Agents that the key may access.
    pub agents: Agents,
    /// Unix second from which on the key is invalid.
    pub expires_at: Option<i64>,
    /// Secret that seals the data which the key's holder may carry but not read.
    pub seal: Seal,
}

impl KeyRecord {
    /// Returns whether the key has expired. DynamoDB deletes expired items late, so readers must check.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_keys_are_valid_and_distinct() {
        let key = ApiKey::generate().expect("randomness");
        assert_eq!(ApiKey::parse(key.reveal()), Some(key.clone()));
        assert_ne!(ApiKey::generate().expect("randomness"), key);
    }

    #[test]
    fn base_62_width_is_constant_from_smallest_to_largest_number() {
        assert_eq!(base62([0; 32]), "0".repeat(43));
        let mut one = [0; 32];
        one[31] = 61;
        assert_eq!(base62(one), format!("{}z", "0".repeat(42)));
        assert_eq!(base62([0xff; 32]).len(), 43);
    }

    #[test]
    fn parse_refuses_text_in_another_format() {
        let digits = "a".repeat(43);
        assert!(ApiKey::parse(&format!("sig_{digits}")).is_some());
        for text in ["", "sig_", &digits, &format!("sig_{digits}a"), &format!("sig_{}-", &digits[1..])] {
            assert_eq!(ApiKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn key_expires_at_its_second() {
        let mut record = KeyRecord {
            hash: KeyHash(String::new()),
            name: String::new(),
            scopes: BTreeSet::new(),
            agents: Agents::All,
            expires_at: Some(100),
            seal: Seal::derive(&[]),
        };
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000).expect("in range");
        assert!(!record.is_expired(at(99)) && record.is_expired(at(100)));
        record.expires_at = None;
        assert!(!record.is_expired(Timestamp::MAX));
    }
}
