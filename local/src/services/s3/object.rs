//! Metadata of objects, and their rows in the table `objects`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use rusqlite::Row;

/// The characters of a key that S3 encodes in listings with `encoding-type=url` and in notifications.
pub const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b'*');

/// The metadata of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The object's name in its bucket.
    pub key: String,
    /// The size of the body, in bytes.
    pub size: u64,
    /// The body's MD5 in hexadecimal, as in S3 for an object that is not a multipart upload.
    pub etag: String,
    /// The time of the PUT, in Unix milliseconds.
    pub modified_ms: i64,
    /// The content type of the PUT request.
    pub content_type: Option<String>,
}

impl Object {
    /// Reads an object from the columns key, size, etag, modified_ms and content_type.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let key: Vec<u8> = row.get(0)?;
        Ok(Self {
            // Keys are text; they are stored as bytes only for their order.
            key: String::from_utf8_lossy(&key).into_owned(),
            size: row.get(1)?,
            etag: row.get(2)?,
            modified_ms: row.get(3)?,
            content_type: row.get(4)?,
        })
    }
}
