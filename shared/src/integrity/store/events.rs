//! The table `events`: one item per event, plus an idempotency record and a payload item where needed.
//!
//! | Sort key | Item |
//! |---|---|
//! | `e#<time>#<agent>#<event_id>` | an event |
//! | `id#<agent>#<event_id>` | an idempotency record: the key and the description of the event with this id |
//! | `p#<time>#<agent>#<event_id>#<hash>` | the payload of an event, if it is large |

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put as PutRequest, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use super::super::detection::WindowEvent;
use super::super::event::{Dedup, ReceivedEvent, StoredEvent};
use super::super::key::EventKey;
use super::super::payload::Payload;
use super::item::{corrupt, key, primary_key};
use super::query::{Decision, ItemQuery, MAX_PAGE_BYTES, read_newest};
use super::{Cursor, ExistingEvent, ItemFilter, KeyRange, Page, PageRequest, PutEvent, QueryEvents, WindowEvents};
use crate::aws::item::{Item, number, parsed, set_expiry, string, text, time};
use crate::aws::{DYNAMODB, PutResult, StoreError, jitter};
use crate::ids::{AgentId, SignalType, UserId};
use crate::json::escaped_len;

/// Maximum retries of a transaction that conflicted with another one or was throttled.
const TRANSACTION_RETRIES: u32 = 5;
/// Pause before the first retry. Each later pause is up to twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Cancellation reasons worth a retry. The SDK does not retry cancelled transactions:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>.
const TRANSIENT_REASONS: [&str; 3] = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
/// Payloads read concurrently.
const PARALLEL_GETS: usize = 16;
/// Stored bytes of a payload's hash, enough to rule out collisions.
const TEXT_HASH_BYTES: usize = 16;
const IF_NOT_EXISTS: &str = "attribute_not_exists(sk)";

/// The DynamoDB table `events`.
#[derive(Clone, Debug)]
pub struct EventTable {
    client: Client,
    table: String,
}

impl EventTable {
    /// Creates a store on the table named `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Returns the newest events of `user` that `request` asks for and `filter` selects, using strongly consistent
    /// reads. Leaves out expired items, which DynamoDB deletes late. A page may be short.
    pub async fn newest(
        &self,
        user: &UserId,
        request: &PageRequest,
        filter: ItemFilter<impl Fn(&AgentId) -> bool, impl Fn(&WindowEvent) -> bool>,
    ) -> Result<Page<StoredEvent>, StoreError> {
        let page = read_newest(&self.client, &self.table, user, request, |item| {
            let event = window_event(item).ok_or_else(|| corrupt("Query", "event"))?;
            Ok(if !(filter.can_access)(&event.key.agent_id) {
                Decision::Hidden
            } else if (filter.matches)(&event) && request.includes(event.received_at) {
                Decision::Shown((event, item.clone()), parsed(item, "payload_bytes").unwrap_or(0))
            } else {
                Decision::Filtered
            })
        })
        .await?;
        let stored = |(event, item)| self.stored_event(user, event, item);
        let reads: Vec<_> = page.items.into_iter().map(stored).collect();
        let mut events = stream::iter(reads).buffered(PARALLEL_GETS);
        let mut shown = Page { items: Vec::<StoredEvent>::new(), next: page.next };
        let mut bytes = 0;
        // Payloads are counted at their stored size, whatever size their events state.
        while let Some(event) = events.try_next().await? {
            bytes += escaped_len(&event.payload);
            if bytes > MAX_PAGE_BYTES
                && let Some(last) = shown.items.last()
            {
                shown.next = Some(Cursor::after(last.key.clone()));
                break;
            }
            shown.items.push(event);
        }
        Ok(shown)
    }

    async fn stored_event(&self, user: &UserId, event: WindowEvent, item: Item) -> Result<StoredEvent, StoreError> {
        let payload = match string(&item, "payload") {
            Some(payload) => payload.to_owned(),
            None => self.separate_payload(user, &event.key, &item).await?,
        };
        let event = || {
            Some(StoredEvent {
                user_id: user.clone(),
                key: event.key.clone(),
                signal_type: event.signal_type.clone(),
                payload,
                timestamp: time(&item, "timestamp")?,
                time_source: string(&item, "time_source")?.parse().ok()?,
                skew_millis: parsed(&item, "skew_ms")?,
                received_at: event.received_at,
            })
        };
        event().ok_or_else(|| corrupt("Query", "event"))
    }

