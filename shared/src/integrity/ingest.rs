//! Stores and evaluates events: first put, then read, then evaluate.
//!
//! Requests of one user run concurrently in many sandboxes. Each request stores its event before it reads, and uses
//! strongly consistent reads. So of several concurrent requests the one that reads last sees all events. It evaluates
//! its own event and every later event that its event counts for, so no event remains unevaluated, whatever the order.
//!
//! In a flood a request evaluates its own event alone, by what earlier evaluations have stored, and leaves the later
//! events to the table's stream, which evaluates many events at once.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use super::anomaly::{Anomaly, Counts, ShownAnomaly};
use super::detection::{Occurrence, judge, neighbourhood, saturated};
use super::event::ReceivedEvent;
use super::key::EventKey;
use super::store::{KeyRange, Occurrences, Order, Put, PutEvent, QueryEvents, RaiseAnomaly};
use crate::aws::StoreError;
use crate::config::{Detection, Retention, WindowScope};
use crate::ids::{AgentId, EventId, UserId};
use crate::time::Timestamp;

/// Events of a batch stored concurrently.
const PARALLEL_PUTS: usize = 32;
/// Users of a batch evaluated concurrently.
const PARALLEL_USERS: usize = 8;
/// Stretches of time of one user evaluated concurrently.
const PARALLEL_STRETCHES: usize = 8;
/// Anomalies stored concurrently.
const PARALLEL_UPDATES: usize = 16;
/// Minimum number of anomalies for which it is cheaper to query first which of them are already stored.
const WORTH_ASKING: usize = 4;
/// Maximum number of events of a request that are evaluated one by one in a flood. More events are cheaper to evaluate
/// together.
const MAX_ALONE: usize = 16;

/// Outcome of ingesting an event.
#[derive(Clone, Debug)]
pub enum Ingested {
    /// The event is stored and evaluated.
    Stored(Receipt),
    /// The event was stored before. Holds the response of that time with the current anomaly.
    Duplicate(Receipt),
    /// Another event is stored under the same id and time. Nothing has changed.
    Conflict,
}

/// Message for callers about [`Ingested::Conflict`].
pub const CONFLICT: &str = "Another event has this event_id and timestamp; give each event an id of its own.";

/// Result for a stored and evaluated event.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Key of the stored event.
    pub key: EventKey,
    /// Time of receipt.
    pub received_at: Timestamp,
    /// Anomalies that the event is or counts for.
    pub anomalies: Vec<Anomaly>,
}

impl Receipt {
    /// Returns the part of the receipt that a caller may see, given the agents that `sees` allows and the visibility
    /// `counts`.
    pub fn acknowledge(self, sees: impl Fn(&AgentId) -> bool, counts: Counts) -> Acknowledgement {
        let Self { key, received_at, mut anomalies } = self;
        anomalies.retain(|anomaly| sees(&anomaly.key.agent_id));
        // A hidden count must not influence the choice either.
        let rank = |anomaly: &Anomaly| (anomaly.key == key, anomaly.severity, counts.show(anomaly.count));
        let anomaly = anomalies.into_iter().max_by_key(rank).map(|anomaly| anomaly.show(counts));
        Acknowledgement { event_id: key.event_id, received_at, anomaly }
    }
}

/// Response to a caller about a stored and evaluated event.
#[derive(Debug, Serialize)]
pub struct Acknowledgement {
    /// Id of the stored event.
    pub event_id: EventId,
    /// Time of receipt.
    pub received_at: Timestamp,
    /// The event's own anomaly, else the most severe one that it caused for a later event.
    pub anomaly: Option<ShownAnomaly>,
}

/// Stores events, evaluates them and stores their anomalies.
#[derive(Clone, Debug)]
pub struct Monitor<E, A> {
    /// Table of events.
    pub events: E,
    /// Table of anomalies.
    pub anomalies: A,
    /// Detection settings.
    pub detection: Detection,
    /// Retention of items.
    pub retention: Retention,
}

