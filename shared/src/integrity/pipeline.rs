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

use super::anomaly::{Anomaly, AnomalyView, CountVisibility};
use super::detection::{WindowEvent, affected_range, detect, saturated};
use super::event::ReceivedEvent;
use super::key::EventKey;
use super::store::{Direction, ExistingEvent, KeyRange, PutEvent, QueryEvents, RaiseAnomaly, WindowEvents};
use crate::aws::{PutResult, StoreError};
use crate::config::{Detection, Retention, WindowScope};
use crate::ids::{AgentId, EventId, UserId};
use crate::time::Timestamp;

/// Events of a batch stored concurrently.
const PARALLEL_PUTS: usize = 32;
/// Users of a batch evaluated concurrently.
const PARALLEL_USERS: usize = 8;
/// Ranges of time of one user evaluated concurrently.
const PARALLEL_RANGES: usize = 8;
/// Anomalies stored concurrently.
const PARALLEL_UPDATES: usize = 16;
/// Minimum number of anomalies for which it is cheaper to query first which of them are already stored.
const MIN_ANOMALIES_TO_QUERY: usize = 4;
/// Maximum number of events of a request that are evaluated one by one in a flood. More events are cheaper to evaluate
/// together.
const MAX_SINGLE_EVALUATIONS: usize = 16;

/// Outcome of ingesting an event.
#[derive(Clone, Debug)]
pub enum IngestOutcome {
    /// The event is stored and evaluated.
    Stored(Receipt),
    /// The event was stored before. Holds the response of that time with the current anomaly.
    Duplicate(Receipt),
    /// Another event is stored under the same id and time. Nothing has changed.
    Conflict,
    /// The event is in the retry queue, durably. Only [`crate::intake`] returns this outcome.
    Queued,
}

/// Message for callers about [`IngestOutcome::Conflict`].
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
    /// Returns the part of the receipt that a caller may see, given the agents that `can_access` allows and the
    /// `visibility` of counts.
    pub fn acknowledge(self, can_access: impl Fn(&AgentId) -> bool, visibility: CountVisibility) -> Acknowledgement {
        let Self { key, received_at, mut anomalies } = self;
        anomalies.retain(|anomaly| can_access(&anomaly.key.agent_id));
        // A hidden count must not influence the choice either.
        let rank = |anomaly: &Anomaly| (anomaly.key == key, anomaly.severity, visibility.show(anomaly.count));
        let anomaly = anomalies.into_iter().max_by_key(rank).map(|anomaly| anomaly.show(visibility));
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
    pub anomaly: Option<AnomalyView>,
}

/// Stores events, evaluates them and stores their anomalies.
#[derive(Clone, Debug)]
pub struct EventPipeline<E, A> {
    /// Table of events.
    pub events: E,
    /// Table of anomalies.
    pub anomalies: A,
    /// Detection settings.
    pub detection: Detection,
    /// Retention of items.
    pub retention: Retention,
}

impl<E: PutEvent + QueryEvents + Sync, A: RaiseAnomaly + Sync> EventPipeline<E, A> {
    /// Stores `event`, then evaluates it and every later event that it counts for.
    ///
    /// # Errors
    /// When a table fails. The event may have been stored: sending it again with its id is safe.
    pub async fn ingest(&self, event: ReceivedEvent) -> Result<IngestOutcome, StoreError> {
        let put = self.put(&event).await?;
        let Some(stored) = stored_as(&put, &event) else { return Ok(IngestOutcome::Conflict) };
        let anomalies = self.evaluate_own(&event.user_id, std::slice::from_ref(&stored)).await?;
        Ok(outcome(&put, Receipt { key: stored.key, received_at: stored.received_at, anomalies }))
    }

