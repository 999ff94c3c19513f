//! The table `activity`.
//!
//! | `pk` | `sk` | Content |
//! |---|---|---|
//! | `c#<agent>#<hour>` | `<user>#<minute>` | Chunk: for each signal a binary set `s#<signal>` |
//! | `h#<agent>` | `<hour>` | Record of the hour: `users`, `stressed_users`, counts `m<minute>` |
//! | `u#<agent>` | `<user>` | Record of the user: newest entries, counts `d<day>` |

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use uuid::Uuid;

use super::chunk::{Chunk, ChunkKey};
use super::counts;
use super::hour::{Hour, HourRecord, Slot};
use super::store::{ActivityStore, Record, RecordKey};
use super::user::UserRecord;
use crate::aws::item::{Item, number, parsed, set_expiry, string, text};
use crate::aws::versioned::{self, VERSION, Versioned};
use crate::aws::{DYNAMODB, StoreError, jitter};
use crate::config;
use crate::ids::{AgentId, Signal, UserId};
use crate::logging::{Conversation, EntryOrder};
use crate::time::Timestamp;

/// Items that DynamoDB reads at once.
const MAX_READ: usize = 100;
/// Concurrent reads of so many items.
const PARALLEL_READS: usize = 8;
/// Reads of items that DynamoDB left out, because there were too many or it throttled them.
const ATTEMPTS: u32 = 8;
/// Pause before the second of these reads. Each later pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// Sets that one call changes: an expression has at most 4 kB.
const MAX_SETS: usize = 100;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
/// Prefix of the attributes with sets.
pub(super) const SET: &str = "s#";

/// The DynamoDB table `activity`.
#[derive(Clone, Debug)]
pub struct ActivityTable {
    pub(super) client: Client,
    pub(super) table: String,
    /// Days after which log entries expire, or 0.
    log_days: u32,
}

impl ActivityTable {
    /// Creates a store on the table named `table`, for logs that expire after `log_days` days unless that is 0.
    pub fn new(client: Client, table: String, log_days: u32) -> Self {
        Self { client, table, log_days }
    }

    /// Returns the Unix second at which what belongs to entries of `millis` expires. S3 counts the days of an object from
    /// its creation, and deletes it at the end of the day.
    fn expiry(&self, millis: i64) -> Option<i64> {
        let created = Timestamp::clamped_millis(millis).max(Timestamp::now());
        config::expiry(self.log_days, created).map(|expiry| expiry + SECONDS_PER_DAY)
    }

    async fn update(&self, chunk: &Chunk, action: &str, expires_at: Option<i64>) -> Result<(), StoreError> {
        let sets: Vec<_> = chunk.sets.iter().collect();
        for sets in sets.chunks(MAX_SETS) {
            self.update_sets(&chunk.key, sets, action, expires_at).await?;
        }
        Ok(())
    }

    async fn update_sets(
        &self,
        key: &ChunkKey,
        sets: &[(&Signal, &BTreeSet<EntryOrder>)],
        action: &str,
        expires_at: Option<i64>,
    ) -> Result<(), StoreError> {
        let (mut parts, mut names, mut values) = (Vec::new(), HashMap::new(), HashMap::new());
        for (index, (signal, orders)) in sets.iter().enumerate() {
            parts.push(format!("#s{index} :s{index}"));
            names.insert(format!("#s{index}"), format!("{SET}{signal}"));
            let entries = orders.iter().map(|order| Blob::new(key.encode(*order)));
            values.insert(format!(":s{index}"), AttributeValue::Bs(entries.collect()));
        }
        let mut expression = format!("{action} {}", parts.join(", "));
        if let Some(expires_at) = expires_at {
            expression.push_str(" SET expires_at = :expires_at");
            values.insert(":expires_at".to_owned(), number(expires_at));
        }
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(chunk_key(key)))
            .update_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .send()
            .await;
        sent.map(drop).map_err(|error| StoreError::from_sdk(DYNAMODB, "UpdateItem", &error))
    }

    /// Returns the chunks of `agent` in `hour` whose sort keys begin with `prefix`.
    async fn query_chunks(&self, agent: &AgentId, hour: Hour, prefix: &str) -> Result<Vec<Chunk>, StoreError> {
        let mut query = self.client.query().table_name(&self.table).consistent_read(true);
        query = query.expression_attribute_values(":pk", text(chunks_of(agent, hour)));
        // DynamoDB refuses an empty prefix.
        query = match prefix {
            "" => query.key_condition_expression("pk = :pk"),
            prefix => query
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", text(prefix)),
        };
        let items = query.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let items = items.map_err(|error| StoreError::from_sdk(DYNAMODB, "Query", &error))?;
        items.iter().map(|item| parse_chunk(agent, hour, item).ok_or_else(|| corrupt("Query"))).collect()
    }

    /// Reads the items under `keys`, at most 100. Returns the items that exist.
    pub(super) async fn read_some(
        &self,
        keys: &[RecordKey],
        is_consistent: bool,
    ) -> Result<HashMap<(String, String), Item>, StoreError> {
        let mut wanted: Vec<Item> = keys.iter().map(record_key).collect();
        let mut found = HashMap::new();
        for attempt in 0_u32.. {
            if wanted.is_empty() {
                break;
            }
            if attempt == ATTEMPTS {
                return Err(StoreError::overdue(DYNAMODB, "BatchGetItem"));
            }
            if attempt > 0 {
                tokio::time::sleep(FIRST_PAUSE.saturating_mul(1 << attempt).mul_f64(jitter())).await;
            }
            let keys = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(is_consistent).build();
            let keys = keys.map_err(|error| StoreError::encode(DYNAMODB, "BatchGetItem", &error.to_string()))?;
            let sent = self.client.batch_get_item().request_items(&self.table, keys).send().await;
            let response = sent.map_err(|error| StoreError::from_sdk(DYNAMODB, "BatchGetItem", &error))?;
            for item in response.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                let key = |name| Some(string(&item, name)?.to_owned());
                let (pk, sk) = key("pk").zip(key("sk")).ok_or_else(|| corrupt("BatchGetItem"))?;
                found.insert((pk, sk), item);
            }
            let mut rest = response.unprocessed_keys.unwrap_or_default();
            wanted = rest.remove(&self.table).map(|rest| rest.keys).unwrap_or_default();
        }
        Ok(found)
    }
}

