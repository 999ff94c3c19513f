//! The weighted lexicon: the strength with which each term of a text supports each of the four signals.

use super::features::each_term;
use super::verdict::{Matched, Verdict};
use crate::ids::Signal;

include!(concat!(env!("OUT_DIR"), "/lexicon.rs"));

const SIGNALS: usize = 4;
/// Maximum number of terms named in a verdict.
const MAX_MATCHED: usize = 5;
/// Minimum weight of a term for a signal above its mean weight over all signals to support that signal: 0.4.
const MIN_SUPPORT: i32 = 160;
/// Scale of the stored weights, which are in hundredths.
const UNIT: f64 = 100.0;
const WORD_BITS: usize = 64;

/// Returns the signal with the largest total weight of the terms of `text`, each counted once. Allocates nothing until
/// the signal is known.
pub(super) fn judge(text: &str) -> Verdict {
    let mut seen = Seen::default();
    let mut sums = BIAS.map(i32::from);
    each_term(text, &mut |term| {
        if let Some(place) = find(term).filter(|place| seen.insert(*place)) {
            for (sum, weight) in sums.iter_mut().zip(WEIGHTS[place]) {
                *sum += i32::from(weight);
            }
        }
    });
    let winner = largest(&sums);
    let signal = Signal::standard(winner);
    let matched = if signal == Signal::neutral() { Vec::new() } else { explain(&seen, winner) };
    Verdict { score: probability(&sums, winner), matched, version: VERSION, signal }
}

/// The terms of a text, by position in the lexicon.
struct Seen {
    bits: [u64; TERM_COUNT.div_ceil(WORD_BITS)],
}

impl Default for Seen {
    fn default() -> Self {
        Self { bits: [0; _] }
    }
}

impl Seen {
    /// Adds `place`. Returns false if it was already present.
    fn insert(&mut self, place: usize) -> bool {
        let (word, bit) = (&mut self.bits[place / WORD_BITS], 1 << (place % WORD_BITS));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.bits.iter().enumerate().flat_map(|(index, word)| {
            let first = index * WORD_BITS;
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.wrapping_sub(1);
                (bit < WORD_BITS).then_some(first + bit)
            })
        })
    }
}

/// Returns the few terms that support `signal` most, strongest first. A term that is part of a stronger one is left
/// out.
fn explain(seen: &Seen, signal: usize) -> Vec<Matched> {
    let mut supporting: Vec<_> = seen
        .places()
        .map(|place| (support(place, signal), place))
        .filter(|(support, _)| *support >= MIN_SUPPORT)
        .collect();
    supporting.sort_by_key(|(support, _)| std::cmp::Reverse(*support));
    let mut matched: Vec<Matched> = Vec::new();
    for (support, place) in supporting {
        let term = String::from_utf8_lossy(term_at(place)).into_owned();
        if matched.len() < MAX_MATCHED && !matched.iter().any(|stronger| stronger.term.contains(&term)) {
            let weight = f64::from(support) / (4.0 * UNIT);
            matched.push(Matched { term, signal: Signal::standard(signal), weight });
        }
    }
    matched
}

/// Returns the weight of the term at `place` for `signal` above its mean weight over all signals, in 1 / (4 ×
/// [`UNIT`]).
fn support(place: usize, signal: usize) -> i32 {
    let weights = WEIGHTS[place].map(i32::from);
    weights[signal] * 4 - weights.iter().sum::<i32>()
}

fn term_at(place: usize) -> &'static [u8] {
    let start = place.checked_sub(1).map_or(0, |before| ENDS[before]);
    TEXT.as_bytes().get(start as usize..ENDS[place] as usize).unwrap_or_default()
}

/// Returns the terms of the lexicon.
#[cfg(test)]
pub(super) fn terms() -> impl Iterator<Item = String> {
    (0..TERM_COUNT).map(|place| String::from_utf8_lossy(term_at(place)).into_owned())
}

fn find(term: &[u8]) -> Option<usize> {
    let (mut low, mut high) = (0, TERM_COUNT);
    while low < high {
        let middle = low.midpoint(high);
        match term_at(middle).cmp(term) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Some(middle),
        }
    }
    None
}

fn largest(sums: &[i32; SIGNALS]) -> usize {
    (1..SIGNALS).fold(0, |best, signal| if sums[signal] > sums[best] { signal } else { best })
}

/// Returns the probability that `signal`, the winner of `sums`, is right, to three decimals: a logistic function of its
/// lead over the runner-up (Platt, 1999). The lexicon stores its slope and offset.
fn probability(sums: &[i32; SIGNALS], signal: usize) -> f64 {
    let others = sums.iter().enumerate().filter(|(other, _)| *other != signal).map(|(_, sum)| *sum);
    let margin = f64::from(sums[signal] - others.max().unwrap_or(sums[signal])) / UNIT;
    let logit = margin * f64::from(SLOPE[signal]) / UNIT + f64::from(OFFSET[signal]) / UNIT;
    (1e3 / (1.0 + (-logit).exp())).round() / 1e3
}