    /// Reads a payload from its own item. The payload is null if that item expired before the event, which can happen
    /// after the retention was shortened.
    async fn separate_payload(&self, user: &UserId, key: &EventKey, item: &Item) -> Result<String, StoreError> {
        // Events stored before payloads were keyed by their text have no such hash.
        let hash = string(item, "payload_hash").or_else(|| string(item, "payload_digest"));
        let hash = hash.ok_or_else(|| corrupt("Query", "event"))?;
        let response = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(primary_key(user, payload_sort_key(key, hash))))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(DYNAMODB, "GetItem", &error))?;
        let payload = response.item.as_ref().and_then(|item| string(item, "payload")).map(str::to_owned);
        Ok(payload.unwrap_or_else(|| {
            tracing::warn!("cannot find payload of event: it expired before the event");
            "null".to_owned()
        }))
    }

    /// Stores a large payload before its event, so that a crash leaves no event without its payload. The key contains
    /// the hash of the payload's text: a different text under the same id, even one with the same meaning, does not
    /// replace it.
    async fn put_payload(&self, event: &ReceivedEvent, expires_at: Option<i64>) -> Result<(), StoreError> {
        let mut item = primary_key(&event.user_id, payload_sort_key(&event.key, &text_hash(&event.payload)));
        item.insert("payload".to_owned(), text(event.payload.text()));
        set_expiry(&mut item, expires_at);
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(DYNAMODB, "PutItem", &error))?;
        Ok(())
    }

    async fn put_event(&self, event: &ReceivedEvent, expires_at: Option<i64>) -> Result<Option<Item>, StoreError> {
        let sent = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(event_item(event, expires_at)))
            .condition_expression(IF_NOT_EXISTS)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(None),
            Err(error) => {
                let failure = StoreError::from_sdk(DYNAMODB, "PutItem", &error);
                match error.into_service_error() {
                    PutItemError::ConditionalCheckFailedException(failed) => {
                        failed.item.map(Some).ok_or_else(|| corrupt("PutItem", "existing event"))
                    }
                    _ => Err(failure),
                }
            }
        }
    }

    /// Stores the event and its idempotency record in one transaction.
    async fn put_with_record(
        &self,
        event: &ReceivedEvent,
        expires_at: Option<i64>,
    ) -> Result<Option<Item>, StoreError> {
        let puts = [
            self.put_if_not_exists(record_item(event, expires_at))?,
            self.put_if_not_exists(event_item(event, expires_at))?,
        ];
        let puts = puts.map(|put| TransactWriteItem::builder().put(put).build());
        let mut attempt = 0;
        loop {
            let sent = self.client.transact_write_items().set_transact_items(Some(puts.to_vec())).send().await;
            let Err(error) = sent else { return Ok(None) };
            let failure = StoreError::from_sdk(DYNAMODB, "TransactWriteItems", &error);
            let TransactWriteItemsError::TransactionCanceledException(canceled) = error.into_service_error() else {
                return Err(failure);
            };
            let reasons = canceled.cancellation_reasons.unwrap_or_default();
            if let Some(found) = reasons.iter().find(|reason| reason.code() == Some("ConditionalCheckFailed")) {
                let found = found.item.clone();
                return found.map(Some).ok_or_else(|| corrupt("TransactWriteItems", "existing event"));
            }
            let is_transient =
                reasons.iter().any(|reason| reason.code().is_some_and(|code| TRANSIENT_REASONS.contains(&code)));
            if !is_transient || attempt == TRANSACTION_RETRIES {
                return Err(failure);
            }
            tokio::time::sleep((FIRST_PAUSE * 2_u32.pow(attempt)).mul_f64(jitter())).await;
            attempt += 1;
        }
    }

    fn put_if_not_exists(&self, item: Item) -> Result<PutRequest, StoreError> {
        PutRequest::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(IF_NOT_EXISTS)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|_| StoreError::encode(DYNAMODB, "TransactWriteItems", "event"))
    }
}