    /// Stores and evaluates `events` as [`Self::ingest`] does, with one read per user and range of time. Returns the
    /// outcomes in the order of the events.
    pub async fn ingest_all(&self, events: Vec<ReceivedEvent>) -> Vec<Result<IngestOutcome, StoreError>> {
        let puts = self.put_all(events).await;
        let mut own: BTreeMap<UserId, Vec<WindowEvent>> = BTreeMap::new();
        for (event, put) in &puts {
            if let Ok(Some(stored)) = put.as_ref().map(|put| stored_as(put, event)) {
                own.entry(event.user_id.clone()).or_default().push(stored);
            }
        }
        let evaluate = |(user, own): (UserId, Vec<WindowEvent>)| async move {
            let evaluated = self.evaluate_own(&user, &own).await;
            (user, evaluated)
        };
        let evaluated: BTreeMap<_, _> =
            stream::iter(own).map(evaluate).buffer_unordered(PARALLEL_USERS).collect().await;
        let receipt = |(event, put): (ReceivedEvent, Result<PutResult<ExistingEvent>, StoreError>)| {
            let put = put?;
            let Some(WindowEvent { key, received_at, .. }) = stored_as(&put, &event) else {
                return Ok(IngestOutcome::Conflict);
            };
            let anomalies = match evaluated.get(&event.user_id) {
                Some(Ok(anomalies)) => self.caused_by(&key, anomalies),
                Some(Err(failure)) => return Err(failure.clone()),
                None => Vec::new(),
            };
            Ok(outcome(&put, Receipt { key, received_at, anomalies }))
        };
        puts.into_iter().map(receipt).collect()
    }

    /// Puts `events`. Events with the same id are put one after the other, so that the first of them is the stored one.
    async fn put_all(
        &self,
        events: Vec<ReceivedEvent>,
    ) -> Vec<(ReceivedEvent, Result<PutResult<ExistingEvent>, StoreError>)> {
        let mut groups: BTreeMap<_, Vec<(usize, ReceivedEvent)>> = BTreeMap::new();
        for (position, event) in events.into_iter().enumerate() {
            let identity = (event.user_id.clone(), event.key.agent_id.clone(), event.key.event_id.clone());
            groups.entry(identity).or_default().push((position, event));
        }
        let put_group = |group: Vec<(usize, ReceivedEvent)>| async move {
            let mut puts = Vec::with_capacity(group.len());
            for (position, event) in group {
                let put = self.put(&event).await;
                puts.push((position, (event, put)));
            }
            puts
        };
        let groups: Vec<_> = groups.into_values().map(put_group).collect();
        let groups: Vec<_> = stream::iter(groups).buffer_unordered(PARALLEL_PUTS).collect().await;
        let in_order: BTreeMap<_, _> = groups.into_iter().flatten().collect();
        in_order.into_values().collect()
    }

    /// Returns the anomalies whose result the event under `key` may have changed. `anomalies` is ordered by key.
    fn caused_by(&self, key: &EventKey, anomalies: &[Anomaly]) -> Vec<Anomaly> {
        let last = affected_range(key.time, &self.detection).1;
        let most = usize::try_from(self.detection.max_items).unwrap_or(usize::MAX);
        let from = anomalies.partition_point(|anomaly| anomaly.key < *key);
        anomalies[from..].iter().take(most).take_while(|anomaly| anomaly.key.time <= last).cloned().collect()
    }

    async fn put(&self, event: &ReceivedEvent) -> Result<PutResult<ExistingEvent>, StoreError> {
        self.events.put(event, self.retention.event_expiry(event.received_at)).await
    }
}

impl<E: QueryEvents + Sync, A: RaiseAnomaly + Sync> EventPipeline<E, A> {
    /// Evaluates the stored events of `user` under `keys` and the later events that they count for. Stores the
    /// anomalies found and returns them ordered by key.
    ///
    /// # Errors
    /// When a table fails. Retrying is safe.
    pub async fn evaluate(&self, user: &UserId, keys: &[EventKey]) -> Result<Vec<Anomaly>, StoreError> {
        let ranges = self.contiguous_ranges(user, keys.to_vec());
        let evaluations: Vec<_> = ranges.iter().map(|range| self.evaluate_range(range)).collect();
        Ok(in_order(stream::iter(evaluations).buffered(PARALLEL_RANGES).try_collect().await?))
    }

    /// Evaluates events that a request has just stored, as [`Self::evaluate`] does. In a flood, leaves later events to
    /// the table's stream if they cannot change the response of the request.
    async fn evaluate_own(&self, user: &UserId, own: &[WindowEvent]) -> Result<Vec<Anomaly>, StoreError> {
        let ranges = self.contiguous_ranges(user, own.iter().map(|event| event.key.clone()).collect());
        let evaluations: Vec<_> = ranges.iter().map(|range| self.evaluate_own_range(range, own)).collect();
        Ok(in_order(stream::iter(evaluations).buffered(PARALLEL_RANGES).try_collect().await?))
    }