impl ActivityStore for ActivityTable {
    async fn add(&self, chunk: &Chunk) -> Result<(), StoreError> {
        self.update(chunk, "ADD", self.expiry(chunk.key.hour.start())).await
    }

    async fn remove(&self, chunk: &Chunk) -> Result<(), StoreError> {
        self.update(chunk, "DELETE", None).await
    }

    async fn delete(&self, key: &ChunkKey) -> Result<(), StoreError> {
        let sent = self.client.delete_item().table_name(&self.table).set_key(Some(chunk_key(key))).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk(DYNAMODB, "DeleteItem", &error))
    }

    async fn chunks(&self, agent: &AgentId, hour: Hour) -> Result<Vec<Chunk>, StoreError> {
        self.query_chunks(agent, hour, "").await
    }

    async fn chunks_of_user(&self, conversation: &Conversation, hour: Hour) -> Result<Vec<Chunk>, StoreError> {
        let prefix = chunk_prefix(&conversation.user_id);
        self.query_chunks(&conversation.agent_id, hour, &prefix).await
    }

    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Versioned<Record>>, StoreError> {
        let reads: Vec<_> = keys.chunks(MAX_READ).map(|keys| self.read_some(keys, true)).collect();
        let found: Vec<_> = stream::iter(reads).buffer_unordered(PARALLEL_READS).try_collect().await?;
        let found: HashMap<_, _> = found.into_iter().flatten().collect();
        keys.iter()
            .map(|key| match found.get(&key_of(key)) {
                Some(item) => parse_record(key, item).ok_or_else(|| corrupt("BatchGetItem")),
                None => Ok(Versioned { record: key.missing(), version: 0 }),
            })
            .collect()
    }

    async fn replace(&self, key: &RecordKey, record: &Record, version: u64) -> Result<bool, StoreError> {
        let mut item = record_key(key);
        // A record that comes back after it was deleted has a version that it never had.
        let next = if version == 0 { Timestamp::now().micros().unsigned_abs() } else { version + 1 };
        item.insert(VERSION.to_owned(), number(next));
        let expiry = match (key, record) {
            (RecordKey::Hour(_, hour), Record::Hour(record)) => {
                write_hour(&mut item, record);
                self.expiry(hour.start())
            }
            (_, Record::User(record)) => {
                write_user(&mut item, record);
                let newest = record.newest.as_ref().map(|((millis, _), _)| *millis);
                // A record that says nothing but that the user was erased is needed as long as it says so.
                newest.map_or(record.erased_until, |newest| {
                    self.expiry(newest).map(|expiry| expiry.max(record.erased_until.unwrap_or(expiry)))
                })
            }
            (RecordKey::User(..), Record::Hour(_)) => {
                return Err(StoreError::encode(DYNAMODB, "PutItem", "a record under the key of another kind"));
            }
        };
        set_expiry(&mut item, expiry);
        versioned::replace(&self.client, &self.table, "pk", item, version).await
    }
}

pub(super) fn corrupt(operation: &'static str) -> StoreError {
    StoreError::corrupt(DYNAMODB, operation, "activity")
}

