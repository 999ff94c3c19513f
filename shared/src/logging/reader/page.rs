//! Reads the entries of a log in pages, newest first.

use std::cmp::Reverse;

use uuid::Uuid;

use super::super::entry::{Conversation, EntryOrder};
use super::super::segment::Segment;
use super::super::span::Span;
use super::super::store::{GetLog, ListLogs};
use super::cursor::EntryCursor;
use super::distinct::{DistinctListing, Part};
use super::examine::{Examined, Found, Group, PageOrder, PageRoom, candidates, examine};
use super::filter::ContentFilter;
use super::listing::{MAX_PAGE, Range};
use super::{MAX_LISTS, RecordedEntry};
use crate::aws::StoreError;
use crate::ids::Signal;

/// Query for entries. `C` is the cursor of the order of the pages.
#[derive(Clone, Debug)]
pub struct EntryQuery<C = EntryCursor> {
    /// Time range in which the entries were recorded.
    pub span: Span,
    /// Signal under which the entries are counted, if only one is wanted.
    pub signal: Option<Signal>,
    /// Required content.
    pub filter: ContentFilter,
    /// End of the previous page.
    pub cursor: Option<C>,
    /// Maximum number of entries to return.
    pub limit: usize,
    /// Room for the entries.
    pub room: PageRoom,
}

impl<C> EntryQuery<C> {
    /// Returns the number of entries of `segment` with the requested signal.
    pub(super) fn matching(&self, segment: &Segment) -> u64 {
        match &self.signal {
            Some(signal) => segment.counts().iter().filter(|(other, _)| other == signal).map(|(_, count)| count).sum(),
            None => segment.entry_count(),
        }
    }

    /// Returns whether `entry` has the requested signal.
    pub(super) fn has_signal(&self, entry: &RecordedEntry) -> bool {
        self.signal.as_ref().is_none_or(|signal| *signal == entry.signal)
    }

    /// Returns the number of entries that a page has to find.
    pub(super) fn candidates(&self) -> usize {
        candidates(&self.filter, self.limit)
    }
}

impl EntryQuery {
    /// Creates a query for the newest `limit` entries of any kind.
    pub fn newest(limit: usize) -> Self {
        let (span, filter, room) = (Span::default(), ContentFilter::default(), PageRoom::default());
        Self { span, signal: None, filter, cursor: None, limit, room }
    }

    /// Returns the number of keys that the first listing needs.
    fn first_size(&self) -> usize {
        let starts_at_entry = match &self.cursor {
            Some(cursor) => !cursor.reopens,
            None => self.span.until().is_none(),
        };
        // One more entry than needed reveals whether there are more.
        if starts_at_entry && self.signal.is_none() { self.candidates() + 1 } else { MAX_PAGE }
    }

    /// Returns the number of entries of `part` with the requested signal.
    fn matching_in(&self, part: &Part<RecordedEntry>) -> u64 {
        match part {
            Part::Segment(segment, _) => self.matching(segment),
            Part::Entry(entry) => u64::from(self.has_signal(entry)),
        }
    }
}

/// A page of entries.
#[derive(Clone, Debug)]
pub struct EntryPage<C = EntryCursor> {
    /// Entries, oldest first.
    pub entries: Vec<RecordedEntry>,
    /// Start of the next page, or `None` if there are certainly no more entries.
    pub next: Option<C>,
}

/// Returns the newest entries of `conversation` that match `query`.
///
/// Without a filter, takes a listing for every 1,000 entries and at most a read for each entry. Otherwise takes up to 20
/// listings, and a filter of the content up to 500 reads: a page may then be short or empty without being the last. Takes one more listing if the page
/// begins within an hour that has segments of several entries, and a read for each of them that overlaps other segments.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn entries<S>(store: &S, conversation: &Conversation, query: &EntryQuery) -> Result<EntryPage, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let range = Range::of(query.span);
    let mut listing = DistinctListing::new(store, conversation, range, query.cursor.as_ref(), query.signal.clone());
    let needed = query.candidates();
    let (parts, left) = gather(&mut listing, query, needed).await?;
    let mut found: Vec<Found> = parts.into_iter().map(|part| with_key(&listing, query, part)).collect();
    found.sort_by_key(|part| Reverse(part.newest()));
    let Examined { entries, last, count, is_all } = examine(store, found, PageOrder::Newest, query, |_| true).await?;
    let are_more = left.is_some() || !listing.is_ended();
    let end = last.filter(|_| count == needed || !is_all);
    // Fewer entries than expected are found if some have just been erased.
    let end = end.or(left.map(after)).unwrap_or_else(|| listing.covered_until());
    let next = (are_more || !is_all).then(|| listing.cursor(end));
    Ok(EntryPage { entries, next })
}

/// Lists until `needed` matching entries are known, all parts are listed, or the limit of listings for one request is
/// reached. Returns the parts with these entries, and the order of the newest entry in the parts that are left.
async fn gather<S: ListLogs + GetLog + Sync>(
    listing: &mut DistinctListing<'_, S, RecordedEntry>,
    query: &EntryQuery,
    needed: usize,
) -> Result<(Vec<Part<RecordedEntry>>, Option<EntryOrder>), StoreError> {
    let needed = needed as u64;
    let (mut parts, mut known, mut left) = (Vec::new(), 0, None);
    let mut size = query.first_size();
    while let Some(listed) = listing.next(size).await? {
        for part in listed {
            let matching = query.matching_in(&part);
            if matching == 0 {
                continue;
            }
            if known >= needed {
                left = Some(part.newest());
                break;
            }
            known += matching;
            parts.push(part);
        }
        // A page that ends where it began would make no progress.
        if known >= needed || (listing.lists() >= MAX_LISTS && listing.has_progressed()) {
            break;
        }
        size = MAX_PAGE;
    }
    Ok((parts, left))
}

/// Returns `part` with the full key of its segment. All entries of the segment are in the requested range.
fn with_key<S: ListLogs + GetLog + Sync>(
    listing: &DistinctListing<'_, S, RecordedEntry>,
    query: &EntryQuery,
    part: Part<RecordedEntry>,
) -> Found {
    match part {
        Part::Entry(entry) => Found::Read(entry),
        Part::Segment(segment, name) => match segment.single() {
            Some(order) => Found::Single(order, listing.key(&name)),
            None => Found::Group(Group {
                several: vec![listing.key(&name)],
                singles: Vec::new(),
                count: usize::try_from(query.matching(&segment)).unwrap_or(usize::MAX),
                oldest: segment.oldest(),
                newest: segment.newest(),
            }),
        },
    }
}

/// Returns the order directly after `order`.
fn after((millis, id): EntryOrder) -> EntryOrder {
    id.as_u128().checked_add(1).map_or((millis.saturating_add(1), Uuid::nil()), |next| (millis, Uuid::from_u128(next)))
}