    /// Evaluates a range from one page if the page holds all its events. Otherwise evaluates an event that is an
    /// anomaly itself alone: its own anomaly is the response, whatever other anomalies it causes.
    async fn evaluate_own_range(
        &self,
        range: &ContiguousRange,
        own: &[WindowEvent],
    ) -> Result<Vec<Anomaly>, StoreError> {
        if range.keys.len() > MAX_SINGLE_EVALUATIONS {
            return self.evaluate_range(range).await;
        }
        let others = self.detection.thresholds.largest().saturating_add(1);
        let page = self.page(range, &range.bounds(&self.detection), others).await?;
        if !page.more {
            let anomalies = self.anomalies_from(range, &page.events);
            self.raise_changed(&range.user, &anomalies).await?;
            return Ok(anomalies);
        }
        let events = range.keys.iter().filter_map(|key| own.iter().find(|event| event.key == *key));
        let evaluations: Vec<_> = events.map(|event| self.own_anomaly(range, event)).collect();
        let found: Vec<_> = stream::iter(evaluations).buffered(MAX_SINGLE_EVALUATIONS).try_collect().await?;
        let anomalies: Vec<Anomaly> = found.into_iter().flatten().collect();
        let mut rest = range.clone();
        rest.keys.retain(|key| anomalies.iter().all(|anomaly| anomaly.key != *key));
        self.raise_all(anomalies.iter()).await?;
        Ok(in_order(vec![anomalies, self.evaluate_range(&rest).await?]))
    }

    /// Returns the anomaly of `event`, if any. If the events of all agents count together and the latest anomaly up to
    /// `event` shows that its window is full, no events are read; else the last `window.max_items` events of the
    /// window.
    async fn own_anomaly(&self, range: &ContiguousRange, event: &WindowEvent) -> Result<Option<Anomaly>, StoreError> {
        let window = KeyRange {
            from: EventKey::lower_bound(affected_range(event.key.time, &self.detection).0),
            to: event.key.to_string(),
            direction: Direction::NewestFirst,
        };
        // If the window covers only one agent's events, the result must not depend on whose anomaly is the latest.
        if range.agent.is_none() {
            let latest = self.anomalies.latest(&range.user, &window).await?;
            if let Some(anomaly) = latest.and_then(|latest| saturated(&range.user, event, &latest, &self.detection)) {
                return Ok(Some(anomaly));
            }
        }
        let mut events = self.query(range, &window, self.detection.max_items).await?.events;
        events.reverse();
        Ok(detect(&range.user, &events, &self.detection).pop().filter(|last| last.key == event.key))
    }

    /// Evaluates the events of `range` and the later events that they count for. Finishes a run of events before it
    /// reads the next, so that memory and concurrent requests are bounded.
    async fn evaluate_range(&self, range: &ContiguousRange) -> Result<Vec<Anomaly>, StoreError> {
        let mut found: Vec<Anomaly> = Vec::new();
        let mut rest = range.clone();
        while !rest.keys.is_empty() {
            let run = self.load_window(&rest).await?;
            let mut anomalies = self.anomalies_from(&rest, &run);
            // Everything up to the last anomaly found is complete.
            anomalies.retain(|anomaly| found.last().is_none_or(|last| anomaly.key > last.key));
            self.raise_changed(&rest.user, &anomalies).await?;
            found.extend(anomalies);
            let is_in_run = |key: &EventKey| run.last().is_some_and(|last| *key <= last.key);
            rest.keys.drain(..rest.keys.partition_point(is_in_run).max(1));
        }
        Ok(found)
    }

    /// Returns the anomalies of `run` from the first key of `range` on. Earlier events of the run may be undercounted.
    fn anomalies_from(&self, range: &ContiguousRange, run: &[WindowEvent]) -> Vec<Anomaly> {
        let mut anomalies = detect(&range.user, run, &self.detection);
        anomalies.retain(|anomaly| range.keys.first().is_some_and(|first| anomaly.key >= *first));
        anomalies
    }

