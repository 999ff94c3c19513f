//! Which segments hold the newest entries of a log, told from their keys.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::segment::Segment;

/// Gathers segments, in the order of their keys, until they are sure to hold the newest `wanted` entries.
#[derive(Debug)]
pub struct Newest<T> {
    wanted: usize,
    gathered: Vec<(Segment, T)>,
    floor: Floor,
}

/// How old the oldest of the newest few entries can be.
#[derive(Debug)]
pub struct Floor {
    wanted: usize,
    /// For the `wanted` newest entries known of so far, the earliest time that each may have; the earliest on top.
    floors: BinaryHeap<Reverse<i64>>,
}

impl Floor {
    /// The floor of the newest `wanted` entries.
    pub fn new(wanted: usize) -> Self {
        Self { wanted, floors: BinaryHeap::new() }
    }

    /// Takes note of `count` entries, of which each has at least the time `earliest`, in Unix milliseconds.
    pub fn learn(&mut self, earliest: i64, count: u64) {
        for _ in 0..usize::try_from(count).unwrap_or(usize::MAX).min(self.wanted) {
            self.floors.push(Reverse(earliest));
            if self.floors.len() > self.wanted {
                self.floors.pop();
            }
        }
    }

    /// Takes note of all entries of `segment`.
    pub fn learn_all_of(&mut self, segment: &Segment) {
        self.learn(segment.newest, 1);
        self.learn(segment.oldest, segment.len() - 1);
    }

    /// The time, in Unix milliseconds, that all of them have at least, once as many are known of.
    pub fn get(&self) -> Option<i64> {
        if self.floors.len() < self.wanted { None } else { self.floors.peek().map(|Reverse(floor)| *floor) }
    }
}

/// The gathered segments, by what has to be read of them.
#[derive(Debug)]
pub struct Selection<T> {
    /// All their entries are among the newest; what the keys tell of them is enough to count them.
    pub whole: Vec<(Segment, T)>,
    /// Of these the newest few are to be taken, once those of [`Self::straddling`] are known.
    pub singles: Vec<(Segment, T)>,
    /// Segments of several entries of which some may be among the newest: only their content tells.
    pub straddling: Vec<(Segment, T)>,
    /// How many entries are to be taken from `singles` and `straddling` together.
    pub remaining: usize,
}

impl<T> Newest<T> {
    /// A search for the newest `wanted` entries; each segment comes with a `T` to know it by.
    pub fn new(wanted: usize) -> Self {
        Self { wanted, gathered: Vec::new(), floor: Floor::new(wanted) }
    }

    /// Whether a segment whose newest entry is of `newest`, in Unix milliseconds, may hold one of those wanted.
    pub fn may_need(&self, newest: i64) -> bool {
        self.floor.get().is_none_or(|floor| newest >= floor)
    }

    /// Whether anything older than the segments gathered is still needed.
    pub fn is_complete(&self) -> bool {
        let last = self.gathered.last();
        last.is_some_and(|(last, _)| self.floor.get().is_some_and(|floor| last.newest <= floor))
    }

    /// Adds the next segment in the order of keys.
    pub fn add(&mut self, segment: Segment, handle: T) {
        self.floor.learn_all_of(&segment);
        self.gathered.push((segment, handle));
    }

    /// Tells the segments apart by what has to be read of them.
    pub fn select(self) -> Selection<T> {
        let total: usize = self.gathered.iter().map(|(segment, _)| entries(segment)).sum();
        let newest_to_oldest: Vec<(i64, usize)> = self.gathered.iter().map(|(s, _)| (s.newest, entries(s))).collect();
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
            let rivals = newest_to_oldest.partition_point(|(newest, _)| *newest >= segment.oldest);
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
        // Within a millisecond the order of keys is that of ids for single entries, so the first ones are the newest.
        selection.singles.truncate(selection.remaining);
        selection
    }
}

fn entries(segment: &Segment) -> usize {
    usize::try_from(segment.len()).unwrap_or(usize::MAX)
}