impl PutEvent for EventTable {
    async fn put(
        &self,
        event: &ReceivedEvent,
        expires_at: Option<i64>,
    ) -> Result<PutResult<ExistingEvent>, StoreError> {
        if event.payload.is_stored_separately() {
            self.put_payload(event, expires_at).await?;
        }
        let found = match event.dedup {
            Dedup::None | Dedup::ByKey => self.put_event(event, expires_at).await?,
            Dedup::ByRecord => self.put_with_record(event, expires_at).await?,
        };
        let Some(found) = found else { return Ok(PutResult::Stored) };
        if is_own(&found, event) {
            return Ok(PutResult::Stored);
        }
        Ok(PutResult::Existing(existing_event(&found).ok_or_else(|| corrupt("PutItem", "event"))?))
    }
}

impl QueryEvents for EventTable {
    async fn query(&self, user: &UserId, range: &KeyRange, limit: u32) -> Result<WindowEvents, StoreError> {
        let projection = Some("sk, signal_type, received_at");
        let found = ItemQuery { client: &self.client, table: &self.table, user, range, projection }.all(limit).await?;
        let events = found.items.iter().map(|item| window_event(item).ok_or_else(|| corrupt("Query", "event")));
        Ok(WindowEvents { events: events.collect::<Result<_, _>>()?, more: found.resume.is_some() })
    }
}

fn event_item(event: &ReceivedEvent, expires_at: Option<i64>) -> Item {
    let mut item = primary_key(&event.user_id, &event.key);
    item.extend(description(event));
    item.insert("time_source".to_owned(), text(event.time_source));
    item.insert("skew_ms".to_owned(), number(event.skew_millis()));
    item.insert("payload_bytes".to_owned(), number(escaped_len(event.payload.text())));
    if event.payload.is_stored_separately() {
        item.insert("payload_hash".to_owned(), text(text_hash(&event.payload)));
    } else {
        item.insert("payload".to_owned(), text(event.payload.text()));
    }
    set_expiry(&mut item, expires_at);
    item
}

fn record_item(event: &ReceivedEvent, expires_at: Option<i64>) -> Item {
    let mut item = primary_key(&event.user_id, format!("id#{}#{}", event.key.agent_id, event.key.event_id));
    item.extend(description(event));
    item.insert("event_sk".to_owned(), text(&event.key));
    set_expiry(&mut item, expires_at);
    item
}

/// Returns the attributes shared by an event and its idempotency record: enough to respond to a resend of the event.
fn description(event: &ReceivedEvent) -> Item {
    Item::from([
        ("signal_type".to_owned(), text(&event.signal_type)),
        ("timestamp".to_owned(), text(event.timestamp)),
        ("payload_digest".to_owned(), text(event.payload.digest())),
        ("received_at".to_owned(), text(event.received_at)),
        ("receipt".to_owned(), number(event.nonce)),
    ])
}

/// Returns whether `found` is `event` itself, stored by an attempt whose response was lost.
fn is_own(found: &Item, event: &ReceivedEvent) -> bool {
    parsed(found, "receipt") == Some(event.nonce) && time(found, "received_at") == Some(event.received_at)
}

fn payload_sort_key(key: &EventKey, hash: &str) -> String {
    format!("p#{}#{hash}", key.to_cursor())
}

/// Returns a hash of the original text of `payload`, in hexadecimal.
fn text_hash(payload: &Payload) -> String {
    hex::encode(&Sha256::digest(payload.text())[..TEXT_HASH_BYTES])
}

/// Parses an event or its idempotency record.
fn existing_event(item: &Item) -> Option<ExistingEvent> {
    Some(ExistingEvent {
        key: match string(item, "event_sk") {
            Some(event) => EventKey::parse(event)?,
            None => key(item)?,
        },
        signal_type: SignalType::try_from(string(item, "signal_type")?).ok()?,
        timestamp: time(item, "timestamp")?,
        payload_digest: string(item, "payload_digest")?.to_owned(),
        received_at: time(item, "received_at")?,
    })
}

fn window_event(item: &Item) -> Option<WindowEvent> {
    Some(WindowEvent {
        key: key(item)?,
        signal_type: SignalType::try_from(string(item, "signal_type")?).ok()?,
        received_at: time(item, "received_at")?,
    })
}
