//! Adding to a log.

use super::entry::Entry;
use super::segment::Segment;
use super::store::PutLog;
use crate::aws::StoreError;

/// Adds `entry` to its log, as a segment of its own.
///
/// # Errors
/// When S3 does not take it, or it cannot be written as JSON.
pub async fn append<S: PutLog>(store: &S, entry: &Entry) -> Result<(), StoreError> {
    let mut line = serde_json::to_vec(entry)
        .map_err(|error| StoreError::unreadable("s3", "PutObject", format!("entry: {error}")))?;
    line.push(b'\n');
    store.put(&Segment::of_one(entry).key(&entry.conversation()), line).await
}
