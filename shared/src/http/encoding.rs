//! Compressed bodies.

use super::error::Error;
use crate::config::ByteLimit;
use crate::gzip::{self, GzipError};
use crate::json::Echo;
use crate::validation::{FieldError, Violation};

/// The encoding of a body: RFC 9110, 8.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentEncoding {
    Identity,
    Gzip,
}

impl ContentEncoding {
    /// Parses the value of the header `Content-Encoding`.
    ///
    /// # Errors
    /// [`Error::UnsupportedEncoding`].
    pub fn parse(value: &str) -> Result<Self, Error> {
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            // RFC 9110, 8.4.1.3: both names mean the same.
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            _ => Err(Error::UnsupportedEncoding),
        }
    }
}

/// Decompresses `body` up to `limit`.
///
/// # Errors
/// [`Error::Invalid`] if `body` is not gzip, [`Error::BodyTooLarge`].
pub(super) fn gunzip(body: &[u8], limit: ByteLimit) -> Result<Vec<u8>, Error> {
    gzip::decompress(body, limit.bytes).map_err(|error| match error {
        GzipError::TooLarge(_) => Error::BodyTooLarge(limit),
        GzipError::Invalid(_) => {
            // API Gateway treats bodies of some types as text, which changes the bytes.
            let rule =
                "must be gzip as content-encoding says; through API Gateway, send content-type application/x-ndjson";
            FieldError::new("body", None, Violation::value_error(rule), Echo::null()).into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    const LIMIT: ByteLimit = ByteLimit { limit_name: "limits.x", bytes: 1_000 };

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn gzip_is_decompressed_up_to_the_limit() {
        for bytes in [0, 1, 1_000] {
            assert_eq!(gunzip(&gzip(&vec![b'x'; bytes]), LIMIT).expect("gzip").len(), bytes);
        }
        for bytes in [1_001, 10_000_000] {
            assert!(matches!(gunzip(&gzip(&vec![b'x'; bytes]), LIMIT), Err(Error::BodyTooLarge(LIMIT))));
        }
    }

    #[test]
    fn members_of_a_gzip_file_are_one_body() {
        assert_eq!(gunzip(&[gzip(b"a\n"), gzip(b"b\n")].concat(), LIMIT).expect("gzip"), b"a\nb\n");
    }

    #[test]
    fn other_bytes_are_not_gzip() {
        let whole = gzip(&[b'x'; 100]);
        let mut damaged = whole.clone();
        damaged[12] ^= 0xff;
        let as_text = String::from_utf8_lossy(&whole).into_owned().into_bytes();
        for body in [b"".as_slice(), b"[]", &whole[..whole.len() - 1], &damaged, &as_text] {
            assert!(matches!(gunzip(body, LIMIT), Err(Error::Invalid(_))), "{body:?}");
        }
    }

    #[test]
    fn encoding_is_read_from_its_names() {
        for (value, expected) in [
            ("gzip", ContentEncoding::Gzip),
            (" X-GZIP", ContentEncoding::Gzip),
            ("identity", ContentEncoding::Identity),
        ] {
            assert_eq!(ContentEncoding::parse(value).expect("supported"), expected);
        }
        for value in ["br", "deflate", "gzip, gzip", "zstd"] {
            assert!(matches!(ContentEncoding::parse(value), Err(Error::UnsupportedEncoding)), "{value}");
        }
    }
}
