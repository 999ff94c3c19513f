//! The tables of events and of anomalies.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use super::anomaly::{Anomaly, Severity};
use super::detection::Occurrence;
use super::event::ReceivedEvent;
use super::key::EventKey;
use crate::aws::StoreError;
use crate::ids::{SignalType, UserId};
use crate::time::Timestamp;

const STORE: &str = "dynamodb";

type Item = HashMap<String, AttributeValue>;

/// Stores an event.
pub trait PutEvent {
    /// Stores `event` unless there is one under its key; `expires_at` is in Unix seconds.
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
    /// An event was there under the same key; nothing has changed.
    Found(FoundEvent),
}

/// The event that was there already.
#[derive(Clone, Debug)]
pub struct FoundEvent {
    /// When it was taken in.
    pub received_at: Timestamp,
    /// Its kind.
    pub signal_type: SignalType,
    /// Its payload as JSON text.
    pub payload: String,
}

/// Reads the events of a user in the order of their keys.
pub trait QueryEvents {
    /// At most `limit` events of `user` with sort keys from `range.from` to `range.to`, read strongly.
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

/// Stores an anomaly.
pub trait RaiseAnomaly {
    /// Stores `anomaly`, unless what is there under its key counts as much already; `expires_at` is in Unix seconds.
    fn raise(&self, anomaly: &Anomaly, expires_at: Option<i64>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The DynamoDB table `events`.
#[derive(Clone, Debug)]
pub struct EventTable {
    client: Client,
    table: String,
}

impl EventTable {
    /// The table named `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }
}

impl PutEvent for EventTable {
    async fn put(&self, event: &ReceivedEvent, expires_at: Option<i64>) -> Result<Put, StoreError> {
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(event_item(event, expires_at)))
            .condition_expression("attribute_not_exists(sk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match sent {
            Ok(_) => return Ok(Put::New),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(service) if service.is_conditional_check_failed_exception() => {}
            _ => return Err(StoreError::from_sdk(STORE, "PutItem", &error)),
        }
        let found = match error.into_service_error() {
            aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failed) => failed.item,
            _ => None,
        };
        let found = found.as_ref().and_then(found_event).ok_or_else(|| unreadable("PutItem", "event"))?;
        // An attempt whose answer got lost has stored it: what is there is this very event.
        Ok(if found.received_at == event.received_at { Put::New } else { Put::Found(found) })
    }
}

impl QueryEvents for EventTable {
    async fn query(&self, user: &UserId, range: &KeyRange, limit: u32) -> Result<Occurrences, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("user_id = :user AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":user", text(user.as_str()))
            .expression_attribute_values(":from", text(&range.from))
            .expression_attribute_values(":to", text(&range.to))
            .projection_expression("sk, signal_type")
            .consistent_read(true)
            .scan_index_forward(range.order == Order::OldestFirst)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(STORE, "Query", &error))?;
        let more = answer.last_evaluated_key.is_some();
        let items = answer.items.unwrap_or_default();
        let events = items.iter().map(|item| occurrence(item).ok_or_else(|| unreadable("Query", "event")));
        Ok(Occurrences { events: events.collect::<Result<_, _>>()?, more })
    }
}

/// The DynamoDB table `anomalies`.
#[derive(Clone, Debug)]
pub struct AnomalyTable {
    client: Client,
    table: String,
}

impl AnomalyTable {
    /// The table named `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The newest `limit` anomalies of `user` that `is_visible` lets through, newest first, read strongly. What has
    /// expired is left out, although DynamoDB deletes it late.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn newest(
        &self,
        user: &UserId,
        limit: usize,
        is_visible: impl Fn(&Anomaly) -> bool,
    ) -> Result<Vec<Anomaly>, StoreError> {
        let now = Timestamp::now().seconds();
        let mut anomalies = Vec::new();
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("user_id = :user")
            .expression_attribute_values(":user", text(user.as_str()))
            .consistent_read(true)
            .scan_index_forward(false)
            .into_paginator()
            .page_size(i32::try_from(limit).unwrap_or(i32::MAX))
            .items()
            .send();
        while anomalies.len() < limit
            && let Some(item) = pages.next().await
        {
            let item = item.map_err(|error| StoreError::from_sdk(STORE, "Query", &error))?;
            let anomaly = anomaly(user, &item).ok_or_else(|| unreadable("Query", "anomaly"))?;
            if is_visible(&anomaly) && !is_expired(&item, now) {
                anomalies.push(anomaly);
            }
        }
        Ok(anomalies)
    }
}