impl<E: PutEvent + QueryEvents + Sync, A: RaiseAnomaly + Sync> Monitor<E, A> {
    /// Stores `event`, then evaluates it and every later event that it counts for.
    ///
    /// # Errors
    /// When a table fails. The event may have been stored: sending it again with its id is safe.
    pub async fn ingest(&self, event: ReceivedEvent) -> Result<Ingested, StoreError> {
        let put = self.put(&event).await?;
        let Some(stored) = stored_as(&put, &event) else { return Ok(Ingested::Conflict) };
        let anomalies = self.judge_own(&event.user_id, vec![stored.clone()]).await?;
        Ok(ingested(&put, Receipt { key: stored.key, received_at: stored.received_at, anomalies }))
    }

    /// Stores and evaluates `events` as [`Self::ingest`] does, with one read per user and stretch of time. Returns the
    /// outcomes in the order of the events.
    pub async fn ingest_all(&self, events: Vec<ReceivedEvent>) -> Vec<Result<Ingested, StoreError>> {
        let puts = self.put_all(events).await;
        let mut own: BTreeMap<UserId, Vec<Occurrence>> = BTreeMap::new();
        for (event, put) in &puts {
            if let Ok(Some(stored)) = put.as_ref().map(|put| stored_as(put, event)) {
                own.entry(event.user_id.clone()).or_default().push(stored);
            }
        }
        let judge = |(user, own): (UserId, Vec<Occurrence>)| async move {
            let judged = self.judge_own(&user, own).await;
            (user, judged)
        };
        let judged: BTreeMap<_, _> = stream::iter(own).map(judge).buffer_unordered(PARALLEL_USERS).collect().await;
        let receipt = |(event, put): (ReceivedEvent, Result<Put, StoreError>)| {
            let put = put?;
            let Some(Occurrence { key, received_at, .. }) = stored_as(&put, &event) else {
                return Ok(Ingested::Conflict);
            };
            let anomalies = match judged.get(&event.user_id) {
                Some(Ok(anomalies)) => self.caused_by(&key, anomalies),
                Some(Err(failure)) => return Err(failure.clone()),
                None => Vec::new(),
            };
            Ok(ingested(&put, Receipt { key, received_at, anomalies }))
        };
        puts.into_iter().map(receipt).collect()
    }

    /// Puts `events`. Events with the same id are put one after the other, so that the first of them is the stored one.
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

    /// Returns the anomalies whose result the event under `key` may have changed. `anomalies` is ordered by key.
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
    /// Evaluates the stored events of `user` under `keys` and the later events that they count for. Stores the
    /// anomalies found and returns them ordered by key.
    ///
    /// # Errors
    /// When a table fails. Retrying is safe.
    pub async fn judge(&self, user: &UserId, keys: &[EventKey]) -> Result<Vec<Anomaly>, StoreError> {
        let stretches = self.stretches(user, keys.to_vec());
        let judged: Vec<_> = stretches.iter().map(|stretch| self.judge_stretch(stretch)).collect();
        Ok(in_order(stream::iter(judged).buffered(PARALLEL_STRETCHES).try_collect().await?))
    }

    /// Evaluates events that a request has just stored, as [`Self::judge`] does. In a flood, leaves later events to the
    /// table's stream if they cannot change the response of the request.
    async fn judge_own(&self, user: &UserId, own: Vec<Occurrence>) -> Result<Vec<Anomaly>, StoreError> {
        let stretches = self.stretches(user, own);
        let judged: Vec<_> = stretches.iter().map(|stretch| self.judge_own_stretch(stretch)).collect();
        Ok(in_order(stream::iter(judged).buffered(PARALLEL_STRETCHES).try_collect().await?))
    }

