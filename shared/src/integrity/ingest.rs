//! Storing events and judging them: put first, then read, then judge.
//!
//! Requests of one user run at the same time in many sandboxes. Each stores its event before it reads, and reads
//! strongly; so of several at once the one that reads last sees all of them. It judges not only its own event but
//! every later one that its event counts for, so none is left unjudged, whatever the order.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use super::anomaly::Anomaly;
use super::detection::{Occurrence, judge, neighbourhood};
use super::event::ReceivedEvent;
use super::key::EventKey;
use super::store::{Counted, KeyRange, Order, Put, PutEvent, QueryEvents, RaiseAnomaly};
use crate::aws::StoreError;
use crate::config::{Detection, Retention};
use crate::ids::{AgentId, EventId, UserId};
use crate::time::Timestamp;

/// How many events of a batch are stored at the same time.
const PARALLEL_PUTS: usize = 32;
/// How many users of a batch are judged at the same time.
const PARALLEL_USERS: usize = 8;
/// How many stretches of time of one user are judged at the same time.
const PARALLEL_STRETCHES: usize = 8;
/// How many anomalies are stored at the same time.
const PARALLEL_UPDATES: usize = 16;
/// From this many on it is cheaper to ask first which anomalies are stored already.
const WORTH_ASKING: usize = 4;

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

/// What there is to say to a caller of [`Ingested::Conflict`].
pub const CONFLICT: &str = "Another event has this event_id and timestamp; give each event an id of its own.";

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
    /// What a caller gets to know who may see the agents that `sees` names.
    pub fn acknowledge(self, sees: impl Fn(&AgentId) -> bool) -> Acknowledgement {
        let Self { key, received_at, mut anomalies } = self;
        anomalies.retain(|anomaly| sees(&anomaly.key.agent_id));
        let anomaly = anomalies.into_iter().max_by_key(|anomaly| (anomaly.key == key, anomaly.severity, anomaly.count));
        Acknowledgement { event_id: key.event_id, received_at, anomaly }
    }
}

/// What a caller gets to know of an event that is stored and judged.
#[derive(Debug, Serialize)]
pub struct Acknowledgement {
    /// The id under which it is stored.
    pub event_id: EventId,
    /// When it was taken in.
    pub received_at: Timestamp,
    /// The event's own anomaly, else the gravest that it caused for a later event.
    pub anomaly: Option<Anomaly>,
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
        let put = self.put(&event).await?;
        let Some((key, received_at)) = stored_as(&put, &event) else { return Ok(Ingested::Conflict) };
        let anomalies = self.judge(&event.user_id, std::slice::from_ref(&key)).await?;
        Ok(ingested(&put, Receipt { key, received_at, anomalies }))
    }

    /// Stores `events` and judges them as [`Self::ingest`] does, with one reading for each user and stretch of time.
    /// What became of each event stands in its place.
    pub async fn ingest_all(&self, events: Vec<ReceivedEvent>) -> Vec<Result<Ingested, StoreError>> {
        let puts = self.put_all(events).await;
        let mut keys: BTreeMap<UserId, Vec<EventKey>> = BTreeMap::new();
        for (event, put) in &puts {
            if let Ok(Some((key, _))) = put.as_ref().map(|put| stored_as(put, event)) {
                keys.entry(event.user_id.clone()).or_default().push(key);
            }
        }
        let judge = |(user, keys): (UserId, Vec<EventKey>)| async move {
            let judged = self.judge(&user, &keys).await;
            (user, judged)
        };
        let judged: BTreeMap<_, _> = stream::iter(keys).map(judge).buffer_unordered(PARALLEL_USERS).collect().await;
        let receipt = |(event, put): (ReceivedEvent, Result<Put, StoreError>)| {
            let put = put?;
            let Some((key, received_at)) = stored_as(&put, &event) else { return Ok(Ingested::Conflict) };
            let anomalies = match judged.get(&event.user_id) {
                Some(Ok(anomalies)) => self.caused_by(&key, anomalies),
                Some(Err(failure)) => return Err(failure.clone()),
                None => Vec::new(),
            };
            Ok(ingested(&put, Receipt { key, received_at, anomalies }))
        };
        puts.into_iter().map(receipt).collect()
    }

    /// Puts `events`, those of one id one after the other so that the first one is the one that is stored.
    async fn put_all(&self, events: Vec<ReceivedEvent>) -> Vec<(ReceivedEvent, Result<Put, StoreError>)> {
        let mut alike: BTreeMap<_, Vec<(usize, ReceivedEvent)>> = BTreeMap::new();
        for (place, event) in events.into_iter().enumerate() {
            let identity = (event.user_id.clone(), event.key.agent_id.clone(), event.key.event_id.clone());
            alike.entry(identity).or_default().push((place, event));
        }
        let put_alike = |alike: Vec<(usize, ReceivedEvent)>| async move {
            let mut puts = Vec::with_capacity(alike.len());
            for (place, event) in alike {
                let put = self.put(&event).await;
                puts.push((place, (event, put)));
            }
            puts
        };
        let groups: Vec<_> = alike.into_values().map(put_alike).collect();
        let groups: Vec<_> = stream::iter(groups).buffer_unordered(PARALLEL_PUTS).collect().await;
        let in_order: BTreeMap<_, _> = groups.into_iter().flatten().collect();
        in_order.into_values().collect()
    }

    /// Of `anomalies`, which are in the order of their keys, those whose verdict the event under `key` may have changed.
    fn caused_by(&self, key: &EventKey, anomalies: &[Anomaly]) -> Vec<Anomaly> {
        let last = neighbourhood(key.time, &self.detection).1;
        let most = usize::try_from(self.detection.max_items).unwrap_or(usize::MAX);
        let from = anomalies.partition_point(|anomaly| anomaly.key < *key);
        anomalies[from..].iter().take(most).take_while(|anomaly| anomaly.key.time <= last).cloned().collect()
    }

    async fn put(&self, event: &ReceivedEvent) -> Result<Put, StoreError> {
        self.events.put(event, self.retention.event_expiry(event.received_at)).await
    }
}

