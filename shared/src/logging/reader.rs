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

use super::recorded::RecordedEntry;
use super::store::GetLog;
use crate::aws::StoreError;

pub use counts::{CountQuery, Counts, SUMMARY_ENTRIES, count, summarise};
pub use cursor::EntryCursor;
pub(crate) use examine::fitting;
pub use examine::{PageOrder, PageRoom};
pub use filter::{ContentFilter, SearchText};
pub use oldest::{OldestCursor, oldest_entries};
pub use page::{EntryPage, EntryQuery, entries};
pub use single::{LocatedEntry, entries_of_hour, entry, locate};

/// Maximum number of listings of a request whose filter skips entries.
const MAX_LISTS: usize = 20;
/// Objects read concurrently.
const PARALLEL_GETS: usize = 20;

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
        for entry in body.iter().flat_map(|body| RecordedEntry::parse_all(body)) {
            kept.extend(keep(entry?));
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests;
