//! The tables of events, of anomalies and of episodes, and the capabilities that functions need of them.

mod anomalies;
mod cursor;
mod episodes;
mod events;
mod item;
mod query;

use std::collections::HashMap;

pub use anomalies::{AnomalyTable, EpisodePage, SeenEpisode, stored_anomaly};
pub use cursor::Cursor;
pub use episodes::EpisodeTable;
pub use events::EventTable;

use super::anomaly::Anomaly;
use super::detection::Occurrence;
use super::event::ReceivedEvent;
use super::key::EventKey;
use crate::aws::StoreError;
use crate::ids::{SignalType, UserId};
use crate::time::Timestamp;

const STORE: &str = "dynamodb";

/// Stores an event.
pub trait PutEvent {
    /// Stores `event` with its payload, unless it was stored before; `expires_at` is in Unix seconds.
    fn put(
        &self,
        event: &ReceivedEvent,
        expires_at: Option<i64>,
    ) -> impl Future<Output = Result<Put, StoreError>> + Send;
}

/// What became of a put.
#[derive(Clone, Debug)]
pub enum Put {
    /// The event is stored.
    New,
    /// An event was there with the same identity; nothing has changed.
    Found(FoundEvent),
}

/// The event that was there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEvent {
    /// The key under which it is stored.
    pub key: EventKey,
    /// Its kind.
    pub signal_type: SignalType,
    /// The time that its caller gave.
    pub timestamp: Timestamp,
    /// Of its payload, see [`super::payload::Payload::digest`].
    pub payload_digest: String,
    /// When it was taken in.
    pub received_at: Timestamp,
}

impl FoundEvent {
    /// Whether it is `event` sent again.
    pub fn is_same(&self, event: &ReceivedEvent) -> bool {
        self.signal_type == event.signal_type
            && self.timestamp == event.timestamp
            && self.payload_digest == event.payload.digest()
    }
}

/// Reads the events of a user in the order of their keys.
pub trait QueryEvents {
    /// At most `limit` events of `user` in `range`, read strongly.
    fn query(
        &self,
        user: &UserId,
        range: &KeyRange,
        limit: u32,
    ) -> impl Future<Output = Result<Occurrences, StoreError>> + Send;
}

/// A stretch of sort keys, both ends included, and the end to begin at.
#[derive(Clone, Debug)]
pub struct KeyRange {
    /// The lowest key.
    pub from: String,
    /// The highest key.
    pub to: String,
    /// Which end comes first.
    pub order: Order,
}

/// In what order items are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the lowest key on.
    OldestFirst,
    /// From the highest key on.
    NewestFirst,
}

/// A part of a user's events.
#[derive(Clone, Debug)]
pub struct Occurrences {
    /// In the order asked for.
    pub events: Vec<Occurrence>,
    /// Whether the limit cut some off.
    pub more: bool,
}

/// Stores anomalies.
pub trait RaiseAnomaly {
    /// Stores `anomaly`, unless what is stored under its key counts as many already; `expires_at` is in Unix seconds.
    fn raise(&self, anomaly: &Anomaly, expires_at: Option<i64>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The counts of the stored anomalies of `user` with keys from `first` to `last`, read strongly.
    fn counted(
        &self,
        user: &UserId,
        first: &EventKey,
        last: &EventKey,
    ) -> impl Future<Output = Result<HashMap<String, u32>, StoreError>> + Send;

    /// The stored anomaly of `user` that comes first in `range`, read strongly.
    fn latest(
        &self,
        user: &UserId,
        range: &KeyRange,
    ) -> impl Future<Output = Result<Option<StoredCount>, StoreError>> + Send;
}

/// The count of a stored anomaly. As events come in it only grows, until it is `window.max_items`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCount {
    /// The key of the anomaly.
    pub key: EventKey,
    /// As in [`Anomaly`].
    pub count: u32,
    /// As in [`Anomaly`].
    pub window_start: Timestamp,
}

/// What a reader of events or anomalies asks for, newest first.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Not before this time.
    pub since: Timestamp,
    /// Not after this time.
    pub until: Timestamp,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// What was received later than this is left out, so that the pages of a list show one state of it.
    pub received_until: Timestamp,
    /// The most items to return.
    pub limit: usize,
}

impl Slice {
    fn shows(&self, received_at: Timestamp) -> bool {
        received_at <= self.received_until
    }
}

/// Chooses the items of a user that are shown.
#[derive(Clone, Copy, Debug)]
pub struct Reader<S, A> {
    /// Whether the reader may see the items of an agent.
    pub sees: S,
    /// Whether the reader asks for an item.
    pub asks_for: A,
}

/// A part of what a reader asked for.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Where the page ended, if there may be more.
    pub next: Option<Cursor>,
}
