//! The two tables in memory, with the guarantees that DynamoDB gives, and with flaws on demand.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use shared::ids::{SignalType, UserId};
use shared::integrity::Anomaly;
use shared::integrity::detection::Occurrence;
use shared::integrity::event::{Identity, ReceivedEvent};
use shared::integrity::key::EventKey;
use shared::integrity::store::{FoundEvent, KeyRange, Occurrences, Order, Put, StoredCount};
use shared::time::Timestamp;

/// How many of the last puts a stale read does not see.
const STALE_PUTS: usize = 2;

/// Where an item is: its user and its sort key.
pub type Place = (UserId, String);

/// An event as the table has it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its place in the order.
    pub key: EventKey,
    /// Its kind.
    pub signal_type: SignalType,
    /// The time that its caller gave.
    pub timestamp: Timestamp,
    /// Of its payload.
    pub payload_digest: String,
    /// When it was taken in.
    pub received_at: Timestamp,
}

/// What is asked of a table. Each takes effect at one instant.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A conditional put.
    Put(ReceivedEvent),
    /// A strongly consistent query.
    Query(UserId, KeyRange, u32),
    /// A conditional update.
    Raise(Anomaly),
    /// A strongly consistent query of the anomalies from one key to another.
    Counted(UserId, EventKey, EventKey),
    /// A strongly consistent query of the first anomaly in a range.
    Latest(UserId, KeyRange),
}

/// What a table answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// To a put.
    Put(Put),
    /// To a query.
    Query(Occurrences),
    /// To an update: whether its condition held, which the code under test does not get to see.
    Raise(bool),
    /// To a query of anomalies.
    Counted(HashMap<String, u32>),
    /// To a query of the first anomaly in a range.
    Latest(Option<StoredCount>),
}

/// When an update takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Update {
    /// When it counts more, as it should.
    #[default]
    Larger,
    /// Flaw: always.
    Always,
}

/// What is taken away from the guarantees, to see that the difference is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flaws {
    /// Only the anomalies of the events that were sent are stored, not those of later ones.
    pub own_anomalies_only: bool,
    /// Any query may miss the last puts.
    pub weak_reads: bool,
    /// The stream tells of nothing.
    pub no_stream: bool,
    /// An event is known again by its key alone, whatever its time comes out as.
    pub no_markers: bool,
    /// When an update takes effect.
    pub update: Update,
}

/// The tables of events and anomalies.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// All events.
    pub events: BTreeMap<Place, Stored>,
    /// All anomalies.
    pub anomalies: BTreeMap<Place, Anomaly>,
    /// What the stream has yet to tell of.
    pub inserted: Vec<(UserId, EventKey)>,
    flaws: Flaws,
    full_page_says_more: bool,
    markers: BTreeMap<Place, FoundEvent>,
    newest: Vec<Place>,
}

impl Tables {
    /// Empty tables, sound or flawed. A full page may say that there may be more although it holds the last item, as
    /// DynamoDB's do.
    pub fn new(flaws: Flaws, full_page_says_more: bool) -> Self {
        Self { flaws, full_page_says_more, ..Self::default() }
    }

    /// Does what `operation` says. A query may be `stale`: then it does not see the last puts.
    pub fn apply(&mut self, operation: &Operation, stale: bool) -> Reply {
        match operation {
            Operation::Put(event) => Reply::Put(self.put(event)),
            Operation::Query(user, range, limit) => Reply::Query(self.query(user, range, *limit as usize, stale)),
            Operation::Raise(anomaly) => Reply::Raise(self.raise(anomaly)),
            Operation::Counted(user, first, last) => Reply::Counted(self.counted(user, first, last)),
            Operation::Latest(user, range) => Reply::Latest(self.latest(user, range)),
        }
    }

    /// Stores an event, unless it was stored before.
    pub fn put(&mut self, event: &ReceivedEvent) -> Put {
        if let Some(found) = self.found_by(event) {
            // The table's client tells its own earlier attempt from another's.
            let is_own = found.received_at == event.received_at && found.key == event.key && found.is_same(event);
            return if is_own { Put::New } else { Put::Found(found) };
        }
        let place = place(&event.user_id, &event.key);
        let stored = Stored {
            key: event.key.clone(),
            signal_type: event.signal_type.clone(),
            timestamp: event.timestamp,
            payload_digest: event.payload.digest().to_owned(),
            received_at: event.received_at,
        };
        if event.identity == Identity::Marked {
            self.markers.insert(marker_place(event), found(&stored));
        }
        self.events.insert(place.clone(), stored);
        self.inserted.push((event.user_id.clone(), event.key.clone()));
        self.newest.push(place);
        Put::New
    }

    /// What a put of `event` finds in its way.
    fn found_by(&self, event: &ReceivedEvent) -> Option<FoundEvent> {
        let asks_marker = event.identity == Identity::Marked && !self.flaws.no_markers;
        let marked = asks_marker.then(|| self.markers.get(&marker_place(event)).cloned()).flatten();
        marked.or_else(|| self.events.get(&place(&event.user_id, &event.key)).map(found))
    }