impl<E: QueryEvents + Sync, A: RaiseAnomaly + Sync> Monitor<E, A> {
    /// Judges the stored events of `user` under `keys` and the later ones that they count for, and stores the anomalies
    /// found, which it returns in the order of their keys.
    ///
    /// # Errors
    /// When a table does not answer. To do it again is safe.
    pub async fn judge(&self, user: &UserId, keys: &[EventKey]) -> Result<Vec<Anomaly>, StoreError> {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let stretches: Vec<_> =
            stretches(&keys, &self.detection).map(|stretch| self.judge_stretch(user, stretch)).collect();
        let anomalies: Vec<_> = stream::iter(stretches).buffered(PARALLEL_STRETCHES).try_collect().await?;
        Ok(anomalies.concat())
    }

    /// As [`Self::judge`], for `keys` whose neighbourhoods are one stretch of time. A run is done with before the next is
    /// read, so that what is held, and what is asked for at once, is bounded.
    async fn judge_stretch(&self, user: &UserId, keys: &[EventKey]) -> Result<Vec<Anomaly>, StoreError> {
        let mut found: Vec<Anomaly> = Vec::new();
        let mut rest = keys;
        while let [first, ..] = rest {
            let run = self.around(user, rest).await?;
            let mut anomalies = judge(user, &run, &self.detection);
            // Before the first of ours the run does not hold what a verdict rests on; up to the last found it is done.
            anomalies.retain(|anomaly| anomaly.key >= *first && found.last().is_none_or(|last| anomaly.key > last.key));
            self.raise(user, &anomalies).await?;
            found.extend(anomalies);
            let is_in_run = |key: &EventKey| run.last().is_some_and(|last| *key <= last.key);
            rest = &rest[rest.partition_point(is_in_run).max(1)..];
        }
        Ok(found)
    }

