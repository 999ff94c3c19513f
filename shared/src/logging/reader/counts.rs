//! Counts entries by signal in a range of time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::super::entry::{Conversation, EntryOrder};
use super::super::span::{Interval, Span};
use super::super::store::{GetLog, ListLogs};
use super::super::summary::Summary;
use super::cursor::EntryCursor;
use super::distinct::{DistinctListing, Kept, Part};
use super::listing::{MAX_PAGE, Range};
use super::{MAX_LISTS, RecordedEntry, read};
use crate::aws::StoreError;
use crate::ids::Signal;
use crate::time::Timestamp;

/// Number of entries counted by a summary.
pub const SUMMARY_ENTRIES: usize = 1_000;
/// Number of segments read, because they overlap others or an end of the range, after which a request stops listing.
const MAX_READS: usize = 200;

/// Query for counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountQuery {
    /// Time range in which the entries were recorded.
    pub span: Span,
    /// Intervals for additional counts, if any.
    pub interval: Option<Interval>,
    /// End of the previous page.
    pub cursor: Option<EntryCursor>,
}

/// A page of counts. The pages of a query add up to the counts of its span: each entry is counted on one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// End of this page, unless the span is counted completely.
    pub next: Option<EntryCursor>,
    /// Time from which on every entry of the span is counted on this page or an earlier one: the beginning of the span
    /// if the page is the last, later than the end of the span if nothing is counted yet.
    pub covers_since: Option<Timestamp>,
    /// Time from which on entries of the span are counted: earlier than [`Self::covers_since`] if the page ends within a
    /// millisecond.
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

/// The part of an entry that is counted.
#[derive(Debug)]
pub(super) struct Counted {
    order: EntryOrder,
    signal: Signal,
}

impl Kept for Counted {
    fn keep(entry: RecordedEntry) -> Self {
        Self { order: entry.order, signal: entry.signal }
    }

    fn order(&self) -> EntryOrder {
        self.order
    }
}

/// Counts the entries of `conversation` by signal, newest first.
///
/// Takes one listing for every 1,000 segments and one more if the span ends within an hour. Reads only segments of
/// several entries that overlap other segments or an end of the span. The page ends after 20 listings or 200 reads.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn count<S>(store: &S, conversation: &Conversation, query: &CountQuery) -> Result<Counts, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let range = Range::of(query.span);
    let mut listing = DistinctListing::new(store, conversation, range, query.cursor.as_ref(), None);
    let mut tally = Tally::new(query.interval);
    while let Some(parts) = listing.next(MAX_PAGE).await? {
        parts.into_iter().for_each(|part| tally.add(part));
        if (listing.lists() >= MAX_LISTS || listing.reads >= MAX_READS) && listing.has_progressed() {
            break;
        }
    }
    let covered_until = listing.covered_until();
    let next = (!listing.is_ended()).then(|| listing.cursor(covered_until));
    let covers_since = match next {
        Some(_) => Some(Timestamp::clamped_millis(first_covered(covered_until).max(range.first))),
        None => query.span.since(),
    };
    let oldest = tally.oldest.map(Timestamp::clamped_millis).into_iter().chain(covers_since).min();
    let buckets = tally.buckets.into_iter().map(|(start, counts)| (Timestamp::clamped_millis(start), counts)).collect();
    Ok(Counts { next, covers_since, oldest, total: tally.total, buckets })
}

/// Returns the counts by signal of the newest [`SUMMARY_ENTRIES`] of `conversation`.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn summarise<S>(store: &S, conversation: &Conversation) -> Result<Summary, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    count_newest(store, conversation, SUMMARY_ENTRIES).await
}

/// Returns the counts by signal of the newest `wanted` entries. Reads one segment of several entries if only some of its
/// entries are among them.
pub(super) async fn count_newest<S>(
    store: &S,
    conversation: &Conversation,
    wanted: usize,
) -> Result<Summary, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let mut listing = DistinctListing::new(store, conversation, Range::of(Span::default()), None, None);
    let (mut summary, mut missing) = (Summary::default(), wanted as u64);
    while missing > 0
        && let Some(parts) = listing.next(wanted).await?
    {
        for part in parts {
            match part {
                Part::Entry(Counted { signal, .. }) if missing > 0 => {
                    summary.add(signal, 1);
                    missing -= 1;
                }
                Part::Segment(segment, _) if segment.entry_count() <= missing => {
                    missing -= segment.entry_count();
                    segment.into_counts().into_iter().for_each(|(signal, count)| summary.add(signal, count));
                }
                Part::Segment(_, name) if missing > 0 => {
                    let mut entries = read(store, vec![listing.key(&name)], |entry| Some(Counted::keep(entry))).await?;
                    entries.sort_unstable_by_key(|entry| Reverse(entry.order));
                    let newest = entries.into_iter().take(usize::try_from(missing).unwrap_or(usize::MAX));
                    newest.for_each(|entry| summary.add(entry.signal, 1));
                    return Ok(summary);
                }
                Part::Entry(_) | Part::Segment(..) => return Ok(summary),
            }
        }
    }
    Ok(summary)
}

/// Returns the first millisecond, in Unix milliseconds, whose entries are all at `covered_until` or newer.
fn first_covered((millis, id): EntryOrder) -> i64 {
    if id.is_nil() { millis } else { millis.saturating_add(1) }
}

struct Tally {
    interval: Option<Interval>,
    total: Summary,
    buckets: BTreeMap<i64, Summary>,
    /// Time of the oldest counted entry, in Unix milliseconds.
    oldest: Option<i64>,
}

impl Tally {
    fn new(interval: Option<Interval>) -> Self {
        Self { interval, total: Summary::default(), buckets: BTreeMap::new(), oldest: None }
    }

    /// Adds a part. A segment lies within one hour, and so within one interval.
    fn add(&mut self, part: Part<Counted>) {
        match part {
            Part::Segment(segment, _) => {
                let (newest, oldest) = (segment.newest(), segment.oldest());
                for (signal, count) in segment.into_counts() {
                    self.count((oldest, newest), signal, count);
                }
            }
            Part::Entry(entry) => self.count((entry.order.0, entry.order.0), entry.signal, 1),
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
