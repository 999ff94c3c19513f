//! Reads the entries that a listing found, in the order of a page, until the page is full.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::entry::EntryOrder;
use super::super::store::GetLog;
use super::filter::ContentFilter;
use super::page::EntryQuery;
use super::{RecordedEntry, read};
use crate::aws::StoreError;
use crate::deadline::Deadline;
use crate::json::escaped_len;
use crate::validation::Violation;

/// Maximum bytes of the entries of a page as JSON, as encoded in Lambda's response. Below Lambda's limit of 6 MB.
const MAX_JSON_BYTES: usize = 5_500_000;
/// Maximum number of entries that a page searches for content.
const MAX_SEARCHED: usize = 500;
/// Number of entries after which no others are read before they are known to be needed.
const CHUNK: usize = 100;

/// Room for the entries of a page, besides their number.
#[derive(Clone, Copy, Debug)]
pub struct PageRoom {
    /// Maximum number of bytes of the entries in the response. A page also ends after the read with which the entries read
    /// exceed this size, whether they match or not.
    pub bytes: usize,
    /// Returns the number of bytes that an entry takes in the response.
    pub size_of: fn(&RawValue) -> usize,
    /// Instant after which a page ends with the entries that are read by then.
    pub read_until: Option<Deadline>,
}

impl Default for PageRoom {
    /// Returns the room of a JSON array.
    fn default() -> Self {
        Self { bytes: MAX_JSON_BYTES, size_of: |entry| escaped_len(entry.get()), read_until: None }
    }
}

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

/// A part of a log that a listing found. The parts of a page have no entry in common, and their times do not overlap.
#[derive(Debug)]
pub(super) enum Found {
    /// An entry.
    Read(RecordedEntry),
    /// The order of an entry that is alone in its segment, and the key of the segment.
    Single(EntryOrder, String),
    /// Segments that have to be read.
    Group(Group),
}

/// Segments of several entries, with the segments of single entries in their time range.
#[derive(Debug)]
pub(super) struct Group {
    /// Keys of the segments of several entries, in key order.
    pub several: Vec<String>,
    /// Orders and keys of the single entries that match, newest first.
    pub singles: Vec<(EntryOrder, String)>,
    /// Number of entries that match by their keys.
    pub count: usize,
    /// Unix milliseconds of the oldest entry.
    pub oldest: i64,
    /// Unix milliseconds of the newest entry.
    pub newest: i64,
}

impl Found {
    /// Returns the order of the newest entry, or a later one of the same millisecond.
    pub fn newest(&self) -> EntryOrder {
        match self {
            Self::Read(entry) => entry.order,
            Self::Single(order, _) => *order,
            Self::Group(group) => (group.newest, Uuid::max()),
        }
    }

    /// Returns the order of the oldest entry, or an earlier one of the same millisecond.
    pub fn oldest(&self) -> EntryOrder {
        match self {
            Self::Read(entry) => entry.order,
            Self::Single(order, _) => *order,
            Self::Group(group) => (group.oldest, Uuid::nil()),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Read(_) | Self::Single(..) => 1,
            Self::Group(group) => group.count,
        }
    }
}

/// Returns the number of entries that a page with at most `limit` entries has to find.
pub(super) fn candidates(filter: &ContentFilter, limit: usize) -> usize {
    if filter.is_empty() { limit } else { MAX_SEARCHED.max(limit) }
}

/// The entries of a page.
#[derive(Debug)]
pub(super) struct Examined {
    /// Entries that match, oldest first.
    pub entries: Vec<RecordedEntry>,
    /// Order up to which all entries are examined, or `None` if nothing was found.
    pub last: Option<EntryOrder>,
    /// Number of entries examined.
    pub count: usize,
    /// `true` if everything that was found is examined.
    pub is_all: bool,
}