    /// Evaluates a stretch from one page if the page holds all its events. Otherwise evaluates an event that is an
    /// anomaly itself alone: its own anomaly is the response, whatever other anomalies it causes.
    async fn judge_own_stretch(&self, stretch: &Stretch<Occurrence>) -> Result<Vec<Anomaly>, StoreError> {
        let keys = stretch.map(|event| event.key.clone());
        if stretch.items.len() > MAX_ALONE {
            return self.judge_stretch(&keys).await;
        }
        let others = self.detection.thresholds.largest().saturating_add(1);
        let page = self.page(&keys, &keys.range(&self.detection), others).await?;
        if !page.more {
            let anomalies = self.anomalies_from(&keys, &page.events);
            self.raise_changed(&stretch.user, &anomalies).await?;
            return Ok(anomalies);
        }
        let evaluations: Vec<_> = stretch.items.iter().map(|event| self.own_anomaly(stretch, event)).collect();
        let own: Vec<_> = stream::iter(evaluations).buffered(MAX_ALONE).try_collect().await?;
        let calm = own.iter().zip(&stretch.items).filter(|(anomaly, _)| anomaly.is_none());
        let calm = Stretch { items: calm.map(|(_, event)| event.key.clone()).collect(), ..keys };
        let anomalies: Vec<_> = own.into_iter().flatten().collect();
        self.raise_all(anomalies.iter()).await?;
        Ok(in_order(vec![anomalies, self.judge_stretch(&calm).await?]))
    }

    /// Returns the anomaly of `event`, if any. If the events of all agents count together and the latest anomaly up to
    /// `event` shows that its window is full, no events are read; else the last `window.max_items` events of the
    /// window.
    async fn own_anomaly(
        &self,
        stretch: &Stretch<Occurrence>,
        event: &Occurrence,
    ) -> Result<Option<Anomaly>, StoreError> {
        let range = KeyRange {
            from: EventKey::lower_bound(neighbourhood(event.key.time, &self.detection).0),
            to: event.key.to_string(),
            order: Order::NewestFirst,
        };
        // If the window covers only one agent's events, the result must not depend on whose anomaly is the latest.
        if stretch.agent.is_none() {
            let latest = self.anomalies.latest(&stretch.user, &range).await?;
            if let Some(anomaly) = latest.and_then(|found| saturated(&stretch.user, event, &found, &self.detection)) {
                return Ok(Some(anomaly));
            }
        }
        let mut events = self.query(stretch, &range, self.detection.max_items).await?.events;
        events.reverse();
        Ok(judge(&stretch.user, &events, &self.detection).pop().filter(|last| last.key == event.key))
    }

    /// Evaluates the events of `stretch` and the later events that they count for. Finishes a run before it reads the
    /// next, so that memory and concurrent requests are bounded.
    async fn judge_stretch(&self, stretch: &Stretch<EventKey>) -> Result<Vec<Anomaly>, StoreError> {
        let mut found: Vec<Anomaly> = Vec::new();
        let mut rest = stretch.clone();
        while !rest.items.is_empty() {
            let run = self.around(&rest).await?;
            let mut anomalies = self.anomalies_from(&rest, &run);
            // Everything up to the last anomaly found is complete.
            anomalies.retain(|anomaly| found.last().is_none_or(|last| anomaly.key > last.key));
            self.raise_changed(&rest.user, &anomalies).await?;
            found.extend(anomalies);
            let is_in_run = |key: &EventKey| run.last().is_some_and(|last| *key <= last.key);
            rest.items.drain(..rest.items.partition_point(is_in_run).max(1));
        }
        Ok(found)
    }

    /// Returns the anomalies of `run` from the first key of `stretch` on. Earlier events of the run may be
    /// undercounted.
    fn anomalies_from(&self, stretch: &Stretch<EventKey>, run: &[Occurrence]) -> Vec<Anomaly> {
        let mut anomalies = judge(&stretch.user, run, &self.detection);
        anomalies.retain(|anomaly| stretch.items.first().is_some_and(|first| anomaly.key >= *first));
        anomalies
    }

    /// Stores the anomalies that count more than their stored versions. `anomalies` is ordered by key.
    async fn raise_changed(&self, user: &UserId, anomalies: &[Anomaly]) -> Result<(), StoreError> {
        let counted = match anomalies {
            [first, .., last] if anomalies.len() >= WORTH_ASKING => {
                self.anomalies.counted(user, &first.key, &last.key).await?
            }
            _ => Default::default(),
        };
        let is_news =
            |anomaly: &&Anomaly| counted.get(&anomaly.key.to_string()).is_none_or(|counted| *counted < anomaly.count);
        self.raise_all(anomalies.iter().filter(is_news)).await
    }