    /// Stores the anomalies that count more than their stored versions. `anomalies` is ordered by key.
    async fn raise_changed(&self, user: &UserId, anomalies: &[Anomaly]) -> Result<(), StoreError> {
        let stored = match anomalies {
            [first, .., last] if anomalies.len() >= MIN_ANOMALIES_TO_QUERY => {
                self.anomalies.stored_counts(user, &first.key, &last.key).await?
            }
            _ => Default::default(),
        };
        let is_changed =
            |anomaly: &&Anomaly| stored.get(&anomaly.key.to_string()).is_none_or(|count| *count < anomaly.count);
        self.raise_all(anomalies.iter().filter(is_changed)).await
    }

    async fn raise_all<'a>(&self, anomalies: impl Iterator<Item = &'a Anomaly>) -> Result<(), StoreError> {
        let raise = |anomaly| self.anomalies.raise(anomaly, self.retention.anomaly_expiry(anomaly.received_at));
        let raises: Vec<_> = anomalies.map(raise).collect();
        stream::iter(raises).buffer_unordered(PARALLEL_UPDATES).try_collect().await
    }

    /// Returns the events of `range` within `bounds`: as many as the range has keys, plus `others` more.
    async fn page(&self, range: &ContiguousRange, bounds: &KeyRange, others: u32) -> Result<WindowEvents, StoreError> {
        let limit = u32::try_from(range.keys.len() - 1).unwrap_or(u32::MAX).saturating_add(others);
        self.query(range, bounds, limit).await
    }

    /// Returns a gap-free, key-ordered run of events that covers the windows of the first key of `range` and of as many
    /// following keys as fit in one page.
    async fn load_window(&self, range: &ContiguousRange) -> Result<Vec<WindowEvent>, StoreError> {
        let bounds = range.bounds(&self.detection);
        let page = self.page(range, &bounds, self.detection.max_items).await?;
        if page.more { self.load_dense_window(range, &bounds).await } else { Ok(page.events) }
    }

    /// Fallback for dense windows: reads the nearest `window.max_items` events on each side of the first key of
    /// `range`, outwards from that key. Keeps paging forward while a page contains keys of `range`.
    async fn load_dense_window(
        &self,
        range: &ContiguousRange,
        bounds: &KeyRange,
    ) -> Result<Vec<WindowEvent>, StoreError> {
        let max_items = self.detection.max_items;
        let Some(first) = range.keys.first() else { return Ok(Vec::new()) };
        let before = KeyRange { from: bounds.from.clone(), to: first.to_string(), direction: Direction::NewestFirst };
        let after_first = bounds_after(first, bounds);
        let (before, mut after) = futures_util::future::try_join(
            self.query(range, &before, max_items),
            self.query(range, &after_first, max_items),
        )
        .await?;
        let mut events: Vec<WindowEvent> = before.events.into_iter().rev().collect();
        loop {
            let page_from = events.len();
            events.extend(after.events);
            let Some(last) = events.last().map(|last| last.key.clone()).filter(|_| after.more) else { break };
            // A key of the range on this page counts for events beyond the page.
            if !events[page_from..].iter().any(|event| range.keys.binary_search(&event.key).is_ok()) {
                break;
            }
            after = self.query(range, &bounds_after(&last, bounds), max_items).await?;
        }
        Ok(events)
    }

    /// Returns at most `limit` events within `bounds` that count together in `range`.
    async fn query(&self, range: &ContiguousRange, bounds: &KeyRange, limit: u32) -> Result<WindowEvents, StoreError> {
        match range.agent {
            None => self.events.query(&range.user, bounds, limit).await,
            Some(_) => self.query_agent(range, bounds, limit).await,
        }
    }

    /// Does the same as [`Self::query`] for the events of one agent, reading past the events of other agents.
    async fn query_agent(
        &self,
        range: &ContiguousRange,
        bounds: &KeyRange,
        limit: u32,
    ) -> Result<WindowEvents, StoreError> {
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let page_size = limit.max(self.detection.max_items);
        let (mut events, mut rest): (Vec<WindowEvent>, _) = (Vec::new(), bounds.clone());
        loop {
            let page = self.events.query(&range.user, &rest, page_size).await?;
            let last = page.events.last().map(|last| last.key.clone());
            let is_new = |event: &WindowEvent| match bounds.direction {
                Direction::OldestFirst => true,
                // The rest of the range ends with the last event of the previous page.
                Direction::NewestFirst => event.key.to_string() != rest.to || rest.to == bounds.to,
            };
            events.extend(page.events.into_iter().filter(|event| is_new(event) && range.includes(&event.key)));
            // The result for "more" must not depend on the events of other agents.
            let more = events.len() > wanted;
            let Some(last) = last.filter(|_| page.more && !more) else {
                events.truncate(wanted);
                return Ok(WindowEvents { events, more });
            };
            rest = match bounds.direction {
                Direction::OldestFirst => bounds_after(&last, bounds),
                Direction::NewestFirst => KeyRange { to: last.to_string(), ..rest },
            };
        }
    }

    /// Splits `keys` into parts whose events count together and whose affected ranges do not overlap.
    fn contiguous_ranges(&self, user: &UserId, mut keys: Vec<EventKey>) -> Vec<ContiguousRange> {
        keys.sort_unstable();
        keys.dedup();
        let mut groups: BTreeMap<Option<AgentId>, Vec<EventKey>> = BTreeMap::new();
        for key in keys {
            let agent = match self.detection.scope {
                WindowScope::User => None,
                WindowScope::UserAndAgent => Some(key.agent_id.clone()),
            };
            groups.entry(agent).or_default().push(key);
        }
        let overlap = |earlier: &EventKey, later: &EventKey| {
            affected_range(earlier.time, &self.detection).1 >= affected_range(later.time, &self.detection).0
        };
        let ranges = |(agent, keys): (Option<AgentId>, Vec<EventKey>)| {
            let range =
                |keys: &[EventKey]| ContiguousRange { user: user.clone(), agent: agent.clone(), keys: keys.to_vec() };
            keys.chunk_by(overlap).map(range).collect::<Vec<_>>()
        };
        groups.into_iter().flat_map(ranges).collect()
    }
}

