//! Adding to a log.

use super::entry::Entry;
use super::segment::Segment;
use super::store::PutLog;
use crate::aws::StoreError;

/// A segment on its way to its log. Its key is fixed, so that to write it twice is to write it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// Where it goes.
    pub key: String,
    /// Its lines.
    pub body: Vec<u8>,
}

impl Writing {
    /// `entry` as a segment of its own.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn of(entry: &Entry) -> Result<Self, StoreError> {
        let mut body = serde_json::to_vec(entry)
            .map_err(|error| StoreError::unreadable("s3", "PutObject", format!("entry: {error}")))?;
        body.push(b'\n');
        Ok(Self { key: Segment::of_one(entry).key(&entry.conversation()), body })
    }
}

/// Adds `writing` to its log, unless it is there already.
///
/// # Errors
/// When S3 does not take it.
pub async fn write<S: PutLog>(store: &S, writing: &Writing) -> Result<(), StoreError> {
    store.put(&writing.key, writing.body.clone()).await
}