    async fn raise_all<'a>(&self, anomalies: impl Iterator<Item = &'a Anomaly>) -> Result<(), StoreError> {
        let raise = |anomaly| self.anomalies.raise(anomaly, self.retention.anomaly_expiry(anomaly.received_at));
        let raises: Vec<_> = anomalies.map(raise).collect();
        stream::iter(raises).buffer_unordered(PARALLEL_UPDATES).try_collect().await
    }

    /// Returns the events of `stretch` in `range`: as many as the stretch has, plus `others` more.
    async fn page(
        &self,
        stretch: &Stretch<EventKey>,
        range: &KeyRange,
        others: u32,
    ) -> Result<Occurrences, StoreError> {
        let limit = u32::try_from(stretch.items.len() - 1).unwrap_or(u32::MAX).saturating_add(others);
        self.query(stretch, range, limit).await
    }

    /// Returns a gap-free, key-ordered run of events that covers the windows of the first key of `stretch` and of as
    /// many following keys as fit in one page.
    async fn around(&self, stretch: &Stretch<EventKey>) -> Result<Vec<Occurrence>, StoreError> {
        let range = stretch.range(&self.detection);
        let page = self.page(stretch, &range, self.detection.max_items).await?;
        if page.more { self.nearest(stretch, &range).await } else { Ok(page.events) }
    }

    /// Fallback for dense windows: reads the nearest `window.max_items` events on each side of the first key of
    /// `stretch`, outwards from that key. Keeps paging forward while a page contains keys of `stretch`.
    async fn nearest(&self, stretch: &Stretch<EventKey>, range: &KeyRange) -> Result<Vec<Occurrence>, StoreError> {
        let max_items = self.detection.max_items;
        let Some(first) = stretch.items.first() else { return Ok(Vec::new()) };
        let before = KeyRange { from: range.from.clone(), to: first.to_string(), order: Order::NewestFirst };
        let beyond_first = beyond(first, range);
        let (before, mut after) = futures_util::future::try_join(
            self.query(stretch, &before, max_items),
            self.query(stretch, &beyond_first, max_items),
        )
        .await?;
        let mut events: Vec<Occurrence> = before.events.into_iter().rev().collect();
        loop {
            let page_from = events.len();
            events.extend(after.events);
            let Some(last) = events.last().map(|last| last.key.clone()).filter(|_| after.more) else { break };
            // A key of the stretch on this page counts for events beyond the page.
            let page = &events[page_from..];
            if !page.iter().any(|event| stretch.items.binary_search(&event.key).is_ok()) {
                break;
            }
            after = self.query(stretch, &beyond(&last, range), max_items).await?;
        }
        Ok(events)
    }

    /// Returns at most `limit` events in `range` that count together in `stretch`.
    async fn query<T: Sync>(
        &self,
        stretch: &Stretch<T>,
        range: &KeyRange,
        limit: u32,
    ) -> Result<Occurrences, StoreError> {
        match stretch.agent {
            None => self.events.query(&stretch.user, range, limit).await,
            Some(_) => self.query_agent(stretch, range, limit).await,
        }
    }

    /// Does the same as [`Self::query`] for the events of one agent, reading past the events of other agents.
    async fn query_agent<T: Sync>(
        &self,
        stretch: &Stretch<T>,
        range: &KeyRange,
        limit: u32,
    ) -> Result<Occurrences, StoreError> {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let page_size = limit.max(self.detection.max_items);
        let (mut events, mut rest): (Vec<Occurrence>, _) = (Vec::new(), range.clone());
        loop {
            let page = self.events.query(&stretch.user, &rest, page_size).await?;
            let last = page.events.last().map(|last| last.key.clone());
            let is_new = |event: &Occurrence| match range.order {
                Order::OldestFirst => true,
                // The rest of the range ends with the last event of the previous page.
                Order::NewestFirst => event.key.to_string() != rest.to || rest.to == range.to,
            };
            events.extend(page.events.into_iter().filter(|event| is_new(event) && stretch.counts(&event.key)));
            // The result for "more" must not depend on the events of other agents.
            let more = events.len() > wanted;
            let Some(last) = last.filter(|_| page.more && !more) else {
                events.truncate(wanted);
                return Ok(Occurrences { events, more });
            };
            rest = match range.order {
                Order::OldestFirst => beyond(&last, range),
                Order::NewestFirst => KeyRange { to: last.to_string(), ..rest },
            };
        }
    }

    /// Splits `items` into parts whose events count together and whose neighbourhoods do not overlap.
    fn stretches<T: Keyed>(&self, user: &UserId, mut items: Vec<T>) -> Vec<Stretch<T>> {
        items.sort_unstable_by(|one, other| one.key().cmp(other.key()));
        items.dedup_by(|one, other| one.key() == other.key());
        let mut together: BTreeMap<Option<AgentId>, Vec<T>> = BTreeMap::new();
        for item in items {
            let agent = match self.detection.scope {
                WindowScope::User => None,
                WindowScope::UserAndAgent => Some(item.key().agent_id.clone()),
            };
            together.entry(agent).or_default().push(item);
        }
        let touch = |earlier: &T, later: &T| {
            neighbourhood(earlier.key().time, &self.detection).1 >= neighbourhood(later.key().time, &self.detection).0
        };
        let parts = |(agent, items): (Option<AgentId>, Vec<T>)| {
            let part = |items: &[T]| Stretch { user: user.clone(), agent: agent.clone(), items: items.to_vec() };
            items.chunk_by(touch).map(part).collect::<Vec<_>>()
        };
        together.into_iter().flat_map(parts).collect()
    }
}