    /// Whether `operation` is a write that changes nothing, now and for ever: nothing is taken out of the tables, and what
    /// is counted only grows.
    pub fn is_settled(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Put(event) => self.found_by(event).is_some(),
            Operation::Raise(anomaly) => self.flaws.update != Update::Always && !self.takes_effect(anomaly),
            Operation::Query(..) | Operation::Counted(..) | Operation::Latest(..) => false,
        }
    }

    fn query(&self, user: &UserId, range: &KeyRange, limit: usize, stale: bool) -> Occurrences {
        if range.from > range.to {
            return Occurrences { events: Vec::new(), more: false };
        }
        let unseen = &self.newest[self.newest.len().saturating_sub(if stale { STALE_PUTS } else { 0 })..];
        let mut events: Vec<Occurrence> = self
            .events
            .range((user.clone(), range.from.clone())..=(user.clone(), range.to.clone()))
            .filter(|(place, _)| !unseen.contains(place))
            .map(|(_, stored)| Occurrence {
                key: stored.key.clone(),
                signal_type: stored.signal_type.clone(),
                received_at: stored.received_at,
            })
            .collect();
        if range.order == Order::NewestFirst {
            events.reverse();
        }
        let more = events.len() > limit || self.full_page_says_more && events.len() == limit;
        events.truncate(limit);
        Occurrences { events, more }
    }

    fn raise(&mut self, anomaly: &Anomaly) -> bool {
        let takes_effect = self.takes_effect(anomaly);
        if takes_effect {
            self.anomalies.insert(place(&anomaly.user_id, &anomaly.key), anomaly.clone());
        }
        takes_effect
    }

    fn takes_effect(&self, anomaly: &Anomaly) -> bool {
        self.anomalies.get(&place(&anomaly.user_id, &anomaly.key)).is_none_or(|there| match self.flaws.update {
            Update::Larger => there.count < anomaly.count,
            Update::Always => true,
        })
    }

    fn counted(&self, user: &UserId, first: &EventKey, last: &EventKey) -> HashMap<String, u32> {
        let range = place(user, first)..=place(user, last);
        let counted = |((_, text), anomaly): (&Place, &Anomaly)| (text.clone(), anomaly.count);
        self.anomalies.range(range).map(counted).collect()
    }

    fn latest(&self, user: &UserId, range: &KeyRange) -> Option<StoredCount> {
        let places = (user.clone(), range.from.clone())..=(user.clone(), range.to.clone());
        let mut anomalies = self.anomalies.range(places).map(|(_, anomaly)| anomaly);
        let anomaly = match range.order {
            Order::OldestFirst => anomalies.next(),
            Order::NewestFirst => anomalies.next_back(),
        }?;
        let Anomaly { key, count, window_start, .. } = anomaly.clone();
        Some(StoredCount { key, count, window_start })
    }
}

/// All that the future depends on.
impl Hash for Tables {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (place, stored) in &self.events {
            (place, &stored.signal_type, &stored.payload_digest, stored.received_at).hash(state);
        }
        for ((_, marker), found) in &self.markers {
            (marker, found.key.time).hash(state);
        }
        for (place, anomaly) in &self.anomalies {
            (place, anomaly.count, anomaly.window_start).hash(state);
        }
        if self.flaws.weak_reads {
            self.newest[self.newest.len().saturating_sub(STALE_PUTS)..].hash(state);
        }
    }
}

impl Operation {
    /// Whether it can change a table.
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
                (1, user, &range.from, &range.to, range.order == Order::OldestFirst, limit).hash(state);
            }
            Self::Raise(anomaly) => {
                hash_key(&anomaly.key, state);
                (2, &anomaly.user_id, anomaly.count, anomaly.window_start).hash(state);
            }
            Self::Counted(user, first, last) => {
                hash_key(first, state);
                hash_key(last, state);
                (3, user).hash(state);
            }
            Self::Latest(user, range) => {
                (4, user, &range.from, &range.to, range.order == Order::OldestFirst).hash(state);
            }
        }
    }
}

/// All that the one who asked gets to know.
impl Hash for Reply {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Put(Put::New) => 0.hash(state),
            Self::Put(Put::Found(found)) => {
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
            Self::Counted(counted) => {
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

/// Where the item under `key` is.
pub fn place(user: &UserId, key: &EventKey) -> Place {
    (user.clone(), key.to_string())
}

fn marker_place(event: &ReceivedEvent) -> Place {
    (event.user_id.clone(), format!("{}#{}", event.key.agent_id, event.key.event_id))
}

fn hash_key(key: &EventKey, state: &mut impl Hasher) {
    (key.time, &key.agent_id, &key.event_id).hash(state);
}

fn found(stored: &Stored) -> FoundEvent {
    FoundEvent {
        key: stored.key.clone(),
        signal_type: stored.signal_type.clone(),
        timestamp: stored.timestamp,
        payload_digest: stored.payload_digest.clone(),
        received_at: stored.received_at,
    }
}
