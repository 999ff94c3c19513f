//! How many entries of each signal a part of time has.

use std::collections::BTreeMap;

use super::super::entry::Conversation;
use super::super::segment::{self, MAX_SPAN_MILLIS, Segment};
use super::super::span::{Bucket, Span};
use super::super::store::{GetLog, ListLogs};
use super::super::summary::Summary;
use super::listing::{Listing, MAX_PAGE};
use super::{MAX_LISTS, read};
use crate::aws::StoreError;
use crate::ids::Signal;
use crate::time::Timestamp;

/// How many segments a request reads at most because they straddle the bounds of buckets.
const MAX_READS: usize = 200;

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Whether all of the time asked for is counted.
    pub is_complete: bool,
    /// What is counted: from here on, or from the beginning. Later than the end of time where nothing is.
    pub covers_since: Option<Timestamp>,
    /// All of it.
    pub total: Summary,
    /// By the time at which a bucket begins, oldest first; without those that have nothing.
    pub buckets: BTreeMap<Timestamp, Summary>,
}

/// How many entries of `conversation` there are of each signal in `span`, and in each `bucket` of it.
///
/// A listing for every 1,000 segments and, while segments hold one entry, no read. After 20 listings it leaves out what
/// is older. With an end of time it begins a day later, for a segment spans as much.
///
/// # Errors
/// When S3 does not answer, or holds what is no log.
pub async fn count<S>(
    store: &S,
    conversation: &Conversation,
    span: Span,
    bucket: Option<Bucket>,
) -> Result<Counts, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let start = segment::before_newest(span.last().saturating_add(MAX_SPAN_MILLIS));
    let mut listing = Listing::begin(store, conversation, start.as_deref());
    let mut tally = Tally::begin(span, bucket);
    tally.list(&mut listing).await?;

    let is_complete = tally.since <= span.first();
    let covers_since =
        if is_complete { span.since() } else { Some(Timestamp::from_millis(tally.since).unwrap_or(Timestamp::MAX)) };
    let straddling: Vec<String> = tally.count_whole().iter().map(|name| listing.key(name)).collect();
    for (millis, signal) in read(store, straddling, |entry| Some((entry.order.0, entry.signal))).await? {
        tally.count(millis, signal, 1);
    }
    let buckets = tally.buckets.into_iter();
    let buckets = buckets.filter_map(|(start, counts)| Some((Timestamp::from_millis(start)?, counts))).collect();
    Ok(Counts { is_complete, covers_since, total: tally.total, buckets })
}

struct Tally {
    span: Span,
    bucket: Option<Bucket>,
    /// Unix milliseconds from which on everything is listed; not before the span.
    since: i64,
    /// Time and signal of entries that are alone in their segments.
    singles: Vec<(i64, Signal)>,
    /// Segments of several entries, of which some may be in the span, and their names.
    several: Vec<(Segment, String)>,
    total: Summary,
    buckets: BTreeMap<i64, Summary>,
}

impl Tally {
    fn begin(span: Span, bucket: Option<Bucket>) -> Self {
        let (total, buckets) = (Summary::default(), BTreeMap::new());
        Self { span, bucket, since: span.first(), singles: Vec::new(), several: Vec::new(), total, buckets }
    }

    /// Lists until all segments of the span are known, or it has listed, or has to read, enough for one request.
    async fn list<S: ListLogs>(&mut self, listing: &mut Listing<'_, S>) -> Result<(), StoreError> {
        if self.span.first() > self.span.last() {
            return Ok(());
        }
        let mut to_read = 0;
        let mut newest = i64::MAX;
        while let Some(segments) = listing.next(MAX_PAGE).await? {
            for (segment, name) in segments {
                newest = segment.newest;
                if newest < self.span.first() {
                    return Ok(());
                }
                if segment.oldest > self.span.last() {
                    continue;
                }
                if !segment.is_single() {
                    to_read += usize::from(!self.is_whole(&segment));
                    self.several.push((segment, name));
                } else if let Some((signal, _)) = segment.counts.into_iter().next() {
                    self.singles.push((newest, signal));
                }
            }
            if listing.may_go_on() && (listing.lists >= MAX_LISTS || to_read > MAX_READS) {
                self.since = newest.saturating_add(1).max(self.since);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Counts what the keys tell, and gives the names of the segments that have to be read.
    fn count_whole(&mut self) -> Vec<String> {
        for (millis, signal) in std::mem::take(&mut self.singles) {
            self.count(millis, signal, 1);
        }
        let mut straddling = Vec::new();
        for (segment, name) in std::mem::take(&mut self.several) {
            if self.is_whole(&segment) {
                for (signal, count) in segment.counts {
                    self.count(segment.newest, signal, count);
                }
            } else if segment.newest >= self.since {
                straddling.push(name);
            }
        }
        straddling
    }

    /// Whether all entries of `segment` are counted, and in one bucket.
    fn is_whole(&self, segment: &Segment) -> bool {
        let is_in_time = segment.oldest >= self.since && segment.newest <= self.span.last();
        is_in_time && self.bucket.is_none_or(|bucket| bucket.start(segment.oldest) == bucket.start(segment.newest))
    }

    /// Counts entries of one time, unless they are outside of what is counted.
    fn count(&mut self, millis: i64, signal: Signal, count: u64) {
        if millis < self.since || millis > self.span.last() {
            return;
        }
        if let Some(bucket) = self.bucket {
            self.buckets.entry(bucket.start(millis)).or_default().add(signal.clone(), count);
        }
        self.total.add(signal, count);
    }
}