/// Events of a user that count together, ordered by key, whose neighbourhoods form one contiguous stretch of time.
#[derive(Clone, Debug)]
struct Stretch<T> {
    user: UserId,
    /// Agent whose events count, or `None` if the events of all agents count.
    agent: Option<AgentId>,
    items: Vec<T>,
}

impl<T> Stretch<T> {
    fn map<U>(&self, item: impl Fn(&T) -> U) -> Stretch<U> {
        let items = self.items.iter().map(item).collect();
        Stretch { user: self.user.clone(), agent: self.agent.clone(), items }
    }

    /// Returns whether an event under `key` counts with the events of the stretch.
    fn counts(&self, key: &EventKey) -> bool {
        self.agent.as_ref().is_none_or(|agent| key.agent_id == *agent)
    }
}

impl Stretch<EventKey> {
    /// Returns the range of all events that affect an event of the stretch or are affected by one.
    fn range(&self, detection: &Detection) -> KeyRange {
        let from = self.items.first().map_or(Timestamp::MAX, |first| neighbourhood(first.time, detection).0);
        let to = self.items.last().map_or(Timestamp::MIN, |last| neighbourhood(last.time, detection).1);
        KeyRange { from: EventKey::lower_bound(from), to: EventKey::upper_bound(to), order: Order::OldestFirst }
    }
}

/// An item that identifies an event.
trait Keyed: Clone {
    fn key(&self) -> &EventKey;
}

impl Keyed for EventKey {
    fn key(&self) -> &EventKey {
        self
    }
}

impl Keyed for Occurrence {
    fn key(&self) -> &EventKey {
        &self.key
    }
}

/// Merges `parts`, ordered by key.
fn in_order(parts: Vec<Vec<Anomaly>>) -> Vec<Anomaly> {
    let mut anomalies = parts.concat();
    anomalies.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    anomalies.dedup_by(|one, other| one.key == other.key);
    anomalies
}

/// Returns the part of `range` after `key`.
fn beyond(key: &EventKey, range: &KeyRange) -> KeyRange {
    // The smallest text after the key itself: the range begins after the key.
    KeyRange { from: format!("{key}\u{0}"), to: range.to.clone(), order: Order::OldestFirst }
}

/// Returns `event` as it is stored, or `None` if another event is stored in its place.
fn stored_as(put: &Put, event: &ReceivedEvent) -> Option<Occurrence> {
    let (key, received_at) = match put {
        Put::New => (event.key.clone(), event.received_at),
        Put::Found(found) if found.is_same(event) => (found.key.clone(), found.received_at),
        Put::Found(_) => return None,
    };
    Some(Occurrence { key, signal_type: event.signal_type.clone(), received_at })
}

fn ingested(put: &Put, receipt: Receipt) -> Ingested {
    match put {
        Put::New => Ingested::Stored(receipt),
        Put::Found(_) => Ingested::Duplicate(receipt),
    }
}
