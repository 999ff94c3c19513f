//! Reads the entries of a log in pages, oldest first.
//!
//! S3 lists keys in one direction only, from the newest entry to the oldest. So a page looks for a range of time that begins
//! where the page begins, and is so short that one listing has all of its keys. A range that is too long is halved, one
//! without entries is passed over, and one with too few entries is extended. The next page begins with a range of the same
//! length.

use std::fmt;

use uuid::Uuid;

use super::super::entry::{Conversation, EntryOrder};
use super::super::segment::{self, Position, Segment};
use super::super::store::{GetLog, ListLogs};
use super::MAX_LISTS;
use super::distinct::overlapping;
use super::examine::{Examined, Found, Group, PageOrder, examine};
use super::listing::{Listing, MAX_PAGE, Range};
use super::page::{EntryPage, EntryQuery};
use crate::aws::StoreError;

/// Number of listings after which a range is too long: one skips newer entries of its last hour. Listings of the segments of
/// several entries of its first hour do not count, because every range that begins in that hour needs them.
const LISTS_OF_A_RANGE: usize = 2;
/// Factor by which a range with too few entries is extended.
const EXTENSION: i64 = 16;
/// Unix milliseconds of the latest entry that a key can express.
const LATEST: i64 = 9_999_999_999_999;
/// Mark at the beginning of a cursor, which distinguishes it from one of the other order.
const MARK: &str = "o";
/// Separator between the parts of a cursor.
const SEPARATOR: char = '*';

/// The end of a page: entries of the order `after` or older have been shown or skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldestCursor {
    after: EntryOrder,
    /// Length of the range that the page found, in milliseconds.
    length: i64,
}

impl OldestCursor {
    /// Parses a cursor as displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(MARK)?.strip_prefix(SEPARATOR)?.split(SEPARATOR);
        let millis = parts.next()?.parse().ok()?;
        let id = Uuid::try_parse(parts.next()?).ok()?;
        let length = parts.next()?.parse().ok()?;
        (parts.next().is_none() && length >= 0).then_some(Self { after: (millis, id), length })
    }
}

impl fmt::Display for OldestCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((millis, id), length) = (self.after, self.length);
        write!(out, "{MARK}{SEPARATOR}{millis}{SEPARATOR}{}{SEPARATOR}{length}", id.simple())
    }
}

/// Returns the oldest entries of `conversation` that match `query`.
///
/// Takes one or two listings if the log, or the range of the previous page, is short, else up to about twice as many as it
/// takes to halve the time until a thousand entries are left. After 20 listings a page may be short or empty without being
/// the last.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn oldest_entries<S>(
    store: &S,
    conversation: &Conversation,
    query: &EntryQuery<OldestCursor>,
) -> Result<EntryPage<OldestCursor>, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let mut search = Search::new(store, conversation, query);
    let Some((end, segments)) = search.find().await? else {
        let next = (first_after(search.after) <= search.top).then(|| search.cursor(search.after));
        return Ok(EntryPage { entries: Vec::new(), next });
    };
    let range = search.range(end);
    let is_in_range = |order: EntryOrder| order > search.after && order < range.below;
    let found = search.parts(segments);
    let Examined { entries, last, is_all, .. } = examine(store, found, PageOrder::Oldest, query, is_in_range).await?;
    let after = last.filter(|_| !is_all).map_or(last_of(end), |last| last.min(last_of(end)));
    let is_last = is_all && end >= search.top;
    Ok(EntryPage { entries, next: (!is_last).then(|| search.cursor(after)) })
}

/// Returns the order of the last entry that the millisecond can have.
fn last_of(millis: i64) -> EntryOrder {
    (millis, Uuid::max())
}

/// Returns the Unix milliseconds of the first entry that can come after `order`.
fn first_after(order: EntryOrder) -> i64 {
    if order.1.is_max() { order.0.saturating_add(1) } else { order.0 }
}

/// Returns the middle of the range from `first` to `last`, at the end of an hour if one is near: such a range needs no
/// listing to skip newer entries.
fn middle(first: i64, last: i64) -> i64 {
    let middle = first + (last - first) / 2;
    let end = segment::hour_end(middle);
    if end < last { end } else { middle }
}

/// The outcome of listing a range.
enum Listed {
    /// All segments with entries of the range.
    Whole(Vec<(Segment, String)>),
    /// The range has too many keys. All entries after the given Unix milliseconds are listed.
    Part(i64),
}

/// The search for a range of time that is listed as a whole.
struct Search<'a, S> {
    store: &'a S,
    conversation: &'a Conversation,
    query: &'a EntryQuery<OldestCursor>,
    /// Order of the last entry that is passed over.
    after: EntryOrder,
    /// Unix milliseconds of the last entry that can match.
    top: i64,
    /// Length of the last range that was listed as a whole.
    length: i64,
    lists: usize,
}

impl<'a, S: ListLogs + GetLog + Sync> Search<'a, S> {
    fn new(store: &'a S, conversation: &'a Conversation, query: &'a EntryQuery<OldestCursor>) -> Self {
        let before = last_of(query.span.first().max(0).saturating_sub(1));
        let after = query.cursor.map_or(before, |cursor| cursor.after.max(before));
        let length = query.cursor.map_or(i64::MAX, |cursor| cursor.length);
        Self { store, conversation, query, after, top: query.span.last().min(LATEST), length, lists: 0 }
    }

    fn cursor(&self, after: EntryOrder) -> OldestCursor {
        OldestCursor { after, length: self.length }
    }

