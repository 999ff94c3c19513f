//! In-memory tables of events and anomalies, with the guarantees of DynamoDB, and with flaws on demand.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use shared::aws::PutResult;
use shared::ids::{SignalType, UserId};
use shared::integrity::Anomaly;
use shared::integrity::detection::{StoredCount, WindowEvent};
use shared::integrity::event::{Dedup, ReceivedEvent};
use shared::integrity::key::EventKey;
use shared::integrity::store::{Direction, ExistingEvent, KeyRange, WindowEvents};
use shared::time::Timestamp;

/// Number of the last puts that a stale read misses.
const STALE_PUTS: usize = 2;

/// Location of an item: its user and its sort key.
pub type ItemKey = (UserId, String);

/// An event as stored in the table.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Position among the user's events.
    pub key: EventKey,
    /// Kind of the event.
    pub signal_type: SignalType,
    /// Time by the caller's clock.
    pub timestamp: Timestamp,
    /// Digest of the payload.
    pub payload_digest: String,
    /// Time of receipt.
    pub received_at: Timestamp,
}

/// Operation on a table. Each takes effect at one instant.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A conditional put.
    Put(ReceivedEvent),
    /// A strongly consistent query.
    Query(UserId, KeyRange, u32),
    /// A conditional update.
    Raise(Anomaly),
    /// A strongly consistent query of the anomalies from one key to another.
    StoredCounts(UserId, EventKey, EventKey),
    /// A strongly consistent query of the first anomaly in a range.
    Latest(UserId, KeyRange),
}

/// Reply of a table.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Reply to a put.
    Put(PutResult<ExistingEvent>),
    /// Reply to a query.
    Query(WindowEvents),
    /// Reply to an update: whether its condition held, which is hidden from the code under test.
    Raise(bool),
    /// Reply to a query of anomalies.
    StoredCounts(HashMap<String, u32>),
    /// Reply to a query of the first anomaly in a range.
    Latest(Option<StoredCount>),
}

/// Condition of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// Correct: only if the new count is larger.
    #[default]
    Larger,
    /// Flaw: always.
    Always,
}

/// Removed guarantees, to verify that the difference is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flaws {
    /// Stores only the anomalies of the sent events, not those of later ones.
    pub own_anomalies_only: bool,
    /// Lets any query miss the last puts.
    pub weak_reads: bool,
    /// Disables the stream.
    pub no_stream: bool,
    /// Detects duplicates by the key alone, even for events whose time may change.
    pub no_records: bool,
    /// Condition of an update.
    pub update: Update,
}

/// Tables of events and anomalies.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// All events.
    pub events: BTreeMap<ItemKey, Stored>,
    /// All anomalies.
    pub anomalies: BTreeMap<ItemKey, Anomaly>,
    /// Events that the stream has yet to deliver.
    pub inserted: Vec<(UserId, EventKey)>,
    flaws: Flaws,
    full_page_says_more: bool,
    records: BTreeMap<ItemKey, ExistingEvent>,
    newest: Vec<ItemKey>,
}

impl Tables {
    /// Creates empty tables, sound or flawed. A full page may report more items even if it holds the last one, as
    /// DynamoDB's pages do.
    pub fn new(flaws: Flaws, full_page_says_more: bool) -> Self {
        Self { flaws, full_page_says_more, ..Self::default() }
    }

    /// Performs `operation`. A `stale` query misses the last puts.
    pub fn apply(&mut self, operation: &Operation, stale: bool) -> Reply {
        match operation {
            Operation::Put(event) => Reply::Put(self.put(event)),
            Operation::Query(user, range, limit) => Reply::Query(self.query(user, range, *limit as usize, stale)),
            Operation::Raise(anomaly) => Reply::Raise(self.raise(anomaly)),
            Operation::StoredCounts(user, first, last) => Reply::StoredCounts(self.stored_counts(user, first, last)),
            Operation::Latest(user, range) => Reply::Latest(self.latest(user, range)),
        }
    }

    /// Stores an event, unless it was stored before.
    pub fn put(&mut self, event: &ReceivedEvent) -> PutResult<ExistingEvent> {
        if let Some(found) = self.found_by(event) {
            // The table's client distinguishes its own earlier attempt from another request's.
            let is_own = found.received_at == event.received_at && found.key == event.key && found.is_same(event);
            return if is_own { PutResult::Stored } else { PutResult::Existing(found) };
        }
        let item_key = item_key(&event.user_id, &event.key);
        let stored = Stored {
            key: event.key.clone(),
            signal_type: event.signal_type.clone(),
            timestamp: event.timestamp,
            payload_digest: event.payload.digest().to_owned(),
            received_at: event.received_at,
        };
        if event.dedup == Dedup::ByRecord {
            self.records.insert(record_key(event), found(&stored));
        }
        self.events.insert(item_key.clone(), stored);
        self.inserted.push((event.user_id.clone(), event.key.clone()));
        self.newest.push(item_key);
        PutResult::Stored
    }

    /// Returns the stored event that conflicts with a put of `event`.
    fn found_by(&self, event: &ReceivedEvent) -> Option<ExistingEvent> {
        let asks_record = event.dedup == Dedup::ByRecord && !self.flaws.no_records;
        let recorded = asks_record.then(|| self.records.get(&record_key(event)).cloned()).flatten();
        recorded.or_else(|| self.events.get(&item_key(&event.user_id, &event.key)).map(found))
    }

