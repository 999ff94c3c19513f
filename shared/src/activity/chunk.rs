//! The entries of a user in five minutes: the sets from which all counts are computed.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::hour::{Hour, Slot};
use crate::ids::{AgentId, Signal, UserId};
use crate::logging::{Conversation, EntryOrder};

/// Bytes of an entry's time within its slot.
const OFFSET_BYTES: usize = 3;
/// Bytes of an entry in a set.
const ENTRY_BYTES: usize = OFFSET_BYTES + 16;

/// Place of an entry's set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkKey {
    /// Agent of the entries.
    pub agent_id: AgentId,
    /// Hour of the entries.
    pub hour: Hour,
    /// User of the entries.
    pub user_id: UserId,
    /// Five minutes of the entries.
    pub slot: Slot,
}

impl ChunkKey {
    /// Returns the place of the entries of `conversation` at `millis`, in Unix milliseconds.
    pub fn of(conversation: &Conversation, millis: i64) -> Self {
        Self {
            agent_id: conversation.agent_id.clone(),
            hour: Hour::of(millis),
            user_id: conversation.user_id.clone(),
            slot: Slot::of(millis),
        }
    }

    /// Returns the bytes of the entry of `order` in a set of this chunk.
    pub fn encode(&self, (millis, id): EntryOrder) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        // Five minutes have 300,000 milliseconds, which fit into three bytes.
        let offset = (millis - self.slot.start(self.hour)) as u32;
        bytes[..OFFSET_BYTES].copy_from_slice(&offset.to_be_bytes()[1..]);
        bytes[OFFSET_BYTES..].copy_from_slice(id.as_bytes());
        bytes
    }

    /// Parses the bytes of an entry in a set of this chunk.
    pub fn decode(&self, bytes: &[u8]) -> Option<EntryOrder> {
        let (offset, id) = bytes.split_at_checked(OFFSET_BYTES)?;
        let offset = offset.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
        Some((self.slot.start(self.hour) + offset, Uuid::from_slice(id).ok()?))
    }
}

/// The entries of a user in five minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Place of the entries.
    pub key: ChunkKey,
    /// Set of the entries of each signal.
    pub sets: BTreeMap<Signal, BTreeSet<EntryOrder>>,
}

impl Chunk {
    /// Creates the empty chunk at `key`.
    pub fn new(key: ChunkKey) -> Self {
        Self { key, sets: BTreeMap::new() }
    }

    /// Adds the entry of `order` with `signal`.
    pub fn add(&mut self, order: EntryOrder, signal: Signal) {
        self.sets.entry(signal).or_default().insert(order);
    }

    /// Returns whether the entry of `order` is in one of the sets.
    pub fn contains(&self, order: EntryOrder) -> bool {
        self.sets.values().any(|orders| orders.contains(&order))
    }

    /// Removes all entries of `other`.
    pub fn subtract(&mut self, other: &Self) {
        for (signal, orders) in &mut self.sets {
            if let Some(others) = other.sets.get(signal) {
                orders.retain(|order| !others.contains(order));
            }
        }
        self.sets.retain(|_, orders| !orders.is_empty());
    }

    /// Returns each entry once, with its signal, in order of time. Two requests that race can store two versions of an
    /// entry with different signals. Such an entry has the first signal by name.
    pub fn entries(&self) -> impl Iterator<Item = (EntryOrder, &Signal)> {
        let mut entries = BTreeMap::new();
        for (signal, orders) in &self.sets {
            for order in orders {
                entries.entry(*order).or_insert(signal);
            }
        }
        entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(millis: i64) -> ChunkKey {
        let conversation = Conversation {
            agent_id: AgentId::try_from("a").expect("an agent"),
            user_id: UserId::try_from("u").expect("a user"),
        };
        ChunkKey::of(&conversation, millis)
    }

    #[test]
    fn entry_with_two_signals_counts_once() {
        let mut chunk = Chunk::new(key(0));
        let [a, b] = [(1, Uuid::nil()), (2, Uuid::max())];
        let [neutral, stressed] = ["neutral", "stressed"].map(|name| Signal::try_from(name).expect("a signal"));
        for (order, signal) in [(b, &stressed), (a, &stressed), (a, &neutral)] {
            chunk.add(order, signal.clone());
        }
        assert_eq!(chunk.entries().collect::<Vec<_>>(), [(a, &neutral), (b, &stressed)]);
    }

    proptest! {
        #[test]
        fn entries_read_back_from_their_bytes(millis in 0..9_999_999_999_999_i64, id in any::<u128>()) {
            let (key, order) = (key(millis), (millis, Uuid::from_u128(id)));
            prop_assert_eq!(key.decode(&key.encode(order)), Some(order));
        }
    }
}
