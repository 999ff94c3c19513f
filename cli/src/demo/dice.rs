//! Pseudorandom numbers that are the same in every run.

use sha2::{Digest, Sha256};

/// A sequence of numbers that depends only on its seed (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// Creates the sequence of `seed`.
    pub fn of(seed: &str) -> Self {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&Sha256::digest(seed)[..8]);
        Self(u64::from_be_bytes(bytes))
    }

    /// Returns the next number, from 0 to `end` - 1.
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        u32::try_from(z % u64::from(end.max(1))).unwrap_or_default()
    }

    /// Returns an index into `weights`. An index with twice the weight is twice as frequent.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// Returns one of `items`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let end = u32::try_from(items.len()).ok()?;
        items.get(self.below(end) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_repeat_by_seed_and_follow_weights() {
        let roll = |seed| {
            let mut dice = Dice::of(seed);
            [0; 6].map(|_| dice.below(1_000))
        };
        assert_eq!(roll("a"), roll("a"));
        assert_ne!(roll("a"), roll("b"));
        let mut dice = Dice::of("weights");
        let mut counts = [0; 3];
        for _ in 0..1_000 {
            counts[dice.weighted(&[1, 0, 3])] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((150..350).contains(&counts[0]), "{counts:?}");
    }
}
