//! Lists a log newest first, each entry once.
//!
//! An entry can be stored more than once: a caller repeated it in another batch, or compaction has merged the segment
//! that holds it. The copies have the same time and id, and the first in key order counts. Keys of single entries show time
//! and id, so their copies are adjacent in a listing. A segment of several entries can have copies of others only if its
//! time range overlaps theirs. Such a segment is read, and later copies are dropped. All other segments are used by their
//! keys alone.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use uuid::Uuid;

use super::super::entry::{Conversation, EntryOrder};
use super::super::segment::{self, Position, Segment};
use super::super::store::{GetLog, ListLogs};
use super::cursor::EntryCursor;
use super::listing::{Listing, Range};
use super::{RecordedEntry, read};
use crate::aws::StoreError;
use crate::ids::Signal;

/// The part of an entry that a reader keeps.
pub(super) trait Kept {
    /// Takes the part from `entry`.
    fn keep(entry: RecordedEntry) -> Self;

    /// Returns the order of the entry.
    fn order(&self) -> EntryOrder;
}

impl Kept for RecordedEntry {
    fn keep(entry: RecordedEntry) -> Self {
        entry
    }

    fn order(&self) -> EntryOrder {
        self.order
    }
}

/// A part of a log that shares no entry with any other part.
#[derive(Debug)]
pub(super) enum Part<T> {
    /// A segment in the requested range, with its name.
    Segment(Segment, String),
    /// An entry in the requested range from a segment that had to be read.
    Entry(T),
}

impl<T: Kept> Part<T> {
    /// Returns the order of the newest entry.
    pub fn newest(&self) -> EntryOrder {
        match self {
            Self::Segment(segment, _) => newest(segment),
            Self::Entry(entry) => entry.order(),
        }
    }
}

/// A segment with its name.
type Listed = (Segment, String);

/// Iterates over the parts of one log, newest first.
///
/// S3 lists the segments of several entries of an hour before its single entries. A segment waits until the listing has
/// passed all single entries that it overlaps, or is read at the first of them.
pub(super) struct DistinctListing<'a, S, T> {
    store: &'a S,
    listing: Listing<'a, S>,
    range: Range,
    /// Signal of the requested entries, if only one is wanted.
    signal: Option<Signal>,
    /// Segments that are neither returned nor read yet, newest first.
    waiting: Vec<Listed>,
    /// Entries that are read and not returned yet, newest first.
    entries: BTreeMap<Reverse<EntryOrder>, T>,
    /// Positions of all listed segments of several entries.
    several: Vec<Position>,
    /// Number of segments read so far.
    pub reads: usize,
}

