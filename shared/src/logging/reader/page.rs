//! The entries of a log in pages, newest first.

use std::fmt;

use uuid::Uuid;

use super::super::entry::Conversation;
use super::super::newest::Floor;
use super::super::segment::{self, MAX_SPAN_MILLIS, Segment};
use super::super::span::Span;
use super::super::store::{GetLog, ListLogs};
use super::listing::{Listing, MAX_PAGE};
use super::{MAX_LISTS, Order, RecordedEntry, read};
use crate::answer::escaped_bytes;
use crate::aws::StoreError;
use crate::ids::Signal;

/// How many bytes of entries a page has at most, as Lambda's answer has them: below the 6 MB that it may have.
const MAX_PAGE_BYTES: usize = 5_500_000;
/// The most segments that a cursor keeps open.
const MAX_OPEN: usize = 64;
/// The longest name in a cursor, in bytes: no key of S3's is longer.
const MAX_NAME_BYTES: usize = 1_024;
/// Between the parts of a cursor. No name of a segment has it, and a query has it as it stands.
const SEPARATOR: char = '*';

/// Which entries are asked for.
#[derive(Clone, Debug)]
pub struct EntryQuery {
    /// When they were recorded.
    pub span: Span,
    /// The signal they have, where it matters.
    pub signal: Option<Signal>,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// The most entries to give.
    pub limit: usize,
}

impl EntryQuery {
    /// The newest `limit` entries, whatever they are.
    pub fn newest(limit: usize) -> Self {
        Self { span: Span::default(), signal: None, cursor: None, limit }
    }

    /// How many entries of `segment` have the signal.
    fn matching(&self, segment: &Segment) -> u64 {
        match &self.signal {
            Some(signal) => segment.counts.iter().filter(|(other, _)| other == signal).map(|(_, count)| count).sum(),
            None => segment.len(),
        }
    }
}

/// A part of the entries.
#[derive(Clone, Debug)]
pub struct Page {
    /// Entries, oldest first.
    pub entries: Vec<RecordedEntry>,
    /// Where older ones begin, unless it is certain that there are none.
    pub next: Option<Cursor>,
}

/// Where a page ended: everything from `place` on, in the order of entries, has been shown or passed over.
///
/// The next page lists on from the key where an entry at `place` would be alone. What holds entries on both sides of
/// `place` has a key before that, so a cursor names it. While segments hold one entry, there is nothing to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    place: Order,
    /// Where to list on, when that is still before `place`.
    behind: Option<String>,
    /// Names of segments that are listed and may have entries before `place`.
    open: Vec<String>,
}

impl Cursor {
    /// Reads a cursor as it is displayed, or `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(SEPARATOR);
        let millis: i64 = parts.next()?.parse().ok()?;
        let id = Uuid::try_parse(parts.next()?).ok()?;
        let behind = parts.next().filter(|name| !name.is_empty()).map(str::to_owned);
        let open: Vec<String> = parts.map(str::to_owned).collect();
        let is_name = |name: &String| {
            name.len() <= MAX_NAME_BYTES && !name.chars().any(|letter| letter == '/' || letter.is_control())
        };
        let are_names = behind.iter().chain(&open).all(is_name) && open.iter().all(|name| parse_name(name).is_some());
        (are_names && open.len() <= MAX_OPEN).then_some(Self { place: (millis, id), behind, open })
    }

    /// The name to list on behind.
    fn start(&self) -> Option<String> {
        self.behind.clone().or_else(|| segment::behind_single(self.place.0, self.place.1))
    }
}

fn parse_name(name: &str) -> Option<Segment> {
    Segment::parse(&format!("/{name}"))
}

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, id) = self.place;
        write!(out, "{millis}{SEPARATOR}{}", id.simple())?;
        if self.behind.is_some() || !self.open.is_empty() {
            write!(out, "{SEPARATOR}{}", self.behind.as_deref().unwrap_or_default())?;
        }
        self.open.iter().try_for_each(|name| write!(out, "{SEPARATOR}{name}"))
    }
}

/// The newest entries of `conversation` that `query` asks for.
///
/// One listing and a read for each entry, where nothing is filtered. Else up to 20 listings: a page may then be short,
/// or empty, and not the last. With an end of time it begins a day later, for a segment spans as much.
///
/// # Errors
/// When S3 does not answer, or holds what is no log.
pub async fn entries<S>(store: &S, conversation: &Conversation, query: &EntryQuery) -> Result<Page, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let mut search = Search::begin(query);
    let mut listing = Listing::begin(store, conversation, search.start.as_deref());
    search.list(&mut listing).await?;

    let several = search.to_read().map(|name| listing.key(name)).collect();
    let wanted =
        |entry: RecordedEntry| search.wants(entry.order, &entry.signal).then_some((entry.order, Found::Read(entry)));
    let mut found = read(store, several, wanted).await?;
    found.extend(search.singles().map(|(order, name)| (order, Found::Alone(listing.key(name)))));
    found.sort_unstable_by_key(|(order, _)| std::cmp::Reverse(*order));
    let are_more = found.len() > query.limit || search.horizon > query.span.first();
    found.truncate(query.limit);

    let mut orders: Vec<Order> = found.iter().map(|(order, _)| *order).collect();
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

/// How many of `entries`, from the oldest on, are more than an answer takes. The newest one always has room.
fn beyond_an_answer(entries: &[RecordedEntry]) -> usize {
    let mut bytes = 0;
    let last = entries.iter().rposition(|entry| {
        bytes += escaped_bytes(entry.json().get());
        bytes > MAX_PAGE_BYTES
    });
    last.map_or(0, |last| (last + 1).min(entries.len() - 1))
}

