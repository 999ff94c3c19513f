//! The weighted lexicon: what each term of a text says of the four signals.

use super::features::each_term;
use super::verdict::{Matched, Verdict};
use crate::ids::Signal;

include!(concat!(env!("OUT_DIR"), "/lexicon.rs"));

const SIGNALS: usize = 4;
/// The most terms that a verdict names.
const MAX_MATCHED: usize = 5;
/// Weights are kept in hundredths.
const UNIT: f64 = 100.0;
const WORD_BITS: usize = 64;

/// The signal for which the terms of `text` weigh most, each counted once. Nothing is allocated before it is found.
pub(super) fn judge(text: &str) -> Verdict {
    let mut seen = [0u64; TERM_COUNT.div_ceil(WORD_BITS)];
    let mut sums = BIAS.map(i32::from);
    let mut strongest = Strongest::default();
    each_term(text, &mut |term| {
        let Some(place) = find(term) else { return };
        let bit = 1 << (place % WORD_BITS);
        if seen[place / WORD_BITS] & bit == 0 {
            seen[place / WORD_BITS] |= bit;
            for (sum, weight) in sums.iter_mut().zip(WEIGHTS[place]) {
                *sum += i32::from(weight);
            }
            strongest.offer(place);
        }
    });
    let winner = largest(&sums);
    let matched = strongest.places().map(|place| {
        let weights = WEIGHTS[place].map(i32::from);
        let signal = largest(&weights);
        Matched {
            term: String::from_utf8_lossy(term_at(place)).into_owned(),
            signal: Signal::standard(signal),
            weight: relative_weight(&weights, signal),
        }
    });
    Verdict {
        signal: Signal::standard(winner),
        score: probability(&sums, winner),
        matched: matched.collect(),
        version: VERSION,
    }
}

/// The few terms seen that speak most clearly, clearest first.
#[derive(Default)]
struct Strongest {
    /// Clarity and place of each.
    terms: [(i32, usize); MAX_MATCHED],
}

impl Strongest {
    fn offer(&mut self, place: usize) {
        let weights = WEIGHTS[place].map(i32::from);
        let clarity = weights[largest(&weights)] * 4 - weights.iter().sum::<i32>();
        let rank = self.terms.partition_point(|(other, _)| *other >= clarity);
        if let Some(behind) = self.terms.get_mut(rank..).filter(|behind| !behind.is_empty()) {
            behind.rotate_right(1);
            behind[0] = (clarity, place);
        }
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.terms.iter().filter(|(clarity, _)| *clarity > 0).map(|(_, place)| *place)
    }
}

fn term_at(place: usize) -> &'static [u8] {
    let start = place.checked_sub(1).map_or(0, |before| ENDS[before]);
    TEXT.as_bytes().get(start as usize..ENDS[place] as usize).unwrap_or_default()
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

/// What a term says for `signal` more than for the mean of all.
fn relative_weight(weights: &[i32; SIGNALS], signal: usize) -> f64 {
    f64::from(weights[signal] * 4 - weights.iter().sum::<i32>()) / (4.0 * UNIT)
}

/// The model's probability of `signal`, to three decimals.
fn probability(sums: &[i32; SIGNALS], signal: usize) -> f64 {
    let others: f64 = sums.iter().map(|sum| (f64::from(sum - sums[signal]) / UNIT).exp()).sum();
    (1e3 / others).round() / 1e3
}