    /// Returns whether `operation` is a write that can never change anything: items are never removed, and counts only
    /// grow.
    pub fn is_settled(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Put(event) => self.found_by(event).is_some(),
            Operation::Raise(anomaly) => self.flaws.update != Update::Always && !self.takes_effect(anomaly),
            Operation::Query(..) | Operation::StoredCounts(..) | Operation::Latest(..) => false,
        }
    }

    fn query(&self, user: &UserId, range: &KeyRange, limit: usize, stale: bool) -> WindowEvents {
        if range.from > range.to {
            return WindowEvents { events: Vec::new(), more: false };
        }
        let unseen = &self.newest[self.newest.len().saturating_sub(if stale { STALE_PUTS } else { 0 })..];
        let mut events: Vec<WindowEvent> = self
            .events
            .range((user.clone(), range.from.clone())..=(user.clone(), range.to.clone()))
            .filter(|(item_key, _)| !unseen.contains(item_key))
            .map(|(_, stored)| WindowEvent {
                key: stored.key.clone(),
                signal_type: stored.signal_type.clone(),
                received_at: stored.received_at,
            })
            .collect();
        if range.direction == Direction::NewestFirst {
            events.reverse();
        }
        let more = events.len() > limit || self.full_page_says_more && events.len() == limit;
        events.truncate(limit);
        WindowEvents { events, more }
    }

    fn raise(&mut self, anomaly: &Anomaly) -> bool {
        let takes_effect = self.takes_effect(anomaly);
        if takes_effect {
            self.anomalies.insert(item_key(&anomaly.user_id, &anomaly.key), anomaly.clone());
        }
        takes_effect
    }

    fn takes_effect(&self, anomaly: &Anomaly) -> bool {
        self.anomalies.get(&item_key(&anomaly.user_id, &anomaly.key)).is_none_or(|there| match self.flaws.update {
            Update::Larger => there.count < anomaly.count,
            Update::Always => true,
        })
    }

    fn stored_counts(&self, user: &UserId, first: &EventKey, last: &EventKey) -> HashMap<String, u32> {
        let range = item_key(user, first)..=item_key(user, last);
        let counted = |((_, text), anomaly): (&ItemKey, &Anomaly)| (text.clone(), anomaly.count);
        self.anomalies.range(range).map(counted).collect()
    }

    fn latest(&self, user: &UserId, range: &KeyRange) -> Option<StoredCount> {
        let places = (user.clone(), range.from.clone())..=(user.clone(), range.to.clone());
        let mut anomalies = self.anomalies.range(places).map(|(_, anomaly)| anomaly);
        let anomaly = match range.direction {
            Direction::OldestFirst => anomalies.next(),
            Direction::NewestFirst => anomalies.next_back(),
        }?;
        let Anomaly { key, count, window_start, .. } = anomaly.clone();
        Some(StoredCount { key, count, window_start })
    }
}

/// Hashes everything that the future depends on.
impl Hash for Tables {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (item_key, stored) in &self.events {
            (item_key, &stored.signal_type, &stored.payload_digest, stored.received_at).hash(state);
        }
        for ((_, record), found) in &self.records {
            (record, found.key.time).hash(state);
        }
        for (item_key, anomaly) in &self.anomalies {
            (item_key, anomaly.count, anomaly.window_start).hash(state);
        }
        if self.flaws.weak_reads {
            self.newest[self.newest.len().saturating_sub(STALE_PUTS)..].hash(state);
        }
    }
}

impl Operation {
    /// Returns whether the operation can change a table.
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Put(_) | Self::Raise(_))
    }
}

impl Hash for Operation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Put(event) => {
                hash_key(&event.key, state);
                (0, &event.user_id, event.received_at, &event.signal_type, event.payload.digest()).hash(state);
            }
            Self::Query(user, range, limit) => {
                (1, user, &range.from, &range.to, range.direction == Direction::OldestFirst, limit).hash(state);
            }
            Self::Raise(anomaly) => {
                hash_key(&anomaly.key, state);
                (2, &anomaly.user_id, anomaly.count, anomaly.window_start).hash(state);
            }
            Self::StoredCounts(user, first, last) => {
                hash_key(first, state);
                hash_key(last, state);
                (3, user).hash(state);
            }
            Self::Latest(user, range) => {
                (4, user, &range.from, &range.to, range.direction == Direction::OldestFirst).hash(state);
            }
        }
    }
}

/// Hashes everything that the caller learns.
impl Hash for Reply {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Put(PutResult::Stored) => 0.hash(state),
            Self::Put(PutResult::Existing(found)) => {
                hash_key(&found.key, state);
                (1, found.timestamp, found.received_at, &found.signal_type, &found.payload_digest).hash(state);
            }
            Self::Query(found) => {
                for event in &found.events {
                    hash_key(&event.key, state);
                    (event.received_at, &event.signal_type).hash(state);
                }
                (2, found.more).hash(state);
            }
            Self::Raise(_) => 3.hash(state),
            Self::StoredCounts(counted) => {
                let counted: BTreeMap<_, _> = counted.iter().collect();
                (4, counted).hash(state);
            }
            Self::Latest(latest) => {
                5.hash(state);
                if let Some(StoredCount { key, count, window_start }) = latest {
                    hash_key(key, state);
                    (count, window_start).hash(state);
                }
            }
        }
    }
}

/// Returns the location of the item under `key`.
pub fn item_key(user: &UserId, key: &EventKey) -> ItemKey {
    (user.clone(), key.to_string())
}

fn record_key(event: &ReceivedEvent) -> ItemKey {
    (event.user_id.clone(), format!("{}#{}", event.key.agent_id, event.key.event_id))
}

fn hash_key(key: &EventKey, state: &mut impl Hasher) {
    (key.time, &key.agent_id, &key.event_id).hash(state);
}

fn found(stored: &Stored) -> ExistingEvent {
    ExistingEvent {
        key: stored.key.clone(),
        signal_type: stored.signal_type.clone(),
        timestamp: stored.timestamp,
        payload_digest: stored.payload_digest.clone(),
        received_at: stored.received_at,
    }
}
