//! Counts entries by signal in a range of time.

use std::collections::BTreeMap;
use std::fmt;

use super::super::entry::{Conversation, EntryOrder};
use super::super::segment::{Position, Segment};
use super::super::span::{Interval, Span};
use super::super::store::{GetLog, ListLogs};
use super::super::summary::Summary;
use super::listing::{Listing, MAX_PAGE, Range};
use super::{MAX_LISTS, read};
use crate::aws::StoreError;
use crate::ids::Signal;
use crate::time::Timestamp;

/// Number of segments to read, because they straddle an end of the range, after which a request stops listing.
const MAX_READS: usize = 200;

/// Query for counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountQuery {
    /// Time range in which the entries were recorded.
    pub span: Span,
    /// Intervals for additional counts, if any.
    pub interval: Option<Interval>,
    /// End of the previous page.
    pub cursor: Option<CountCursor>,
}

/// The end of a page of counts: every segment up to this position has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountCursor(Position);

impl CountCursor {
    /// Parses a cursor as displayed.
    pub fn parse(text: &str) -> Option<Self> {
        Position::parse(text).map(Self)
    }
}

impl fmt::Display for CountCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A page of counts. The pages of a query add up to the counts of its span: each segment is counted on one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// End of this page, unless the span is counted completely.
    pub next: Option<CountCursor>,
    /// Time from which on every entry of the span is counted on this page or an earlier one: the beginning of the span
    /// if the page is the last, later than the end of the span if nothing is counted yet. A segment of several entries
    /// is counted as a whole, so the counts can include older entries of the same hour.
    pub covers_since: Option<Timestamp>,
    /// Lower bound of the time of all entries counted so far. Equal to [`Self::covers_since`] while segments hold one
    /// entry.
    pub oldest: Option<Timestamp>,
    /// Number of entries of each signal.
    pub total: Summary,
    /// The same counts by the start of each interval, oldest first, without empty intervals.
    pub buckets: BTreeMap<Timestamp, Summary>,
}

impl Counts {
    /// Returns whether the whole span is counted.
    pub fn is_complete(&self) -> bool {
        self.next.is_none()
    }
}

/// Counts the entries of `conversation` by signal, newest first.
///
/// Takes one listing for every 1,000 segments and one more if the span ends within an hour. Reads only segments of
/// several entries that straddle an end of the span. The page ends after 20 listings.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn count<S>(store: &S, conversation: &Conversation, query: &CountQuery) -> Result<Counts, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let range = Range::of(query.span);
    let mut listing = match query.cursor {
        Some(CountCursor(position)) => Listing::resume(store, conversation, range, position),
        None => Listing::begin(store, conversation, range),
    };
    let start = listing.position();
    let mut tally = Tally::new(range, query.interval);
    while let Some(segments) = listing.next(MAX_PAGE).await? {
        for (segment, name) in segments {
            tally.add(segment, name);
        }
        let is_enough = listing.lists >= MAX_LISTS || tally.straddling.len() >= MAX_READS;
        if is_enough && listing.position() != start {
            break;
        }
    }

    let straddling = tally.straddling.iter().map(|name| listing.key(name)).collect();
    for (order, signal) in read(store, straddling, |entry| Some((entry.order, entry.signal))).await? {
        tally.add_entry(order, signal);
    }
    let next = if listing.is_ended() { None } else { listing.position().map(CountCursor) };
    let covers_since = match next {
        Some(_) => Some(at(first_covered(listing.covered_until()).max(range.first))),
        None => query.span.since(),
    };
    let oldest = tally.oldest.map(at).into_iter().chain(covers_since).min();
    let buckets = tally.buckets.into_iter().map(|(start, counts)| (at(start), counts)).collect();
    Ok(Counts { next, covers_since, oldest, total: tally.total, buckets })
}

/// Returns the first millisecond, in Unix milliseconds, whose entries are all at `covered_until` or newer.
fn first_covered((millis, id): EntryOrder) -> i64 {
    if id.is_nil() { millis } else { millis.saturating_add(1) }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX)
}

struct Tally {
    range: Range,
    interval: Option<Interval>,
    total: Summary,
    buckets: BTreeMap<i64, Summary>,
    /// Lower bound of the time of the counted entries, in Unix milliseconds.
    oldest: Option<i64>,
    /// Names of segments that are only partly in the range.
    straddling: Vec<String>,
}

impl Tally {
    fn new(range: Range, interval: Option<Interval>) -> Self {
        let (total, buckets) = (Summary::default(), BTreeMap::new());
        Self { range, interval, total, buckets, oldest: None, straddling: Vec::new() }
    }

    /// Adds a segment. A segment lies within one hour, and so within one interval.
    fn add(&mut self, segment: Segment, name: String) {
        if !self.range.covers(&segment.position()) {
            self.straddling.push(name);
            return;
        }
        let (newest, oldest) = (segment.newest(), segment.oldest());
        for (signal, count) in segment.into_counts() {
            self.count((oldest, newest), signal, count);
        }
    }

    /// Adds an entry of a segment that straddles an end of the range.
    fn add_entry(&mut self, order: EntryOrder, signal: Signal) {
        if self.range.contains(order) {
            self.count((order.0, order.0), signal, 1);
        }
    }

    fn count(&mut self, (oldest, newest): (i64, i64), signal: Signal, count: u64) {
        self.oldest = Some(self.oldest.map_or(oldest, |known| known.min(oldest)));
        if let Some(interval) = self.interval {
            self.buckets.entry(interval.start(newest)).or_default().add(signal.clone(), count);
        }
        self.total.add(signal, count);
    }
}
