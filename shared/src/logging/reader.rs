//! Reads a log: its entries, one by one or in pages from either end, and their counts.
//!
//! Keys contain most of the information. A segment of several entries is read for counts only if it overlaps another
//! segment or an end of the requested range, because its key contains only its bounds and its counts.
//!
//! An entry that is stored more than once is shown and counted once, as in the first segment in key order that has it.

mod counts;
mod cursor;
mod distinct;
mod examine;
mod filter;
mod listing;
mod oldest;
mod page;
mod single;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::entry::EntryOrder;
use super::store::GetLog;
use crate::aws::{S3, StoreError};
use crate::ids::Signal;
use crate::time::Timestamp;

pub use counts::{CountQuery, Counts, SUMMARY_ENTRIES, count, summarise};
pub use cursor::EntryCursor;
pub use examine::PageOrder;
pub use filter::{ContentFilter, SearchText};
pub use oldest::{OldestCursor, oldest_entries};
pub use page::{EntryPage, EntryQuery, entries};
pub use single::entry;

/// Maximum number of listings of a request whose filter skips entries.
const MAX_LISTS: usize = 20;
/// Objects read concurrently.
const PARALLEL_GETS: usize = 20;

/// An entry as read: its unchanged line and its sort key.
#[derive(Clone, Debug)]
pub struct RecordedEntry {
    order: EntryOrder,
    /// Signal under which the entry is counted.
    signal: Signal,
    line: Box<RawValue>,
}

impl RecordedEntry {
    /// Returns the sort key of the entry.
    pub fn order(&self) -> EntryOrder {
        self.order
    }

    /// Returns the signal under which the entry is counted.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Returns the entry's JSON with all fields of its version.
    pub fn json(&self) -> &RawValue {
        &self.line
    }
}

/// Fields of a line that the reader needs.
#[derive(Deserialize)]
struct Line<'a> {
    log_id: Uuid,
    timestamp: &'a str,
    detected_signal: String,
    /// Absent from entries of early versions, null if the caller gave the signal.
    classification: Option<LineClassification>,
}

#[derive(Deserialize)]
struct LineClassification {
    /// Null if the classifier could not read the text.
    score: Option<IgnoredAny>,
}

/// Reads the objects under `keys`, some concurrently, and returns the results of `keep` for their entries, in the order of
/// the keys.
async fn read<S, T, K>(store: &S, keys: Vec<String>, keep: K) -> Result<Vec<T>, StoreError>
where
    S: GetLog + Sync,
    K: Fn(RecordedEntry) -> Option<T>,
{
    let mut bodies = stream::iter(keys).map(|key| async move { store.get(&key).await }).buffered(PARALLEL_GETS);
    let mut kept = Vec::new();
    while let Some(body) = bodies.try_next().await? {
        // An object erased after it was listed is not part of the log any longer.
        for entry in body.iter().flat_map(|body| lines(body)) {
            kept.extend(keep(entry?));
        }
    }
    Ok(kept)
}

/// Returns the entries of an object.
///
/// # Errors
/// When the object is not a log.
pub(super) fn parse_lines(body: &[u8]) -> Result<Vec<RecordedEntry>, StoreError> {
    lines(body).collect()
}

fn lines(body: &[u8]) -> impl Iterator<Item = Result<RecordedEntry, StoreError>> {
    let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| parse_line(line).ok_or_else(|| StoreError::corrupt(S3, "GetObject", "log entry")))
}

fn parse_line(line: &[u8]) -> Option<RecordedEntry> {
    let raw: &RawValue = serde_json::from_slice(line).ok()?;
    let known: Line<'_> = serde_json::from_str(raw.get()).ok()?;
    let is_classified = known.classification.is_none_or(|classification| classification.score.is_some());
    let signal = Signal::try_from(known.detected_signal).ok()?;
    Some(RecordedEntry {
        order: (Timestamp::parse_rfc3339(known.timestamp)?.millis(), known.log_id),
        signal: if is_classified { signal } else { Signal::unclassified() },
        line: raw.to_owned(),
    })
}

#[cfg(test)]
mod tests;
