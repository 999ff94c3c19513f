//! Storing an event and judging it: put first, then read, then judge.
//!
//! Requests of one user run at the same time in many sandboxes. Each stores its event before it reads, and reads
//! strongly; so of several at once the one that reads last sees all of them. It judges not only its own event but
//! every later one that its event counts for, so none is left unjudged, whatever the order.

use futures_util::future::try_join_all;
use serde_json::Value;

use super::anomaly::Anomaly;
use super::detection::{Occurrence, judge, neighbourhood};
use super::event::ReceivedEvent;
use super::key::EventKey;
use super::store::{FoundEvent, KeyRange, Order, Put, PutEvent, QueryEvents, RaiseAnomaly};
use crate::aws::StoreError;
use crate::config::{Detection, Retention};
use crate::ids::{AgentId, UserId};
use crate::time::Timestamp;

/// What became of an event.
#[derive(Clone, Debug)]
pub enum Ingested {
    /// It is stored and judged.
    Stored(Receipt),
    /// It was stored before; this is what was answered then, with the anomaly as it stands now.
    Duplicate(Receipt),
    /// Another event is stored under the same id and time; nothing has changed.
    Conflict,
}

/// What is known of an event that is stored and judged.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The key under which it is stored.
    pub key: EventKey,
    /// When it was taken in.
    pub received_at: Timestamp,
    /// The anomalies that it is, or counts for.
    pub anomalies: Vec<Anomaly>,
}

impl Receipt {
    /// The event's own anomaly, else the gravest that it caused for a later event, of the agents that `sees` names.
    pub fn into_anomaly(self, sees: impl Fn(&AgentId) -> bool) -> Option<Anomaly> {
        let Self { key, mut anomalies, .. } = self;
        anomalies.retain(|anomaly| sees(&anomaly.key.agent_id));
        anomalies.into_iter().max_by_key(|anomaly| (anomaly.key == key, anomaly.severity, anomaly.count))
    }
}

/// Where events and anomalies go, and by what rule.
#[derive(Clone, Debug)]
pub struct Monitor<E, A> {
    /// The table of events.
    pub events: E,
    /// The table of anomalies.
    pub anomalies: A,
    /// When events are too many.
    pub detection: Detection,
    /// How long items are kept.
    pub retention: Retention,
}

impl<E: PutEvent + QueryEvents + Sync, A: RaiseAnomaly + Sync> Monitor<E, A> {
    /// Stores `event` and judges it, and every later event that it counts for.
    ///
    /// # Errors
    /// When a table does not answer. The event may be stored nonetheless: sending it again with its id is safe.
    pub async fn ingest(&self, event: ReceivedEvent) -> Result<Ingested, StoreError> {
        let put = self.events.put(&event, self.retention.event_expiry(event.received_at)).await?;
        let received_at = match &put {
            Put::New => event.received_at,
            Put::Found(found) if is_same(found, &event) => found.received_at,
            Put::Found(_) => return Ok(Ingested::Conflict),
        };
        let anomalies = self.judge_from(&event.user_id, &event.key, received_at).await?;
        let receipt = Receipt { key: event.key, received_at, anomalies };
        Ok(match put {
            Put::New => Ingested::Stored(receipt),
            Put::Found(_) => Ingested::Duplicate(receipt),
        })
    }

    /// Judges the stored event under `key` and the later ones that it counts for, and stores the anomalies found.
    async fn judge_from(
        &self,
        user: &UserId,
        key: &EventKey,
        received_at: Timestamp,
    ) -> Result<Vec<Anomaly>, StoreError> {
        let occurrences = self.around(user, key).await?;
        let mut anomalies = judge(user, &occurrences, &self.detection);
        anomalies.retain(|anomaly| anomaly.key >= *key);
        let expires_at = self.retention.anomaly_expiry(received_at);
        try_join_all(anomalies.iter().map(|anomaly| self.anomalies.raise(anomaly, expires_at))).await?;
        Ok(anomalies)
    }

    /// The events that the one under `key` is judged with, or counts for, in the order of their keys.
    ///
    /// In a flood that is more than a page holds. Then the verdicts rest on the nearest `window.max_items` events on
    /// either side, and these are read from `key` outwards.
    async fn around(&self, user: &UserId, key: &EventKey) -> Result<Vec<Occurrence>, StoreError> {
        let max_items = self.detection.max_items;
        let (first, last) = neighbourhood(key.time, &self.detection);
        let (from, to) = (EventKey::lower_bound(first), EventKey::upper_bound(last));
        let whole = KeyRange { from: from.clone(), to: to.clone(), order: Order::OldestFirst };
        let page = self.events.query(user, &whole, max_items).await?;
        if !page.more {
            return Ok(page.events);
        }
        let before = KeyRange { from, to: key.to_string(), order: Order::NewestFirst };
        // The next text after the key itself: the range begins behind it.
        let after = KeyRange { from: format!("{key}\u{0}"), to, order: Order::OldestFirst };
        let (before, after) = futures_util::future::try_join(
            self.events.query(user, &before, max_items),
            self.events.query(user, &after, max_items),
        )
        .await?;
        Ok(before.events.into_iter().rev().chain(after.events).collect())
    }
}

/// Whether what was found is `event` sent again. Payloads are compared as JSON: order and white space do not matter.
fn is_same(found: &FoundEvent, event: &ReceivedEvent) -> bool {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    found.signal_type == event.signal_type
        && (found.payload == event.payload || json(&found.payload) == json(&event.payload))
}
