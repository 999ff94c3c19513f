//! Reads a log: its entries, one by one or in pages from either end, and their counts.
//!
//! Keys contain most of the information. A segment of several entries is read only if it straddles an end of the
//! requested range, because its key contains only its bounds and its counts.

mod counts;
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

use super::entry::{Conversation, EntryOrder};
use super::newest::NewestEntries;
use super::segment;
use super::span::Span;
use super::store::{GetLog, ListLogs};
use super::summary::Summary;
use crate::aws::{S3, StoreError};
use crate::ids::Signal;
use crate::time::Timestamp;

pub use counts::{CountCursor, CountQuery, Counts, count};
pub use examine::PageOrder;
pub use filter::{ContentFilter, SearchText};
use listing::{Listing, Range};
pub use oldest::{OldestCursor, oldest_entries};
pub use page::{EntryCursor, EntryPage, EntryQuery, entries};
pub use single::entry;

/// Number of entries counted by a summary.
pub const SUMMARY_ENTRIES: usize = 1_000;
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

/// Returns the counts by signal of the newest [`SUMMARY_ENTRIES`] of `conversation`.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn summarise<S>(store: &S, conversation: &Conversation) -> Result<Summary, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let newest = gather(store, conversation, SUMMARY_ENTRIES).await?;
    count_newest(store, conversation, newest).await
}

/// Counts the newest entries among the collected segments, each given with its name.
async fn count_newest<S: GetLog + Sync>(
    store: &S,
    conversation: &Conversation,
    newest: NewestEntries<String>,
) -> Result<Summary, StoreError> {
    let prefix = segment::prefix(conversation);
    let selection = newest.select();
    let mut summary: Summary = selection.whole.into_iter().flat_map(|(segment, _)| segment.into_counts()).collect();
    let straddling = selection.straddling.into_iter().map(|(_, name)| format!("{prefix}{name}")).collect();
    let mut candidates = read(store, straddling, |entry| Some((entry.order, entry.signal))).await?;
    for (segment, _) in selection.singles {
        let Some(order) = segment.single() else { continue };
        candidates.extend(segment.into_counts().into_iter().map(|(signal, _)| (order, signal)));
    }
    candidates.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    for (_, signal) in candidates.into_iter().take(selection.remaining) {
        summary.add(signal, 1);
    }
    Ok(summary)
}

/// Lists until the newest `wanted` entries are certain to be among the listed segments. Each comes with its name.
async fn gather<S: ListLogs>(
    store: &S,
    conversation: &Conversation,
    wanted: usize,
) -> Result<NewestEntries<String>, StoreError> {
    let mut listing = Listing::begin(store, conversation, Range::of(Span::default()));
    let mut newest = NewestEntries::new(wanted);
    while !newest.is_complete(listing.covered_until())
        && let Some(segments) = listing.next(wanted).await?
    {
        for (segment, name) in segments {
            newest.add(segment, name);
        }
    }
    Ok(newest)
}

/// Reads the objects under `keys`, some concurrently, and returns the results of `keep` for their entries, in any
/// order.
async fn read<S, T, K>(store: &S, keys: Vec<String>, keep: K) -> Result<Vec<T>, StoreError>
where
    S: GetLog + Sync,
    K: Fn(RecordedEntry) -> Option<T>,
{
    let mut bodies = stream::iter(keys).map(|key| async move { store.get(&key).await }).buffer_unordered(PARALLEL_GETS);
    let mut kept = Vec::new();
    while let Some(body) = bodies.try_next().await? {
        // An object erased after it was listed is not part of the log any longer.
        for line in body.iter().flat_map(|body| body.split(|&byte| byte == b'\n')).filter(|line| !line.is_empty()) {
            let entry = parse_line(line).ok_or_else(|| StoreError::corrupt(S3, "GetObject", "log entry"))?;
            kept.extend(keep(entry));
        }
    }
    Ok(kept)
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