fn item_key(pk: String, sk: String) -> Item {
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(super) fn chunks_of(agent: &AgentId, hour: Hour) -> String {
    format!("c#{agent}#{hour}")
}

fn chunk_key(key: &ChunkKey) -> Item {
    item_key(chunks_of(&key.agent_id, key.hour), format!("{}{}", chunk_prefix(&key.user_id), key.slot))
}

/// Returns the beginning of the sort keys of the chunks of `user`.
fn chunk_prefix(user: &UserId) -> String {
    // A name does not contain the separator.
    format!("{user}#")
}

pub(super) fn key_of(key: &RecordKey) -> (String, String) {
    match key {
        RecordKey::Hour(agent, hour) => (format!("h#{agent}"), hour.to_string()),
        RecordKey::User(agent, user) => (format!("u#{agent}"), user.to_string()),
    }
}

fn record_key(key: &RecordKey) -> Item {
    let (pk, sk) = key_of(key);
    item_key(pk, sk)
}

pub(super) fn parse_chunk(agent: &AgentId, hour: Hour, item: &Item) -> Option<Chunk> {
    // A name does not contain the separator.
    let (user, slot) = string(item, "sk")?.split_once('#')?;
    let user_id = UserId::try_from(user).ok()?;
    let mut chunk = Chunk::new(ChunkKey { agent_id: agent.clone(), hour, user_id, slot: Slot::parse(slot)? });
    for (name, value) in item {
        let Some(signal) = name.strip_prefix(SET) else { continue };
        let signal = Signal::try_from(signal).ok()?;
        for entry in value.as_bs().ok()? {
            chunk.add(chunk.key.decode(entry.as_ref())?, signal.clone());
        }
    }
    Some(chunk)
}

fn parse_record(key: &RecordKey, item: &Item) -> Option<Versioned<Record>> {
    let record = match key {
        RecordKey::Hour(..) => Record::Hour(parse_hour(item)?),
        RecordKey::User(..) => Record::User(parse_user(item)?),
    };
    Some(Versioned { record, version: parsed(item, VERSION)? })
}

fn write_hour(item: &mut Item, record: &HourRecord) {
    item.insert("users".to_owned(), number(record.users));
    item.insert("stressed_users".to_owned(), number(record.stressed_users));
    item.extend(record.slots.iter().map(|(slot, counts)| (format!("m{slot}"), text(counts::to_text(counts)))));
}

/// Parses the record of an hour. Returns `None` if the item is not one.
pub(super) fn parse_hour(item: &Item) -> Option<HourRecord> {
    let slots = item.keys().filter_map(|name| Some((name, Slot::parse(name.strip_prefix('m')?)?)));
    let slots = slots.map(|(name, slot)| Some((slot, counts::parse(string(item, name)?)?)));
    Some(HourRecord {
        slots: slots.collect::<Option<_>>()?,
        users: parsed(item, "users")?,
        stressed_users: parsed(item, "stressed_users")?,
    })
}

fn write_user(item: &mut Item, record: &UserRecord) {
    if let Some((order, signal)) = &record.newest {
        item.insert("newest".to_owned(), text(order_text(*order)));
        item.insert("signal".to_owned(), text(signal));
    }
    item.extend(record.newest_stressed.map(|order| ("stressed".to_owned(), text(order_text(order)))));
    item.extend(record.erased_until.map(|until| ("erased_until".to_owned(), number(until))));
    item.extend(record.days().into_iter().map(|(day, counts)| (format!("d{day}"), text(counts))));
}

/// Parses the record of a user. Returns `None` if the item is not one.
pub(super) fn parse_user(item: &Item) -> Option<UserRecord> {
    let mut record = UserRecord { erased_until: parsed(item, "erased_until"), ..UserRecord::default() };
    if let Some(newest) = string(item, "newest") {
        record.newest = Some((parse_order(newest)?, Signal::try_from(string(item, "signal")?).ok()?));
    }
    if let Some(stressed) = string(item, "stressed") {
        record.newest_stressed = Some(parse_order(stressed)?);
    }
    for name in item.keys() {
        let Some(day) = name.strip_prefix('d') else { continue };
        record.hours.extend(UserRecord::parse_day(day, string(item, name)?)?);
    }
    Some(record)
}

fn order_text((millis, id): EntryOrder) -> String {
    format!("{} {id}", Timestamp::clamped_millis(millis).to_rfc3339_millis())
}

fn parse_order(text: &str) -> Option<EntryOrder> {
    let (time, id) = text.split_once(' ')?;
    Some((Timestamp::parse_rfc3339(time)?.millis(), Uuid::try_parse(id).ok()?))
}