impl RaiseAnomaly for AnomalyTable {
    async fn raise(&self, anomaly: &Anomaly, expires_at: Option<i64>) -> Result<(), StoreError> {
        let mut update = "SET signal_type = :signal_type, #count = :count, threshold = :threshold, \
                          window_start = :window_start, severity = :severity"
            .to_owned();
        let mut values = Item::from([
            (":signal_type".to_owned(), text(anomaly.signal_type.as_str())),
            (":count".to_owned(), AttributeValue::N(anomaly.count.to_string())),
            (":threshold".to_owned(), AttributeValue::N(anomaly.threshold.to_string())),
            (":window_start".to_owned(), text(&anomaly.window_start.to_string())),
            (":severity".to_owned(), text(anomaly.severity.name())),
        ]);
        if let Some(expires_at) = expires_at {
            update.push_str(", expires_at = if_not_exists(expires_at, :expires_at)");
            values.insert(":expires_at".to_owned(), AttributeValue::N(expires_at.to_string()));
        }
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("user_id", text(anomaly.user_id.as_str()))
            .key("sk", text(&anomaly.key.to_string()))
            .update_expression(update)
            // As events come in, a count grows until it is window.max_items; from then on the window's start does.
            .condition_expression(
                "attribute_not_exists(sk) OR #count < :count OR (#count = :count AND window_start < :window_start)",
            )
            .expression_attribute_names("#count", "count")
            .set_expression_attribute_values(Some(values))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(answer)) if answer.err().is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(StoreError::from_sdk(STORE, "UpdateItem", &error)),
        }
    }
}

fn event_item(event: &ReceivedEvent, expires_at: Option<i64>) -> Item {
    let mut item = Item::from([
        ("user_id".to_owned(), text(event.user_id.as_str())),
        ("sk".to_owned(), text(&event.key.to_string())),
        ("signal_type".to_owned(), text(event.signal_type.as_str())),
        ("payload".to_owned(), text(&event.payload)),
        ("timestamp".to_owned(), text(&event.timestamp.to_string())),
        ("time_source".to_owned(), text(event.time_source.name())),
        ("skew_ms".to_owned(), AttributeValue::N(event.skew_millis().to_string())),
        ("received_at".to_owned(), text(&event.received_at.to_string())),
    ]);
    if let Some(expires_at) = expires_at {
        item.insert("expires_at".to_owned(), AttributeValue::N(expires_at.to_string()));
    }
    item
}

fn found_event(item: &Item) -> Option<FoundEvent> {
    Some(FoundEvent {
        received_at: Timestamp::parse_rfc3339(string(item, "received_at")?)?,
        signal_type: SignalType::try_from(string(item, "signal_type")?).ok()?,
        payload: string(item, "payload")?.to_owned(),
    })
}

fn occurrence(item: &Item) -> Option<Occurrence> {
    Some(Occurrence {
        key: EventKey::parse(string(item, "sk")?)?,
        signal_type: SignalType::try_from(string(item, "signal_type")?).ok()?,
    })
}

fn anomaly(user: &UserId, item: &Item) -> Option<Anomaly> {
    Some(Anomaly {
        user_id: user.clone(),
        key: EventKey::parse(string(item, "sk")?)?,
        signal_type: SignalType::try_from(string(item, "signal_type")?).ok()?,
        count: number(item, "count")?,
        threshold: number(item, "threshold")?,
        window_start: Timestamp::parse_rfc3339(string(item, "window_start")?)?,
        severity: Severity::from_name(string(item, "severity")?)?,
    })
}

fn is_expired(item: &Item, now: i64) -> bool {
    number(item, "expires_at").is_some_and(|expires_at: i64| expires_at <= now)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn number<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn unreadable(operation: &'static str, what: &str) -> StoreError {
    StoreError::unreadable(STORE, operation, what)
}