    async fn raise(&self, user: &UserId, anomalies: &[Anomaly]) -> Result<(), StoreError> {
        let counted = match anomalies {
            [first, .., last] if anomalies.len() >= WORTH_ASKING => {
                self.anomalies.counted(user, &first.key, &last.key).await?
            }
            _ => Default::default(),
        };
        let is_news = |anomaly: &&Anomaly| {
            counted.get(&anomaly.key.to_string()).is_none_or(|counted| *counted < Counted::of(anomaly))
        };
        let raise = |anomaly| self.anomalies.raise(anomaly, self.retention.anomaly_expiry(anomaly.received_at));
        let raises: Vec<_> = anomalies.iter().filter(is_news).map(raise).collect();
        stream::iter(raises).buffer_unordered(PARALLEL_UPDATES).try_collect().await
    }

    /// Events in the order of their keys and without gaps: those that the first of `keys`, which are one stretch, is judged
    /// with and counts for, and the same of as many others of them as come up.
    async fn around(&self, user: &UserId, keys: &[EventKey]) -> Result<Vec<Occurrence>, StoreError> {
        let ([first, ..], [.., last]) = (keys, keys) else { return Ok(Vec::new()) };
        let range = KeyRange {
            from: EventKey::lower_bound(neighbourhood(first.time, &self.detection).0),
            to: EventKey::upper_bound(neighbourhood(last.time, &self.detection).1),
            order: Order::OldestFirst,
        };
        let limit = u32::try_from(keys.len() - 1).unwrap_or(u32::MAX).saturating_add(self.detection.max_items);
        let page = self.events.query(user, &range, limit).await?;
        if page.more { self.nearest(user, first, keys, &range).await } else { Ok(page.events) }
    }

    /// What the verdicts on `first` and on the events that it counts for rest on when there are more than a page holds:
    /// the nearest `window.max_items` events on either side, read from it outwards. It goes on through those of `keys`
    /// that it comes upon.
    async fn nearest(
        &self,
        user: &UserId,
        first: &EventKey,
        keys: &[EventKey],
        range: &KeyRange,
    ) -> Result<Vec<Occurrence>, StoreError> {
        let max_items = self.detection.max_items;
        let before = KeyRange { from: range.from.clone(), to: first.to_string(), order: Order::NewestFirst };
        let (before, mut after) = futures_util::future::try_join(
            self.events.query(user, &before, max_items),
            self.events.query(user, &beyond(first, range), max_items),
        )
        .await?;
        let mut events: Vec<Occurrence> = before.events.into_iter().rev().collect();
        loop {
            let page_from = events.len();
            events.extend(after.events);
            let Some(last) = events.last().map(|last| last.key.clone()).filter(|_| after.more) else { break };
            // A key of ours on this page counts for events beyond it.
            let page = &events[page_from..];
            if !page.iter().any(|event| keys.binary_search(&event.key).is_ok()) {
                break;
            }
            after = self.events.query(user, &beyond(&last, range), max_items).await?;
        }
        Ok(events)
    }
}

/// What comes after `key` in `range`.
fn beyond(key: &EventKey, range: &KeyRange) -> KeyRange {
    // The next text after the key itself: the range begins behind it.
    KeyRange { from: format!("{key}\u{0}"), to: range.to.clone(), order: Order::OldestFirst }
}

/// Parts of `keys`, which are sorted, whose neighbourhoods do not touch.
fn stretches<'a>(keys: &'a [EventKey], detection: &Detection) -> impl Iterator<Item = &'a [EventKey]> {
    let touch = move |earlier: &EventKey, later: &EventKey| {
        neighbourhood(earlier.time, detection).1 >= neighbourhood(later.time, detection).0
    };
    keys.chunk_by(touch)
}

/// Under which key `event` is stored and since when, or `None` where another event has its place.
fn stored_as(put: &Put, event: &ReceivedEvent) -> Option<(EventKey, Timestamp)> {
    match put {
        Put::New => Some((event.key.clone(), event.received_at)),
        Put::Found(found) if found.is_same(event) => Some((found.key.clone(), found.received_at)),
        Put::Found(_) => None,
    }
}

fn ingested(put: &Put, receipt: Receipt) -> Ingested {
    match put {
        Put::New => Ingested::Stored(receipt),
        Put::Found(_) => Ingested::Duplicate(receipt),
    }
}