/// Examines the parts in `found`, which are in the order of the pages. Ends when the page has as many entries as `query`
/// allows or has no room for more, or when as many entries are searched as a page may search. The first match always fits.
///
/// Reads about a hundred entries at a time, and at least one part, so that memory holds little more than a page.
pub(super) async fn examine<S: GetLog + Sync, C>(
    store: &S,
    found: Vec<Found>,
    order: PageOrder,
    query: &EntryQuery<C>,
    is_in_range: impl Fn(EntryOrder) -> bool,
) -> Result<Examined, StoreError> {
    let EntryQuery { filter, limit, room, .. } = query;
    let needed = query.candidates();
    let mut rest = found.into_iter();
    let mut examined = Examined { entries: Vec::new(), last: None, count: 0, is_all: true };
    let (mut used, mut bytes) = (0, 0);
    loop {
        let (mut parts, mut expected) = (Vec::new(), 0);
        while expected < CHUNK.min(needed - examined.count)
            && let Some(part) = rest.next()
        {
            expected += part.count();
            parts.push(part);
        }
        let Some(part) = parts.last() else { break };
        let end = if order == PageOrder::Newest { part.oldest() } else { part.newest() };
        let mut read = read_parts(store, parts, query, &is_in_range).await?;
        if order == PageOrder::Newest {
            read.reverse();
        }
        bytes += read.iter().map(|entry| entry.json.get().len()).sum::<usize>();
        for entry in read {
            let is_match = filter.accepts(&entry);
            let size = if is_match { (room.size_of)(&entry.json) } else { 0 };
            let is_full =
                examined.entries.len() == *limit || (used + size > room.bytes && !examined.entries.is_empty());
            if examined.count == needed || (is_match && is_full) {
                examined.is_all = false;
                break;
            }
            examined.count += 1;
            examined.last = Some(entry.order);
            if is_match {
                used += size;
                examined.entries.push(entry);
            }
        }
        if !examined.is_all {
            break;
        }
        examined.last = Some(end);
        let is_late = room.read_until.is_some_and(|until| until.remaining().is_zero());
        if examined.entries.len() == *limit || examined.count == needed || bytes > room.bytes || is_late {
            examined.is_all = rest.len() == 0;
            break;
        }
    }
    examined.entries.sort_unstable_by_key(|entry| entry.order);
    Ok(examined)
}

/// Returns the entries of `parts` with the requested signal and in the requested range, oldest first and each once.
async fn read_parts<S: GetLog + Sync, C>(
    store: &S,
    parts: Vec<Found>,
    query: &EntryQuery<C>,
    is_in_range: impl Fn(EntryOrder) -> bool,
) -> Result<Vec<RecordedEntry>, StoreError> {
    let (mut several, mut singles, mut in_groups) = (Vec::new(), Vec::new(), Vec::new());
    let mut entries = BTreeMap::new();
    for part in parts {
        match part {
            Found::Read(entry) => drop(entries.insert(entry.order, entry)),
            Found::Single(_, key) => singles.push(key),
            Found::Group(group) => {
                several.extend(group.several);
                in_groups.extend(group.singles);
            }
        }
    }
    let mut other_signals = BTreeSet::new();
    for entry in read(store, several, |entry| is_in_range(entry.order).then_some(entry)).await? {
        // The first copy in key order counts, and decides whether the entry has the requested signal.
        if other_signals.contains(&entry.order) {
            continue;
        }
        if query.has_signal(&entry) {
            entries.entry(entry.order).or_insert(entry);
        } else if !entries.contains_key(&entry.order) {
            other_signals.insert(entry.order);
        }
    }
    let is_new = |order: &EntryOrder| !entries.contains_key(order) && !other_signals.contains(order);
    singles.extend(in_groups.into_iter().filter(|(order, _)| is_new(order)).map(|(_, key)| key));
    for entry in read(store, singles, Some).await? {
        entries.entry(entry.order).or_insert(entry);
    }
    Ok(entries.into_values().collect())
}

/// Returns how many of the first of `entries` fit into a response as a JSON array: at least one, if there is one.
pub fn fitting<'a>(entries: impl Iterator<Item = &'a RecordedEntry>) -> usize {
    let (room, mut bytes) = (PageRoom::default(), 0);
    let fits = |(index, entry): &(usize, &RecordedEntry)| {
        bytes += (room.size_of)(&entry.json);
        *index == 0 || bytes <= room.bytes
    };
    entries.enumerate().take_while(fits).count()
}