    /// Returns the Unix milliseconds of the end of a range that has entries, and its segments, or `None` if there are no
    /// entries up to `after`.
    async fn find(&mut self) -> Result<Option<(i64, Vec<(Segment, String)>)>, StoreError> {
        let wanted = self.query.candidates() as u64;
        let start = self.after;
        let mut end = first_after(self.after).saturating_add(self.length).min(self.top);
        let mut too_far: Option<i64> = None;
        let mut found = None;
        while first_after(self.after) <= self.top {
            let first = first_after(self.after);
            match self.list(end).await? {
                Listed::Whole(segments) => {
                    self.length = end.saturating_sub(first);
                    let known = self.certain(&segments, end);
                    if !segments.iter().any(|(segment, _)| self.matching(segment) > 0) {
                        self.after = last_of(end);
                        found = None;
                    } else {
                        found = Some((end, segments));
                    }
                    let is_enough = found.is_some() && known >= wanted;
                    if is_enough || end >= self.top {
                        return Ok(found);
                    }
                    too_far = too_far.filter(|far| *far > end);
                    end = match too_far {
                        Some(far) => middle(end.saturating_add(1), far),
                        None => end.saturating_add(self.length.max(1).saturating_mul(EXTENSION)).min(self.top),
                    };
                }
                Listed::Part(_) if found.is_some() => return Ok(found),
                Listed::Part(reached) => {
                    let far = reached.min(end);
                    too_far = Some(far);
                    end = middle(first, far);
                }
            }
            // A page that ends where it began would make no progress.
            if self.lists >= MAX_LISTS && (found.is_some() || self.after > start) {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Lists the entries after `self.after` up to the millisecond `end`. The entries of a single millisecond are listed as a
    /// whole, however many they are.
    async fn list(&mut self, end: i64) -> Result<Listed, StoreError> {
        let range = self.range(end);
        let mut listing = Listing::begin(self.store, self.conversation, range);
        let first_hour = segment::hour_end(range.first.max(0));
        let is_needed = |position: Position| match position {
            Position::Single { .. } => false,
            Position::Several { newest, .. } => segment::hour_end(newest) == first_hour,
        };
        let (mut segments, mut count): (Vec<(Segment, String)>, usize) = (Vec::new(), 0);
        while count < LISTS_OF_A_RANGE || range.first >= end {
            let Some(listed) = listing.next(MAX_PAGE).await? else { break };
            self.lists += 1;
            count += usize::from(!listing.position().is_some_and(is_needed));
            // Single entries come newest first, after all segments of several entries that can be as new.
            let is_passed = |segment: &Segment| segment.single().is_some_and(|order| order <= self.after);
            let is_at_start = listed.iter().any(|(segment, _)| is_passed(segment));
            segments.extend(listed.into_iter().filter(|(segment, _)| !is_passed(segment)));
            if is_at_start || listing.is_ended() {
                return Ok(Listed::Whole(segments));
            }
        }
        if listing.is_ended() {
            return Ok(Listed::Whole(segments));
        }
        let reached = match listing.position() {
            Some(Position::Single { millis, .. }) => millis,
            Some(position) => segment::hour_end(position.newest()),
            None => end,
        };
        Ok(Listed::Part(reached.max(range.first)))
    }

    fn range(&self, end: i64) -> Range {
        Range { first: first_after(self.after), below: (end.saturating_add(1), Uuid::nil()) }
    }

    /// Returns the number of entries of `segment` with the requested signal.
    fn matching(&self, segment: &Segment) -> u64 {
        self.query.matching(segment)
    }

    /// Returns whether all entries of `segment` are after `self.after` and not after the millisecond `end`.
    fn is_inside(&self, segment: &Segment, end: i64) -> bool {
        let oldest = segment.single().unwrap_or((segment.oldest(), Uuid::nil()));
        oldest > self.after && segment.newest() <= end
    }

    /// Returns the number of entries that are certain to match by their keys.
    fn certain(&self, segments: &[(Segment, String)], end: i64) -> u64 {
        let inside = segments.iter().filter(|(segment, _)| self.is_inside(segment, end));
        inside.map(|(segment, _)| self.matching(segment)).sum()
    }

    /// Returns the parts of the log in `segments` that have matches by their keys, oldest first.
    fn parts(&self, segments: Vec<(Segment, String)>) -> Vec<Found> {
        let log = segment::prefix(self.conversation);
        let (singles, several): (Vec<_>, Vec<_>) = segments.into_iter().partition(|(segment, _)| segment.is_single());
        let mut parts = Vec::new();
        let mut singles = singles.as_slice();
        let single = |(segment, name): &(Segment, String)| {
            let order = segment.single().filter(|_| self.matching(segment) > 0)?;
            Some((order, format!("{log}{name}")))
        };
        let alone = |singles: &[(Segment, String)]| {
            let found = singles.iter().filter_map(single).map(|(order, key)| Found::Single(order, key));
            found.collect::<Vec<_>>()
        };
        for group in overlapping(several) {
            let newest = group.iter().map(|(segment, _)| segment.newest()).max().unwrap_or_default();
            let oldest = group.iter().map(|(segment, _)| segment.oldest()).min().unwrap_or_default();
            let (newer, rest) = singles.split_at(singles.partition_point(|(segment, _)| segment.newest() > newest));
            let (inside, older) = rest.split_at(rest.partition_point(|(segment, _)| segment.newest() >= oldest));
            singles = older;
            parts.extend(alone(newer));
            let inside: Vec<_> = inside.iter().filter_map(single).collect();
            let matching: u64 = group.iter().map(|(segment, _)| self.matching(segment)).sum();
            let count = usize::try_from(matching).unwrap_or(usize::MAX).saturating_add(inside.len());
            if count > 0 {
                let several = group.into_iter().map(|(_, name)| format!("{log}{name}")).collect();
                parts.push(Found::Group(Group { several, singles: inside, count, oldest, newest }));
            }
        }
        parts.extend(alone(singles));
        parts.reverse();
        parts
    }
}
