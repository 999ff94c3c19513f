//! Reads the entries of a log in pages, newest first.

use std::fmt;

use uuid::Uuid;

use super::super::entry::{Conversation, EntryOrder};
use super::super::newest::Floor;
use super::super::segment::{self, Position, Segment};
use super::super::span::Span;
use super::super::store::{GetLog, ListLogs};
use super::listing::{Listing, MAX_PAGE, Range};
use super::{MAX_LISTS, RecordedEntry, read};
use crate::answer::escaped_bytes;
use crate::aws::StoreError;
use crate::ids::Signal;

/// Maximum bytes of entries in a page, as encoded in Lambda's response. Below Lambda's limit of 6 MB.
const MAX_PAGE_BYTES: usize = 5_500_000;
/// Separator between the parts of a cursor.
const SEPARATOR: char = '*';
/// Cursor part which indicates that segments of several entries must be listed again.
const REOPENS: &str = "m";

/// Query for entries.
#[derive(Clone, Debug)]
pub struct EntryQuery {
    /// Time range in which the entries were recorded.
    pub span: Span,
    /// Signal under which the entries are counted, if only one is wanted.
    pub signal: Option<Signal>,
    /// End of the previous page.
    pub cursor: Option<Cursor>,
    /// Maximum number of entries to return.
    pub limit: usize,
}

impl EntryQuery {
    /// Creates a query for the newest `limit` entries of any kind.
    pub fn newest(limit: usize) -> Self {
        Self { span: Span::default(), signal: None, cursor: None, limit }
    }

    /// Returns the number of entries of `segment` with the requested signal.
    fn matching(&self, segment: &Segment) -> u64 {
        match &self.signal {
            Some(signal) => segment.counts().iter().filter(|(other, _)| other == signal).map(|(_, count)| count).sum(),
            None => segment.entry_count(),
        }
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
        // One more entry than requested reveals whether there are more.
        let size = if starts_at_entry && self.signal.is_none() { self.limit + 1 } else { MAX_PAGE };
        let listing = match &self.cursor {
            Some(Cursor { reopens: false, .. }) => {
                Listing::resume(store, conversation, range, Position::single(range.below))
            }
            _ => Listing::begin(store, conversation, range),
        };
        (listing, size)
    }
}

/// A page of entries.
#[derive(Clone, Debug)]
pub struct Page {
    /// Entries, oldest first.
    pub entries: Vec<RecordedEntry>,
    /// Start of the older entries, or `None` if there are certainly none.
    pub next: Option<Cursor>,
}

/// The end of a page: entries of the order `below` or newer have been shown or skipped.
///
/// The next page lists from the key that a single entry of that order has. A segment of several entries of the same
/// hour sorts before that key: if one may have older entries, the next page lists the hour from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    below: EntryOrder,
    reopens: bool,
}

impl Cursor {
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

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, id) = self.below;
        write!(out, "{millis}{SEPARATOR}{}", id.simple())?;
        if self.reopens { write!(out, "{SEPARATOR}{REOPENS}") } else { Ok(()) }
    }
}

/// Returns the newest entries of `conversation` that match `query`.
///
/// Without a filter, takes one listing and a read for each entry. Otherwise takes up to 20 listings: a page may then be
/// short or empty without being the last. Takes one more listing if the page begins within an hour that has segments of
/// several entries.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn entries<S>(store: &S, conversation: &Conversation, query: &EntryQuery) -> Result<Page, StoreError>
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
    found.extend(search.singles().map(|(order, name)| (order, Found::Alone(listing.key(name)))));
    found.sort_by_key(|(order, _)| std::cmp::Reverse(*order));
    found.dedup_by_key(|(order, _)| *order);
    let are_more = found.len() > query.limit || !left.is_empty() || !listing.is_ended();
    found.truncate(query.limit);

    let mut orders: Vec<EntryOrder> = found.iter().map(|(order, _)| *order).collect();
    let (mut alone, mut entries) = (Vec::new(), Vec::new());
    for (_, found) in found {
        match found {
            Found::Alone(key) => alone.push(key),
            Found::Read(entry) => entries.push(entry),
        }
    }
    entries.extend(read(store, alone, Some).await?);
    entries.sort_unstable_by_key(|entry| entry.order);

    let too_many = beyond_an_answer(&entries);
    if too_many > 0 {
        entries.drain(..too_many);
        orders.retain(|order| entries.first().is_some_and(|first| *order >= first.order));
    }
    let is_full = too_many > 0 || orders.len() == query.limit;
    let end = orders.last().copied().filter(|_| is_full);
    let next = if too_many > 0 || are_more { Some(search.end(end)) } else { None };
    Ok(Page { entries, next })
}

