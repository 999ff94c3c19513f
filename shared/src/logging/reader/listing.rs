//! Lists the segments of a log in key order, one listing at a time.

use uuid::Uuid;

use super::super::entry::{Conversation, EntryOrder};
use super::super::segment::{self, Position, Segment};
use super::super::span::Span;
use super::super::store::ListLogs;
use crate::aws::StoreError;

/// Maximum number of keys that S3 lists at once.
pub const MAX_PAGE: usize = 1_000;
/// Order before every entry.
const OLDEST: EntryOrder = (i64::MIN, Uuid::nil());

/// Entries to list: from `first` on, and before `below`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Unix milliseconds of the oldest requested entry.
    pub first: i64,
    /// Exclusive upper bound of the order of requested entries.
    pub below: EntryOrder,
}

impl Range {
    /// Returns the range of the entries of `span`.
    pub fn of(span: Span) -> Self {
        Self { first: span.first(), below: (span.last().saturating_add(1), Uuid::nil()) }
    }

    /// Returns whether the range contains the entry at `order`.
    pub fn contains(&self, order: EntryOrder) -> bool {
        order.0 >= self.first && order < self.below
    }

    /// Returns whether the range contains every entry of a segment at `position`.
    pub fn covers(&self, position: &Position) -> bool {
        position.oldest() >= self.first && (position.newest(), position.newest_id()) < self.below
    }

    /// Returns whether the range may contain an entry of a segment at `position`.
    fn overlaps(&self, position: &Position) -> bool {
        match position {
            Position::Single { millis, id } => self.contains((*millis, *id)),
            Position::Several { newest, oldest, .. } => *newest >= self.first && (*oldest, Uuid::nil()) < self.below,
        }
    }

    fn is_empty(&self) -> bool {
        (self.first.max(0), Uuid::nil()) >= self.below
    }

    /// Returns the Unix milliseconds of the newest entry that the range can contain.
    fn last(&self) -> i64 {
        if self.below.1.is_nil() { self.below.0.saturating_sub(1) } else { self.below.0 }
    }
}

/// Iterates over the keys of one log.
///
/// Segments of several entries come before the single entries of their hour. So once a single entry is listed, all
/// segments that can have an entry of its order or a newer one are listed too, and single entries that are too new can
/// be skipped.
pub struct Listing<'a, S> {
    store: &'a S,
    prefix: String,
    range: Range,
    start_after: Option<String>,
    /// Last position listed.
    position: Option<Position>,
    /// Number of listings so far.
    pub lists: usize,
    is_ended: bool,
}

impl<'a, S: ListLogs> Listing<'a, S> {
    /// Starts at the end of the hour in which `range` ends, with the segments of several entries of that hour.
    pub fn begin(store: &'a S, conversation: &Conversation, range: Range) -> Self {
        // Without an end, the listing starts at the first key of the log.
        let start_after = (range.below.0 < i64::MAX).then(|| segment::before_hour(range.last()));
        Self::new(store, conversation, range, start_after, None)
    }

    /// Starts after `position`. The caller must know all segments before that position.
    pub fn resume(store: &'a S, conversation: &Conversation, range: Range, position: Position) -> Self {
        Self::new(store, conversation, range, Some(position.after()), Some(position))
    }

    fn new(
        store: &'a S,
        conversation: &Conversation,
        range: Range,
        start_after: Option<String>,
        position: Option<Position>,
    ) -> Self {
        let prefix = segment::prefix(conversation);
        let start_after = start_after.map(|name| format!("{prefix}{name}"));
        Self { store, prefix, range, start_after, position, lists: 0, is_ended: range.is_empty() }
    }

    /// Returns the full key of the segment `name`.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Returns the last position listed, from which a listing can be resumed.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Returns whether the range has no further segments.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Returns whether all segments of several entries of the hour that ends at the millisecond `end` are listed.
    pub fn has_all_several_of(&self, end: i64) -> bool {
        self.is_ended
            || self.position.is_some_and(|position| match position {
                Position::Single { millis, .. } => end >= segment::hour_end(millis),
                Position::Several { newest, .. } => end > segment::hour_end(newest),
            })
    }

    /// Returns the order from which on every segment with an entry of the range is listed.
    pub fn covered_until(&self) -> EntryOrder {
        if self.is_ended {
            return OLDEST;
        }
        self.position.map_or(self.range.below, |position| position.covered_until().min(self.range.below))
    }

    /// Returns the next segments that may have entries of the range, with their names, from at most `size` keys, or
    /// `None` after the last one. Of several keys of a single entry, only the first counts.
    pub async fn next(&mut self, size: usize) -> Result<Option<Vec<(Segment, String)>>, StoreError> {
        if self.is_ended {
            return Ok(None);
        }
        let size = i32::try_from(size.min(MAX_PAGE)).unwrap_or(i32::MAX);
        let page = self.store.list(&self.prefix, self.start_after.as_deref(), size).await?;
        self.lists += 1;
        self.is_ended = !page.more || page.keys.is_empty();
        self.start_after = page.keys.last().cloned();
        let mut segments = Vec::with_capacity(page.keys.len());
        for mut key in page.keys {
            let Some(segment) = Segment::parse(&key) else { continue };
            let position = segment.position();
            if self.is_beyond(&position) {
                self.is_ended = true;
                break;
            }
            let is_repeated = self.position.replace(position) == Some(position) && segment.is_single();
            if !is_repeated && self.range.overlaps(&position) {
                segments.push((segment, key.split_off(self.prefix.len())));
            }
        }
        self.skip_too_new();
        Ok(Some(segments))
    }

    /// Returns whether everything from `position` on is too old.
    fn is_beyond(&self, position: &Position) -> bool {
        let latest = match position {
            Position::Single { millis, .. } => *millis,
            Position::Several { newest, .. } => segment::hour_end(*newest),
        };
        latest < self.range.first
    }

    /// Skips to the end of the range if the listing has reached single entries that are newer.
    fn skip_too_new(&mut self) {
        if let Some(Position::Single { millis, id }) = self.position
            && (millis, id) > self.range.below
        {
            let end = Position::single(self.range.below);
            self.start_after = Some(self.key(&end.after()));
            self.position = Some(end);
        }
    }
}
