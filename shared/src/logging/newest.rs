//! Finds the segments that hold the newest entries of a log, from their keys.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use uuid::Uuid;

use super::entry::EntryOrder;
use super::segment::Segment;

/// Collects segments, in key order, until they are certain to hold the newest `wanted` entries.
#[derive(Debug)]
pub struct NewestEntries<T> {
    wanted: usize,
    gathered: Vec<(Segment, T)>,
    cutoff: Cutoff,
}

/// Lower bound of the order of the newest few entries.
#[derive(Debug)]
pub struct Cutoff {
    wanted: usize,
    /// For each of the `wanted` newest entries known so far, the lowest possible order. The lowest is on top.
    lowest: BinaryHeap<Reverse<EntryOrder>>,
}

impl Cutoff {
    /// Creates a cutoff for the newest `wanted` entries.
    pub fn new(wanted: usize) -> Self {
        Self { wanted, lowest: BinaryHeap::new() }
    }

    /// Adds `count` entries, each of the order `order` or newer.
    pub fn add(&mut self, order: EntryOrder, count: u64) {
        for _ in 0..usize::try_from(count).unwrap_or(usize::MAX).min(self.wanted) {
            self.lowest.push(Reverse(order));
            if self.lowest.len() > self.wanted {
                self.lowest.pop();
            }
        }
    }

    /// Adds all entries of `segment`.
    pub fn add_all_of(&mut self, segment: &Segment) {
        self.add((segment.newest(), segment.position().newest_id()), 1);
        self.add((segment.oldest(), Uuid::nil()), segment.entry_count() - 1);
    }

    /// Returns the lower bound of the order of all newest entries, once enough entries are known.
    pub fn get(&self) -> Option<EntryOrder> {
        if self.lowest.len() < self.wanted { None } else { self.lowest.peek().map(|Reverse(cutoff)| *cutoff) }
    }
}

/// Collected segments, by how much of them must be read.
#[derive(Debug)]
pub struct Selection<T> {
    /// Segments that are entirely among the newest. Their keys suffice for counting.
    pub whole: Vec<(Segment, T)>,
    /// Segments of one entry. The newest few of them are used, once the entries of [`Self::straddling`] are known.
    pub singles: Vec<(Segment, T)>,
    /// Segments of several entries, only some of which may be among the newest. Their content must be read.
    pub straddling: Vec<(Segment, T)>,
    /// Number of entries to use from `singles` and `straddling` together.
    pub remaining: usize,
}

impl<T> NewestEntries<T> {
    /// Starts a search for the newest `wanted` entries. Each segment comes with a `T` that identifies it.
    pub fn new(wanted: usize) -> Self {
        Self { wanted, gathered: Vec::new(), cutoff: Cutoff::new(wanted) }
    }

    /// Returns whether the newest entries are among those collected, provided that all segments with entries of
    /// `covered_until` or newer are.
    pub fn is_complete(&self, covered_until: EntryOrder) -> bool {
        self.cutoff.get().is_some_and(|cutoff| cutoff >= covered_until)
    }

    /// Adds the next segment in key order.
    pub fn add(&mut self, segment: Segment, handle: T) {
        self.cutoff.add_all_of(&segment);
        self.gathered.push((segment, handle));
    }

    /// Groups the segments by how much of them must be read.
    pub fn select(mut self) -> Selection<T> {
        self.gathered.sort_by_key(|(segment, _)| Reverse((segment.newest(), segment.position().newest_id())));
        let total: usize = self.gathered.iter().map(|(segment, _)| entries(segment)).sum();
        let newest_to_oldest: Vec<(i64, usize)> = self.gathered.iter().map(|(s, _)| (s.newest(), entries(s))).collect();
        let at_least_as_new: Vec<usize> = newest_to_oldest
            .iter()
            .scan(0, |sum, (_, count)| {
                *sum += count;
                Some(*sum)
            })
            .collect();
        let mut selection = Selection {
            whole: Vec::new(),
            singles: Vec::new(),
            straddling: Vec::new(),
            remaining: self.wanted.min(total),
        };
        for (segment, handle) in self.gathered {
            let rivals = newest_to_oldest.partition_point(|(newest, _)| *newest >= segment.oldest());
            let lowest_rank = rivals.checked_sub(1).map_or(0, |last| at_least_as_new[last]);
            if lowest_rank <= self.wanted {
                selection.remaining = selection.remaining.saturating_sub(entries(&segment));
                selection.whole.push((segment, handle));
            } else if segment.is_single() {
                selection.singles.push((segment, handle));
            } else {
                selection.straddling.push((segment, handle));
            }
        }
        selection.singles.truncate(selection.remaining);
        selection
    }
}

fn entries(segment: &Segment) -> usize {
    usize::try_from(segment.entry_count()).unwrap_or(usize::MAX)
}
