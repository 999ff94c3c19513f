//! Reads the entries of a log in pages, newest first.

use std::fmt;

use uuid::Uuid;

use super::super::entry::{Conversation, EntryOrder};
use super::super::newest::Cutoff;
use super::super::segment::{self, Position, Segment};
use super::super::span::Span;
use super::super::store::{GetLog, ListLogs};
use super::examine::{Examined, Found, PageOrder, candidates, examine};
use super::filter::ContentFilter;
use super::listing::{Listing, MAX_PAGE, Range};
use super::{MAX_LISTS, RecordedEntry, read};
use crate::aws::StoreError;
use crate::ids::Signal;

/// Separator between the parts of a cursor.
const SEPARATOR: char = '*';
/// Cursor part which indicates that segments of several entries must be listed again.
const REOPENS: &str = "m";

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
}

impl<C> EntryQuery<C> {
    /// Returns the number of entries of `segment` with the requested signal.
    pub(super) fn matching(&self, segment: &Segment) -> u64 {
        match &self.signal {
            Some(signal) => segment.counts().iter().filter(|(other, _)| other == signal).map(|(_, count)| count).sum(),
            None => segment.entry_count(),
        }
    }

    /// Returns the number of entries that a page has to find.
    pub(super) fn candidates(&self) -> usize {
        candidates(&self.filter, self.limit)
    }
}

impl EntryQuery {
    /// Creates a query for the newest `limit` entries of any kind.
    pub fn newest(limit: usize) -> Self {
        Self { span: Span::default(), signal: None, filter: ContentFilter::default(), cursor: None, limit }
    }

    fn range(&self) -> Range {
        let range = Range::of(self.span);
        let below = self.cursor.map_or(range.below, |cursor| cursor.below.min(range.below));
        Range { below, ..range }
    }

    /// Starts the listing of the entries. Also returns the number of keys that its first page needs.
    fn listing<'a, S: ListLogs>(&self, store: &'a S, conversation: &Conversation) -> (Listing<'a, S>, usize) {
        let range = self.range();
        let starts_at_entry = match &self.cursor {
            Some(cursor) => !cursor.reopens,
            None => self.span.until().is_none(),
        };
        // One more entry than needed reveals whether there are more.
        let size = if starts_at_entry && self.signal.is_none() { self.candidates() + 1 } else { MAX_PAGE };
        let listing = match &self.cursor {
            Some(EntryCursor { reopens: false, .. }) => {
                Listing::resume(store, conversation, range, Position::single(range.below))
            }
            _ => Listing::begin(store, conversation, range),
        };
        (listing, size)
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

/// The end of a page: entries of the order `below` or newer have been shown or skipped.
///
/// The next page lists from the key that a single entry of that order has. A segment of several entries of the same
/// hour sorts before that key: if one may have older entries, the next page lists the hour from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryCursor {
    below: EntryOrder,
    reopens: bool,
}

impl EntryCursor {
    /// Parses a cursor as displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(SEPARATOR);
        let millis = parts.next()?.parse().ok()?;
        let id = Uuid::try_parse(parts.next()?).ok()?;
        let reopens = match parts.next() {
            None => false,
            Some(REOPENS) => true,
            Some(_) => return None,
        };
        parts.next().is_none().then_some(Self { below: (millis, id), reopens })
    }
}

impl fmt::Display for EntryCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, id) = self.below;
        write!(out, "{millis}{SEPARATOR}{}", id.simple())?;
        if self.reopens { write!(out, "{SEPARATOR}{REOPENS}") } else { Ok(()) }
    }
}

