//! Adds entries to a log.

mod several;

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::metadata::Metadata;
use super::object::LogObject;
use super::segment;
use super::store::{GetLog, ListLogs, PutLog};
use crate::aws::{PutResult, S3, StoreError};

/// Fields that may differ in a retry of the same interaction: the classifier and this software change.
const DERIVED: [&str; 3] = ["detected_signal", "classification", "v"];
const METADATA: &str = "metadata";

pub use several::write_several;

/// The outcome of a write.
#[derive(Clone, Debug)]
pub enum WriteOutcome {
    /// The entry is stored.
    Stored,
    /// The same interaction was stored before, as this entry.
    Duplicate(Box<RawValue>),
    /// Another interaction is stored under the same id.
    Conflict,
    /// The entry is in the retry queue, durably. Only [`crate::intake`] returns this outcome.
    Queued,
}

/// Adds `object`, which holds one entry, to its log. If the caller determined the id, first searches the log for the id: the key contains the
/// signal, and the classifier may have found a different one for an earlier attempt.
///
/// Two concurrent requests with the same id, neither of which finds the other, can both be stored if their signals
/// differ. Readers use the first of the two keys for the entry.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn write<S>(store: &S, object: &LogObject) -> Result<WriteOutcome, StoreError>
where
    S: PutLog + ListLogs + GetLog,
{
    if !object.has_caller_id {
        // The key is new, so an existing object is this one, from an attempt whose response was lost.
        return store.put(&object.key, object.body.clone().into_bytes()).await.map(|_| WriteOutcome::Stored);
    }
    if let Some(earlier) = find_earlier(store, object).await? {
        return Ok(earlier);
    }
    match store.put(&object.key, object.body.clone().into_bytes()).await? {
        PutResult::Stored => Ok(WriteOutcome::Stored),
        // If no entry is found, it has just been erased.
        PutResult::Existing(()) => Ok(find_earlier(store, object).await?.unwrap_or(WriteOutcome::Stored)),
    }
}

/// Compares `object` with the entry stored in its log under the same id.
async fn find_earlier<S: ListLogs + GetLog>(store: &S, object: &LogObject) -> Result<Option<WriteOutcome>, StoreError> {
    let page = store.list(segment::prefix_of_entry(&object.key), None, 1).await?;
    let Some(key) = page.keys.first() else { return Ok(None) };
    let Some(line) = store.get(key).await? else { return Ok(None) };
    let is_same = is_same_interaction(&line, object.body.as_bytes());
    let stored = serde_json::from_slice(&line).ok().zip(is_same);
    match stored {
        Some((entry, true)) => Ok(Some(WriteOutcome::Duplicate(entry))),
        Some((_, false)) => Ok(Some(WriteOutcome::Conflict)),
        None => Err(StoreError::corrupt(S3, "GetObject", "log entry")),
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

/// Returns whether two entries, each a line of JSON, record the same data of a caller, or `None` if one of them is not an entry. A field that is
/// absent, as in entries of older versions, equals null.
pub fn is_same_interaction(stored: &[u8], sent: &[u8]) -> Option<bool> {
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
