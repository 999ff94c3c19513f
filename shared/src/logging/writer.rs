//! Adds entries to a log.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::entry::Entry;
use super::entry_id::IdSource;
use super::metadata::Metadata;
use super::segment::{self, Segment};
use super::store::{GetLog, ListLogs, PutLog, PutResult};
use crate::aws::StoreError;

/// Fields that may differ in a retry of the same interaction: the classifier and this software change.
const DERIVED: [&str; 3] = ["detected_signal", "classification", "v"];
const METADATA: &str = "metadata";

/// A segment to be added to its log. Its key is fixed, so writing it twice has the same effect as writing it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    /// S3 key.
    pub key: String,
    /// Lines of the segment.
    pub body: Vec<u8>,
    /// Source of the entry's id.
    pub id_source: IdSource,
}

impl Writing {
    /// Creates a segment that holds only `entry`.
    ///
    /// # Errors
    /// When the entry cannot be serialized as JSON.
    pub fn of(entry: &Entry, id_source: IdSource) -> Result<Self, StoreError> {
        let mut body = serde_json::to_vec(entry)
            .map_err(|error| StoreError::unreadable("s3", "PutObject", format!("entry: {error}")))?;
        body.push(b'\n');
        Ok(Self { key: Segment::of_one(entry).key(&entry.conversation()), body, id_source })
    }
}

/// The outcome of a write.
#[derive(Clone, Debug)]
pub enum Written {
    /// The entry is stored.
    Stored,
    /// The same interaction was stored before, as this entry.
    Duplicate(Box<RawValue>),
    /// Another interaction is stored under the same id.
    Conflict,
}

/// Adds `writing` to its log. If the caller determined the id, first searches the log for the id: the key contains the
/// signal, and the classifier may have found a different one for an earlier attempt.
///
/// Two concurrent requests with the same id, neither of which finds the other, can both be stored if their signals
/// differ. Readers use the first of the two keys for the entry.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn write<S>(store: &S, writing: &Writing) -> Result<Written, StoreError>
where
    S: PutLog + ListLogs + GetLog,
{
    if writing.id_source == IdSource::Generated {
        // The key is new, so an existing object is this one, from an attempt whose response was lost.
        return store.put(&writing.key, writing.body.clone()).await.map(|_| Written::Stored);
    }
    if let Some(earlier) = find_earlier(store, writing).await? {
        return Ok(earlier);
    }
    match store.put(&writing.key, writing.body.clone()).await? {
        PutResult::Stored => Ok(Written::Stored),
        // If no entry is found, it has just been erased.
        PutResult::Existing => Ok(find_earlier(store, writing).await?.unwrap_or(Written::Stored)),
    }
}

/// Compares `writing` with the entry stored in its log under the same id.
async fn find_earlier<S: ListLogs + GetLog>(store: &S, writing: &Writing) -> Result<Option<Written>, StoreError> {
    let page = store.list(segment::prefix_of_entry(&writing.key), None, 1).await?;
    let Some(key) = page.keys.first() else { return Ok(None) };
    let Some(line) = store.get(key).await? else { return Ok(None) };
    let is_same = is_same_interaction(&line, &writing.body);
    let stored = serde_json::from_slice(&line).ok().zip(is_same);
    match stored {
        Some((entry, true)) => Ok(Some(Written::Duplicate(entry))),
        Some((_, false)) => Ok(Some(Written::Conflict)),
        None => Err(StoreError::unreadable("s3", "GetObject", "log entry")),
    }
}

/// The fields of an entry, by name, as written.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// The value of a field, for comparison.
#[derive(PartialEq)]
enum Compared {
    /// A string, a number, a boolean or null.
    Scalar(Value),
    /// An object whose keys a caller chose. [`Value`] would interpret one of them, so the object has a type of its own.
    Metadata(Metadata),
}

impl Compared {
    fn of(fields: &Fields<'_>, name: &str) -> Option<Self> {
        let text = fields.get(name).map_or("null", |value| value.get());
        match name {
            METADATA if text != "null" => serde_json::from_str(text).ok().map(Self::Metadata),
            _ => serde_json::from_str(text).ok().map(Self::Scalar),
        }
    }
}

/// Returns whether two lines record the same data of a caller, or `None` if one of them is not an entry. A field that is
/// absent, as in entries of older versions, equals null.
fn is_same_interaction(stored: &[u8], sent: &[u8]) -> Option<bool> {
    let [stored, sent] = [stored, sent].map(|line| serde_json::from_slice::<Fields<'_>>(line).ok());
    let (stored, sent) = (stored?, sent?);
    let has_same = |name: &str| Compared::of(&stored, name) == Compared::of(&sent, name);
    let mut fields = sent.keys().map(String::as_str).filter(|name| !DERIVED.contains(name));
    Some(fields.all(has_same) && signal_sent(&stored) == signal_sent(&sent))
}

/// Returns the signal given by the caller, if any.
fn signal_sent(entry: &Fields<'_>) -> Option<String> {
    let is_classified = entry.get("classification").is_some_and(|classification| classification.get() != "null");
    let signal = entry.get("detected_signal").filter(|_| !is_classified)?;
    serde_json::from_str(signal.get()).ok()
}

#[cfg(test)]
mod tests;