/// Returns the newest entries of `conversation` that match `query`.
///
/// Without a filter, takes one listing and a read for each entry. Otherwise takes up to 20 listings, and a filter of the
/// content up to 500 reads: a page may then be short or empty without being the last. Takes one more listing if the page
/// begins within an hour that has segments of several entries.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn entries<S>(store: &S, conversation: &Conversation, query: &EntryQuery) -> Result<EntryPage, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let (mut listing, size) = query.listing(store, conversation);
    let mut search = Search::new(query);
    search.list(&mut listing, size).await?;

    let (to_read, left): (Vec<_>, Vec<_>) = search.several().partition(|(segment, _)| search.is_needed(segment));
    let several = to_read.iter().map(|(_, name)| listing.key(name)).collect();
    let wanted =
        |entry: RecordedEntry| search.wants(entry.order, &entry.signal).then_some((entry.order, Found::Read(entry)));
    let mut found = read(store, several, wanted).await?;
    found.extend(search.singles().map(|(order, name)| (order, Found::SingleEntry(listing.key(name)))));
    found.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
    found.dedup_by_key(|(order, _)| *order);
    let needed = query.candidates();
    let are_more = found.len() > needed || !left.is_empty() || !listing.is_ended();
    found.truncate(needed);
    let is_full = found.len() == needed;
    let Examined { entries, last, is_all } =
        examine(store, found, PageOrder::Newest, &query.filter, query.limit).await?;
    let end = last.filter(|_| is_full || !is_all);
    let next = (are_more || !is_all).then(|| search.end(end));
    Ok(EntryPage { entries, next })
}

/// The segments that may hold the entries of a page.
struct Search<'a> {
    query: &'a EntryQuery,
    range: Range,
    /// Segments with entries of the signal, in key order.
    gathered: Vec<(Segment, String)>,
    cutoff: Cutoff,
    /// Lower bound of completeness: all segments with entries of this order or newer are collected.
    covered_until: EntryOrder,
}

impl<'a> Search<'a> {
    fn new(query: &'a EntryQuery) -> Self {
        let range = query.range();
        Self { query, range, gathered: Vec::new(), cutoff: Cutoff::new(query.candidates()), covered_until: range.below }
    }

    /// Lists until the newest entries are known, all segments are listed, or the limit of listings for one request is
    /// reached.
    async fn list<S: ListLogs>(&mut self, listing: &mut Listing<'_, S>, mut size: usize) -> Result<(), StoreError> {
        while let Some(segments) = listing.next(size).await? {
            for (segment, name) in segments {
                self.add(segment, name);
            }
            self.covered_until = listing.covered_until();
            let is_known = self.cutoff.get().is_some_and(|cutoff| cutoff >= self.covered_until);
            // A page that ends where it began would make no progress.
            let is_enough = listing.lists >= MAX_LISTS && self.covered_until < self.range.below;
            if is_known || is_enough {
                return Ok(());
            }
            size = MAX_PAGE;
        }
        self.covered_until = listing.covered_until();
        Ok(())
    }

    fn add(&mut self, segment: Segment, name: String) {
        let matching = self.query.matching(&segment);
        if matching == 0 {
            return;
        }
        if self.range.covers(&segment.position()) {
            if matching == segment.entry_count() {
                self.cutoff.add_all_of(&segment);
            } else {
                self.cutoff.add((segment.oldest(), Uuid::nil()), matching);
            }
        }
        self.gathered.push((segment, name));
    }

    /// Returns whether an entry matches and all newer entries are known.
    fn wants(&self, order: EntryOrder, signal: &Signal) -> bool {
        self.range.contains(order)
            && order >= self.covered_until
            && self.query.signal.as_ref().is_none_or(|wanted| wanted == signal)
    }

    /// Returns the segments of several entries.
    fn several(&self) -> impl Iterator<Item = &(Segment, String)> {
        self.gathered.iter().filter(|(segment, _)| !segment.is_single())
    }

    /// Returns whether `segment` may have one of the newest entries.
    fn is_needed(&self, segment: &Segment) -> bool {
        let oldest = self.cutoff.get().map_or(self.covered_until, |cutoff| cutoff.max(self.covered_until));
        (segment.newest(), segment.position().newest_id()) >= oldest
    }

    /// Returns the entries of single-entry segments.
    fn singles(&self) -> impl Iterator<Item = (EntryOrder, &str)> {
        self.gathered.iter().filter_map(|(segment, name)| Some((segment.single()?, name.as_str())))
    }

    /// Returns the end of a page: after the entry at `last` if the page is full, else the progress of the search.
    fn end(self, last: Option<EntryOrder>) -> EntryCursor {
        let below = last.unwrap_or(self.covered_until);
        let hour = segment::hour_end(below.0);
        let reopens = self
            .several()
            .any(|(segment, _)| segment::hour_end(segment.newest()) == hour && (segment.oldest(), Uuid::nil()) < below);
        EntryCursor { below, reopens }
    }
}
