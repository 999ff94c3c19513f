//! Decompression of gzip with a limit.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

/// The reason why bytes are not decompressed.
#[derive(Debug, thiserror::Error)]
pub enum GzipError {
    /// The bytes are not gzip.
    #[error(transparent)]
    Invalid(#[from] io::Error),
    /// There are more bytes than the limit after decompression.
    #[error("more than {0} bytes after decompression")]
    TooLarge(usize),
}

/// Decompresses `body`, which can have several members. Stops after `limit` bytes, so that a small body cannot fill the
/// memory.
///
/// # Errors
/// When `body` is not gzip, or is larger than `limit` after decompression.
pub fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, GzipError> {
    let mut decompressed = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(body).take(most).read_to_end(&mut decompressed)?;
    if decompressed.len() > limit { Err(GzipError::TooLarge(limit)) } else { Ok(decompressed) }
}