/// Keys of a user's events that count together, in order. The affected ranges of the events form one contiguous range
/// of time.
#[derive(Clone, Debug)]
struct ContiguousRange {
    user: UserId,
    /// Agent whose events count, or `None` if the events of all agents count.
    agent: Option<AgentId>,
    keys: Vec<EventKey>,
}

impl ContiguousRange {
    /// Returns whether an event under `key` counts with the events of the range.
    fn includes(&self, key: &EventKey) -> bool {
        self.agent.as_ref().is_none_or(|agent| key.agent_id == *agent)
    }

    /// Returns the bounds of all events that affect an event of the range or are affected by one.
    fn bounds(&self, detection: &Detection) -> KeyRange {
        let from = self.keys.first().map_or(Timestamp::MAX, |first| affected_range(first.time, detection).0);
        let to = self.keys.last().map_or(Timestamp::MIN, |last| affected_range(last.time, detection).1);
        KeyRange { from: EventKey::lower_bound(from), to: EventKey::upper_bound(to), direction: Direction::OldestFirst }
    }
}

/// Merges `parts`, ordered by key.
fn in_order(parts: Vec<Vec<Anomaly>>) -> Vec<Anomaly> {
    let mut anomalies = parts.concat();
    anomalies.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    anomalies.dedup_by(|one, other| one.key == other.key);
    anomalies
}

/// Returns the part of `bounds` after `key`, oldest first.
fn bounds_after(key: &EventKey, bounds: &KeyRange) -> KeyRange {
    // The smallest text after the key itself: the range begins after the key.
    KeyRange { from: format!("{key}\u{0}"), to: bounds.to.clone(), direction: Direction::OldestFirst }
}

/// Returns `event` as it is stored, or `None` if another event is stored in its place.
fn stored_as(put: &PutResult<ExistingEvent>, event: &ReceivedEvent) -> Option<WindowEvent> {
    let (key, received_at) = match put {
        PutResult::Stored => (event.key.clone(), event.received_at),
        PutResult::Existing(existing) if existing.is_same(event) => (existing.key.clone(), existing.received_at),
        PutResult::Existing(_) => return None,
    };
    Some(WindowEvent { key, signal_type: event.signal_type.clone(), received_at })
}

fn outcome(put: &PutResult<ExistingEvent>, receipt: Receipt) -> IngestOutcome {
    match put {
        PutResult::Stored => IngestOutcome::Stored(receipt),
        PutResult::Existing(_) => IngestOutcome::Duplicate(receipt),
    }
}
