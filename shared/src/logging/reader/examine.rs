//! Reads the entries that a listing found, in the order of a page, until the page is full.

use super::super::entry::EntryOrder;
use super::super::store::GetLog;
use super::filter::ContentFilter;
use super::{RecordedEntry, read};
use crate::aws::StoreError;
use crate::json::escaped_len;
use crate::validation::Violation;

/// Maximum bytes of entries in a page, as encoded in Lambda's response. Below Lambda's limit of 6 MB. A page whose entries
/// are searched ends after the read that exceeds this size, whether the entries match or not.
const MAX_PAGE_BYTES: usize = 5_500_000;
/// Maximum number of entries that a page searches for content.
const MAX_SEARCHED: usize = 500;
/// Number of entries read before the next are known to be needed.
const CHUNK: usize = 100;

/// Order of the pages of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageOrder {
    /// The newest entries first.
    #[default]
    Newest,
    /// The oldest entries first.
    Oldest,
}

impl TryFrom<String> for PageOrder {
    type Error = Violation;

    fn try_from(name: String) -> Result<Self, Violation> {
        match name.as_str() {
            "newest" => Ok(Self::Newest),
            "oldest" => Ok(Self::Oldest),
            _ => Err(Violation::new("literal_error", "Input should be 'newest' or 'oldest'")),
        }
    }
}

/// An entry that a listing found: the key of its segment if the segment has no other entry, or the entry itself.
#[derive(Debug)]
pub(super) enum Found {
    SingleEntry(String),
    Read(RecordedEntry),
}

/// Returns the number of entries that a page with at most `limit` entries has to find.
pub(super) fn candidates(filter: &ContentFilter, limit: usize) -> usize {
    if filter.is_empty() { limit } else { MAX_SEARCHED.max(limit) }
}

/// The entries of a page.
pub(super) struct Examined {
    /// Entries that match, oldest first.
    pub entries: Vec<RecordedEntry>,
    /// Order of the last entry examined.
    pub last: Option<EntryOrder>,
    /// `true` if all found entries are examined.
    pub is_all: bool,
}

/// Reads the entries in `found`, which are in the order of the pages, until `limit` of them match `filter` or a response
/// has no room for more. The first match always fits.
pub(super) async fn examine<S: GetLog + Sync>(
    store: &S,
    found: Vec<(EntryOrder, Found)>,
    order: PageOrder,
    filter: &ContentFilter,
    limit: usize,
) -> Result<Examined, StoreError> {
    let chunk = if filter.is_empty() { limit } else { CHUNK };
    let mut rest = found.into_iter();
    let (mut entries, mut last, mut bytes) = (Vec::new(), None, 0);
    while entries.len() < limit && bytes <= MAX_PAGE_BYTES {
        let next: Vec<_> = rest.by_ref().take(chunk).collect();
        let Some((end, _)) = next.last() else { break };
        last = Some(*end);
        let read = read_found(store, next, order).await?;
        bytes += read.iter().map(|entry| entry.json.get().len()).sum::<usize>();
        entries.extend(read.into_iter().filter(|entry| filter.accepts(entry)));
    }
    let fitting = fitting(entries.iter().take(limit));
    let is_all = fitting == entries.len() && rest.len() == 0;
    if fitting < entries.len() {
        entries.truncate(fitting);
        last = entries.last().map(|entry| entry.order);
    }
    entries.sort_unstable_by_key(|entry| entry.order);
    Ok(Examined { entries, last, is_all })
}

/// Returns the entries of `found` in the given order.
async fn read_found<S: GetLog + Sync>(
    store: &S,
    found: Vec<(EntryOrder, Found)>,
    order: PageOrder,
) -> Result<Vec<RecordedEntry>, StoreError> {
    let (mut single_entries, mut entries) = (Vec::new(), Vec::new());
    for (_, found) in found {
        match found {
            Found::SingleEntry(key) => single_entries.push(key),
            Found::Read(entry) => entries.push(entry),
        }
    }
    entries.extend(read(store, single_entries, Some).await?);
    entries.sort_unstable_by_key(|entry| entry.order);
    if order == PageOrder::Newest {
        entries.reverse();
    }
    Ok(entries)
}

/// Returns how many of the first of `entries` fit into a response: at least one, if there is one.
pub fn fitting<'a>(entries: impl Iterator<Item = &'a RecordedEntry>) -> usize {
    let mut bytes = 0;
    let fits = |(index, entry): &(usize, &RecordedEntry)| {
        bytes += escaped_len(entry.json.get());
        *index == 0 || bytes <= MAX_PAGE_BYTES
    };
    entries.enumerate().take_while(fits).count()
}