/// Returns the number of `entries`, starting with the oldest, that exceed the size of a response. The newest always
/// fits.
fn beyond_an_answer(entries: &[RecordedEntry]) -> usize {
    let mut bytes = 0;
    let last = entries.iter().rposition(|entry| {
        bytes += escaped_bytes(entry.json().get());
        bytes > MAX_PAGE_BYTES
    });
    last.map_or(0, |last| (last + 1).min(entries.len() - 1))
}

/// A matching entry: the key of its segment if the segment has no other entry, or the entry itself.
enum Found {
    Alone(String),
    Read(RecordedEntry),
}

/// The segments that may hold the entries of a page.
struct Search<'a> {
    query: &'a EntryQuery,
    range: Range,
    /// Segments with entries of the signal, in key order.
    gathered: Vec<(Segment, String)>,
    floor: Floor,
    /// Lower bound of completeness: all segments with entries of this order or newer are collected.
    horizon: EntryOrder,
}

impl<'a> Search<'a> {
    fn new(query: &'a EntryQuery) -> Self {
        let range = query.range();
        Self { query, range, gathered: Vec::new(), floor: Floor::new(query.limit), horizon: range.below }
    }

    /// Lists until the newest entries are known, all segments are listed, or the limit of listings for one request is
    /// reached.
    async fn list<S: ListLogs>(&mut self, listing: &mut Listing<'_, S>, mut size: usize) -> Result<(), StoreError> {
        while let Some(segments) = listing.next(size).await? {
            for (segment, name) in segments {
                self.add(segment, name);
            }
            self.horizon = listing.horizon();
            let is_known = self.floor.get().is_some_and(|floor| floor >= self.horizon);
            // A page that ends where it began would make no progress.
            let is_enough = listing.lists >= MAX_LISTS && self.horizon < self.range.below;
            if is_known || is_enough {
                return Ok(());
            }
            size = MAX_PAGE;
        }
        self.horizon = listing.horizon();
        Ok(())
    }

    fn add(&mut self, segment: Segment, name: String) {
        let matching = self.query.matching(&segment);
        if matching == 0 {
            return;
        }
        if self.range.covers(&segment.position()) {
            if matching == segment.entry_count() {
                self.floor.add_all_of(&segment);
            } else {
                self.floor.add((segment.oldest(), Uuid::nil()), matching);
            }
        }
        self.gathered.push((segment, name));
    }

    /// Returns whether an entry matches and all newer entries are known.
    fn wants(&self, order: EntryOrder, signal: &Signal) -> bool {
        self.range.contains(order)
            && order >= self.horizon
            && self.query.signal.as_ref().is_none_or(|wanted| wanted == signal)
    }

    /// Returns the segments of several entries.
    fn several(&self) -> impl Iterator<Item = &(Segment, String)> {
        self.gathered.iter().filter(|(segment, _)| !segment.is_single())
    }

    /// Returns whether `segment` may have one of the newest entries.
    fn is_needed(&self, segment: &Segment) -> bool {
        let oldest = self.floor.get().map_or(self.horizon, |floor| floor.max(self.horizon));
        (segment.newest(), segment.position().newest_id()) >= oldest
    }

    /// Returns the entries of single-entry segments.
    fn singles(&self) -> impl Iterator<Item = (EntryOrder, &str)> {
        self.gathered.iter().filter_map(|(segment, name)| Some((segment.single()?, name.as_str())))
    }

    /// Returns the end of a page: after the entry at `last` if the page is full, else the progress of the search.
    fn end(self, last: Option<EntryOrder>) -> Cursor {
        let below = last.unwrap_or(self.horizon);
        let hour = segment::hour_end(below.0);
        let reopens = self
            .several()
            .any(|(segment, _)| segment::hour_end(segment.newest()) == hour && (segment.oldest(), Uuid::nil()) < below);
        Cursor { below, reopens }
    }
}
