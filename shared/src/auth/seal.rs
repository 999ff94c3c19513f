//! Encrypts text that callers send back to us and must neither read nor change: the cursors of callers with restricted
//! access.

use std::fmt;

use hex::FromHex;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

const SECRET_BYTES: usize = 32;
/// Marks the end of a text, before its zero padding.
const END: u8 = 0x80;

/// Secret that belongs to an API key and is unknown to its holder.
#[derive(Clone, PartialEq, Eq)]
pub struct Seal([u8; SECRET_BYTES]);

impl Seal {
    /// Generates a new secret from the operating system's source of randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        Ok(Self(secret))
    }

    /// Derives a secret from `parts`. The secret is only as secret as the parts.
    pub(super) fn derive(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(Sha256::digest(part));
        }
        Self(hash.finalize().into())
    }

    /// Returns the secret in hexadecimal, as stored.
    pub(super) fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Parses a text returned by [`Self::to_hex`].
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        <[u8; SECRET_BYTES]>::from_hex(text).ok().map(Self)
    }

    /// Encrypts `text`, padded to `width` bytes to hide its length. Decryption requires the same `context`.
    pub fn close(&self, text: &str, width: usize, context: &str) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = text.as_bytes().to_vec();
        sealed.push(END);
        sealed.resize(sealed.len().max(width + 1), 0);
        let (key, aad) = (self.key()?, Aad::from(context));
        let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        Some([hex::encode(nonce), hex::encode(sealed), hex::encode(tag)].concat())
    }

    /// Decrypts a text returned by [`Self::close`]. Returns `None` for any other text.
    pub fn open(&self, sealed: &str, context: &str) -> Option<String> {
        let mut sealed = hex::decode(sealed).ok()?;
        let (nonce, text) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.key()?.open_in_place(nonce, Aad::from(context), text).ok()?;
        let end = text.iter().rposition(|byte| *byte == END)?;
        String::from_utf8(text[..end].to_vec()).ok()
    }

    fn key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, &self.0).ok().map(LessSafeKey::new)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Seal(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_opens_only_with_its_secret_and_context() {
        let seal = Seal::generate().expect("randomness");
        for text in ["", "a", "2026-01-01T00:00:00Z#ä#1", "\u{80}\u{0}", "longer than the width"] {
            let sealed = seal.close(text, 16, "events of maria").expect("randomness");
            assert_eq!(seal.open(&sealed, "events of maria").as_deref(), Some(text));
            assert_eq!(seal.open(&sealed, "events of mario"), None);
            assert_eq!(Seal::generate().expect("randomness").open(&sealed, "events of maria"), None);
            let changed = format!("{}{}", if sealed.starts_with('0') { '1' } else { '0' }, &sealed[1..]);
            assert_eq!(seal.open(&changed, "events of maria"), None);
        }
        for text in ["", "0", "zz", "é0", &"0".repeat(24), &"0".repeat(200)] {
            assert_eq!(seal.open(text, ""), None, "{text}");
        }
    }

    #[test]
    fn sealed_texts_have_one_length_and_are_distinct() {
        let seal = Seal::generate().expect("randomness");
        let close = |text| seal.close(text, 16, "").expect("randomness");
        assert_eq!(close("a").len(), close("sixteen bytes ok").len());
        assert_ne!(close("a"), close("a"));
    }

    #[test]
    fn secret_reads_back_from_hexadecimal() {
        let seal = Seal::generate().expect("randomness");
        assert_eq!(Seal::from_hex(&seal.to_hex()), Some(seal));
        assert_eq!(Seal::from_hex("00"), None);
    }
}
