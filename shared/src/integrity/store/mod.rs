//! Stores for events and anomalies, and the traits that functions use to access them.

mod anomalies;
mod cursor;
mod events;
mod item;
mod query;

use std::collections::HashMap;

pub use anomalies::{AnomalyTable, stored_anomaly};
pub use cursor::Cursor;
pub use events::EventTable;

use super::anomaly::Anomaly;
use super::detection::{StoredCount, WindowEvent};
use super::event::ReceivedEvent;
use super::key::EventKey;
use crate::aws::{PutResult, StoreError};
use crate::ids::{SignalType, UserId};
use crate::time::Timestamp;

/// Stores an event.
pub trait PutEvent {
    /// Stores `event` with its payload, unless it was stored before. `expires_at` is in Unix seconds.
    fn put(
        &self,
        event: &ReceivedEvent,
        expires_at: Option<i64>,
    ) -> impl Future<Output = Result<PutResult<ExistingEvent>, StoreError>> + Send;
}

/// An event that already exists in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingEvent {
    /// Key of the stored event.
    pub key: EventKey,
    /// Kind of the event.
    pub signal_type: SignalType,
    /// Time by the caller's clock.
    pub timestamp: Timestamp,
    /// Digest of the payload, see [`super::payload::Payload::digest`].
    pub payload_digest: String,
    /// Time of receipt.
    pub received_at: Timestamp,
}

impl ExistingEvent {
    /// Returns whether the stored event is a previous copy of `event`.
    pub fn is_same(&self, event: &ReceivedEvent) -> bool {
        self.signal_type == event.signal_type
            && self.timestamp == event.timestamp
            && self.payload_digest == event.payload.digest()
    }
}

/// Reads the events of a user in key order.
pub trait QueryEvents {
    /// Returns at most `limit` events of `user` in `range`, using strongly consistent reads.
    fn query(
        &self,
        user: &UserId,
        range: &KeyRange,
        limit: u32,
    ) -> impl Future<Output = Result<WindowEvents, StoreError>> + Send;
}

/// A range of sort keys, both ends included, and the direction of reading.
#[derive(Clone, Debug)]
pub struct KeyRange {
    /// Lowest key.
    pub from: String,
    /// Highest key.
    pub to: String,
    /// Direction of reading.
    pub direction: Direction,
}

/// Direction in which items are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Starts at the lowest key.
    OldestFirst,
    /// Starts at the highest key.
    NewestFirst,
}

/// Part of a user's events.
#[derive(Clone, Debug)]
pub struct WindowEvents {
    /// Events in the requested order.
    pub events: Vec<WindowEvent>,
    /// `true` if the limit cut off further events.
    pub more: bool,
}

/// Stores anomalies.
pub trait RaiseAnomaly {
    /// Stores `anomaly`, unless the anomaly stored under its key has at least the same count. `expires_at` is in Unix
    /// seconds.
    fn raise(&self, anomaly: &Anomaly, expires_at: Option<i64>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns the counts of the stored anomalies of `user` with keys from `first` to `last`, using strongly consistent
    /// reads.
    fn stored_counts(
        &self,
        user: &UserId,
        first: &EventKey,
        last: &EventKey,
    ) -> impl Future<Output = Result<HashMap<String, u32>, StoreError>> + Send;

    /// Returns the first stored anomaly of `user` in `range`, using a strongly consistent read.
    fn latest(
        &self,
        user: &UserId,
        range: &KeyRange,
    ) -> impl Future<Output = Result<Option<StoredCount>, StoreError>> + Send;
}

/// Request for a page of events or anomalies, newest first.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Earliest time.
    pub since: Timestamp,
    /// Latest time.
    pub until: Timestamp,
    /// End of the previous page.
    pub cursor: Option<Cursor>,
    /// Latest time of receipt. Later items are left out, so that the pages of a list show one state of it.
    pub received_until: Timestamp,
    /// Maximum number of items to return.
    pub limit: usize,
}

impl PageRequest {
    fn includes(&self, received_at: Timestamp) -> bool {
        received_at <= self.received_until
    }
}

/// Selects the items of a user that are shown to a caller.
#[derive(Clone, Copy, Debug)]
pub struct ItemFilter<S, A> {
    /// Returns whether the caller may see the items of an agent.
    pub can_access: S,
    /// Returns whether an item matches the query.
    pub matches: A,
}

/// A page of items.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Items, newest first.
    pub items: Vec<T>,
    /// End of the page, if there may be more items.
    pub next: Option<Cursor>,
}