/// An entry that is asked for: the key of the segment where it is alone, or the entry itself.
enum Found {
    Alone(String),
    Read(RecordedEntry),
}

/// What is known of the entries from keys.
struct Search<'a> {
    query: &'a EntryQuery,
    /// Only entries before it are wanted.
    place: Order,
    /// Where to start the listing after.
    start: Option<String>,
    /// The segments that may hold a wanted entry, in the order of their keys.
    gathered: Vec<(Segment, String)>,
    floor: Floor,
    /// All wanted entries of this time, in Unix milliseconds, or later are in what is gathered.
    horizon: i64,
    /// The name of the last segment listed.
    last: Option<String>,
}

impl<'a> Search<'a> {
    fn begin(query: &'a EntryQuery) -> Self {
        let end = (query.span.last().saturating_add(1), Uuid::nil());
        let (place, start) = match &query.cursor {
            Some(cursor) => (cursor.place.min(end), cursor.start()),
            None => (end, segment::before_newest(query.span.last().saturating_add(MAX_SPAN_MILLIS))),
        };
        let floor = Floor::new(query.limit);
        let mut search = Self { query, place, start, gathered: Vec::new(), floor, horizon: i64::MAX, last: None };
        for name in query.cursor.iter().flat_map(|cursor| &cursor.open) {
            if let Some(segment) = parse_name(name) {
                search.add(segment, name.clone());
            }
        }
        search
    }

    /// Lists until the newest entries are known, or there are no more, or it has listed enough for one request.
    async fn list<S: ListLogs>(&mut self, listing: &mut Listing<'_, S>) -> Result<(), StoreError> {
        if (self.query.span.first(), Uuid::nil()) >= self.place {
            self.horizon = i64::MIN;
            return Ok(());
        }
        let begins_at_place = match &self.query.cursor {
            Some(cursor) => cursor.behind.is_none(),
            None => self.query.span.until().is_none(),
        };
        // One more than is wanted tells whether there are more.
        let mut size = if begins_at_place && self.query.signal.is_none() { self.query.limit + 1 } else { MAX_PAGE };
        while let Some(segments) = listing.next(size).await? {
            let mut newest = None;
            for (segment, name) in segments {
                if segment.newest < self.query.span.first() {
                    self.horizon = i64::MIN;
                    return Ok(());
                }
                newest = Some(segment.newest);
                self.last = Some(name.clone());
                if self.query.matching(&segment) == 0 {
                    continue;
                }
                if self.floor.get().is_some_and(|floor| segment.newest < floor) {
                    self.horizon = segment.newest + 1;
                    return Ok(());
                }
                self.add(segment, name);
            }
            if let Some(newest) = newest {
                let is_known = self.floor.get().is_some_and(|floor| newest < floor);
                // To end at the millisecond where it began would be to get nowhere.
                let has_moved = newest > self.place.0 || newest + 1 < self.place.0;
                if listing.may_go_on() && (is_known || (listing.lists >= MAX_LISTS && has_moved)) {
                    self.horizon = newest + 1;
                    return Ok(());
                }
            }
            size = MAX_PAGE;
        }
        self.horizon = i64::MIN;
        Ok(())
    }

    fn add(&mut self, segment: Segment, name: String) {
        let matching = self.query.matching(&segment);
        let is_within = segment.oldest >= self.query.span.first() && segment.newest < self.place.0;
        if segment.is_single() {
            if !self.is_before(&segment) {
                return;
            }
            self.floor.learn_all_of(&segment);
        } else if (segment.oldest, Uuid::nil()) >= self.place || matching == 0 {
            return;
        } else if is_within && matching == segment.len() {
            self.floor.learn_all_of(&segment);
        } else if is_within {
            self.floor.learn(segment.oldest, matching);
        }
        self.gathered.push((segment, name));
    }

    /// Whether the one entry of `segment` is before the place.
    fn is_before(&self, segment: &Segment) -> bool {
        (segment.newest, segment.newest_id) < self.place
    }

    /// Whether an entry is asked for, and all that are newer are known.
    fn wants(&self, order: Order, signal: &Signal) -> bool {
        let is_in_time = order < self.place && order.0 >= self.query.span.first().max(self.horizon);
        is_in_time && self.query.signal.as_ref().is_none_or(|wanted| wanted == signal)
    }

    /// The names of segments of several entries that may have one of the newest.
    fn to_read(&self) -> impl Iterator<Item = &str> {
        // None is older than the floor: what is listed has been held against it, and what is open is newer still.
        let oldest = self.query.span.first().max(self.horizon);
        let several = self.gathered.iter().filter(|(segment, _)| !segment.is_single());
        several.filter(move |(segment, _)| segment.newest >= oldest).map(|(_, name)| name.as_str())
    }

    /// The entries that are alone in their segments.
    fn singles(&self) -> impl Iterator<Item = (Order, &str)> {
        let singles = self.gathered.iter().filter(|(segment, _)| segment.is_single());
        let known = singles.filter(|(segment, _)| segment.newest >= self.horizon);
        known.map(|(segment, name)| ((segment.newest, segment.newest_id), name.as_str()))
    }

    /// Where a page ends: behind the entry at `last` where it is full, else where the search has come to.
    fn end(self, last: Option<Order>) -> Cursor {
        let place = last.unwrap_or_else(|| self.place.min((self.horizon, Uuid::nil())));
        let behind = if place == self.place { self.last } else { None };
        let mut cursor = Cursor { place, behind, open: Vec::new() };
        if let Some(start) = cursor.start() {
            let is_open = |(segment, name): &(Segment, String)| {
                !segment.is_single() && *name <= start && (segment.oldest, Uuid::nil()) < place
            };
            cursor.open = self.gathered.into_iter().filter(is_open).map(|(_, name)| name).collect();
        }
        cursor
    }
}