impl<'a, S, T> DistinctListing<'a, S, T>
where
    S: ListLogs + GetLog + Sync,
    T: Kept,
{
    /// Starts at the newest entry of `range`, after the page that ends at `cursor`, if any. Entries of other signals than
    /// `signal` can be left out.
    pub fn new(
        store: &'a S,
        conversation: &Conversation,
        range: Range,
        cursor: Option<&EntryCursor>,
        signal: Option<Signal>,
    ) -> Self {
        let range = Range { below: cursor.map_or(range.below, |cursor| cursor.below.min(range.below)), ..range };
        let listing = match cursor {
            Some(EntryCursor { reopens: false, .. }) => {
                Listing::resume(store, conversation, range, Position::single(range.below))
            }
            _ => Listing::begin(store, conversation, range),
        };
        let (waiting, entries, several) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { store, listing, range, signal, waiting, entries, several, reads: 0 }
    }

    /// Returns the full key of the segment `name`.
    pub fn key(&self, name: &str) -> String {
        self.listing.key(name)
    }

    /// Returns the number of listings so far.
    pub fn lists(&self) -> usize {
        self.listing.lists
    }

    /// Returns whether the range has no further parts.
    pub fn is_ended(&self) -> bool {
        self.listing.is_ended()
    }

    /// Returns the order from which on all requested entries of the range are returned.
    pub fn covered_until(&self) -> EntryOrder {
        self.listing.covered_until()
    }

    /// Returns whether the listing is further than where it began.
    pub fn has_progressed(&self) -> bool {
        self.covered_until() < self.range.below
    }

    /// Returns a cursor after the entry of the order `below`. Returned parts must have all entries from there on.
    pub fn cursor(&self, below: EntryOrder) -> EntryCursor {
        let hour = segment::hour_end(below.0);
        let has_older = |position: &Position| {
            segment::hour_end(position.newest()) == hour && (position.oldest(), Uuid::nil()) < below
        };
        EntryCursor { below, reopens: self.several.iter().any(has_older) }
    }

    /// Returns the next parts, from at most `size` keys, or `None` after the last one.
    ///
    /// # Errors
    /// When S3 fails or holds an object that is not a log.
    pub async fn next(&mut self, size: usize) -> Result<Option<Vec<Part<T>>>, StoreError> {
        let Some(segments) = self.listing.next(size).await? else { return Ok(None) };
        let (singles, several): (Vec<_>, Vec<_>) = segments.into_iter().partition(|(segment, _)| segment.is_single());
        self.several.extend(several.iter().map(|(segment, _)| segment.position()));
        self.waiting.extend(several);
        let covered_until = self.covered_until();

        let (settled, to_read) = self.settle(&singles, covered_until);
        self.read(to_read).await?;
        let singles = singles.into_iter().filter(|(single, _)| !self.entries.contains_key(&Reverse(newest(single))));
        let segments = singles.chain(settled).map(|(segment, name)| Part::Segment(segment, name));
        let mut parts: Vec<Part<T>> = segments.collect();
        while let Some(entry) = self.entries.first_entry()
            && entry.key().0 >= covered_until
        {
            parts.push(Part::Entry(entry.remove()));
        }
        parts.sort_unstable_by_key(|part| Reverse(part.newest()));
        Ok(Some(parts))
    }

    /// Takes the waiting segments that can be decided because all segments with entries of the order `covered_until` or
    /// newer are listed, among them `singles`. Returns those that overlap no other segment, and the names of those to be
    /// read, in key order.
    fn settle(&mut self, singles: &[Listed], covered_until: EntryOrder) -> (Vec<Listed>, Vec<String>) {
        let (mut settled, mut to_read, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for mut group in overlapping(std::mem::take(&mut self.waiting)) {
            let newest = group[0].0.newest();
            if covered_until.0 > newest || !self.listing.has_all_several_of(segment::hour_end(newest)) {
                waiting.append(&mut group);
                continue;
            }
            let overlaps = group.len() > 1
                || !self.range.covers(&group[0].0.position())
                || !within(singles, &group[0].0).is_empty();
            // A copy in the group counts instead of a single entry that is wanted.
            let is_wanted = group.iter().any(|(segment, _)| {
                self.has_wanted(segment) || within(singles, segment).iter().any(|(single, _)| self.has_wanted(single))
            });
            let is_passed = group.iter().all(|(segment, _)| covered_until <= (segment.oldest(), Uuid::nil()));
            if is_wanted && overlaps {
                to_read.extend(group.into_iter().map(|(_, name)| name));
            } else if !is_passed {
                waiting.append(&mut group);
            } else if is_wanted {
                settled.append(&mut group);
            }
        }
        self.waiting = waiting;
        (settled, to_read)
    }

    fn has_wanted(&self, segment: &Segment) -> bool {
        self.signal.as_ref().is_none_or(|wanted| segment.counts().iter().any(|(signal, _)| signal == wanted))
    }

    /// Reads the segments `names`, which are in key order. The first copy of an entry counts.
    async fn read(&mut self, names: Vec<String>) -> Result<(), StoreError> {
        self.reads += names.len();
        let keys = names.iter().map(|name| self.listing.key(name)).collect();
        let range = self.range;
        let is_wanted = |entry: RecordedEntry| range.contains(entry.order).then(|| T::keep(entry));
        for entry in read(self.store, keys, is_wanted).await? {
            self.entries.entry(Reverse(entry.order())).or_insert(entry);
        }
        Ok(())
    }
}

/// Returns the order of the newest entry of `segment`.
pub(super) fn newest(segment: &Segment) -> EntryOrder {
    (segment.newest(), segment.position().newest_id())
}

/// Groups `several`, which are sorted by their newest entry, so that segments of different groups do not overlap.
pub(super) fn overlapping(several: Vec<Listed>) -> Vec<Vec<Listed>> {
    let mut groups: Vec<Vec<Listed>> = Vec::new();
    let mut oldest = i64::MIN;
    for next in several {
        let (next_oldest, next_newest) = (next.0.oldest(), next.0.newest());
        match groups.last_mut() {
            Some(group) if next_newest >= oldest => {
                oldest = oldest.min(next_oldest);
                group.push(next);
            }
            _ => {
                oldest = next_oldest;
                groups.push(vec![next]);
            }
        }
    }
    groups
}

/// Returns the segments of `singles`, which are sorted newest first, within the time range of `segment`.
pub(super) fn within<'a>(singles: &'a [Listed], segment: &Segment) -> &'a [Listed] {
    let first = singles.partition_point(|(single, _)| single.newest() > segment.newest());
    let end = singles.partition_point(|(single, _)| single.newest() >= segment.oldest());
    &singles[first..end]
}
