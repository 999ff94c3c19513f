//! Reads the table `activity` for the views.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;

use super::store::{HourPage, ReadActivity, UserPage};
use crate::activity::store::RecordKey;
use crate::activity::table::{SET, chunks_of, corrupt, key_of, parse_chunk, parse_hour, parse_user};
use crate::activity::{ActivityTable, Chunk, Hour, UserRecord};
use crate::aws::item::{Item, is_expired, string, text};
use crate::aws::{DYNAMODB, StoreError};
use crate::ids::{AgentId, Signal, UserId};
use crate::time::Timestamp;

impl ReadActivity for ActivityTable {
    async fn hours(
        &self,
        agent: &AgentId,
        oldest: Hour,
        newest: Hour,
        limit: Option<usize>,
    ) -> Result<HourPage, StoreError> {
        // DynamoDB rejects such a condition.
        if oldest > newest {
            return Ok(HourPage::default());
        }
        let ((pk, first), (_, last)) = (hour_key(agent, oldest), hour_key(agent, newest));
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(last))
            .scan_index_forward(false);
        let found = select(query, limit).await?;
        let hour = |item: &Item| Hour::parse(string(item, "sk")?);
        let next = found.more.then(|| found.items.last().and_then(hour)).flatten().map(|last| last.earlier(1));
        let parse = |item: &Item| Some((hour(item)?, parse_hour(item)?));
        Ok(HourPage { hours: parse_current(&found.items, parse)?, next })
    }

    async fn chunks_with(
        &self,
        agent: &AgentId,
        hour: Hour,
        signal: Option<&Signal>,
    ) -> Result<Vec<Chunk>, StoreError> {
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(chunks_of(agent, hour)));
        if let Some(signal) = signal {
            query = query
                .filter_expression("attribute_exists(#set)")
                .expression_attribute_names("#set", format!("{SET}{signal}"));
        }
        let found = select(query, None).await?;
        parse_current(&found.items, |item| parse_chunk(agent, hour, item))
    }

    async fn users(&self, agent: &AgentId, users: &[UserId]) -> Result<Vec<UserRecord>, StoreError> {
        let keys: Vec<_> = users.iter().map(|user| RecordKey::User(agent.clone(), user.clone())).collect();
        let found = self.read_some(&keys, false).await?;
        let now = Timestamp::now();
        keys.iter()
            .map(|key| match found.get(&key_of(key)).filter(|item| !is_expired(item, now)) {
                Some(item) => parse_user(item).ok_or_else(|| corrupt("BatchGetItem")),
                None => Ok(UserRecord::default()),
            })
            .collect()
    }

    async fn users_after(&self, agent: &AgentId, after: Option<&UserId>, limit: usize) -> Result<UserPage, StoreError> {
        let query =
            self.client.query().table_name(&self.table).expression_attribute_values(":pk", text(format!("u#{agent}")));
        let query = match after {
            None => query.key_condition_expression("pk = :pk"),
            Some(after) => query
                .key_condition_expression("pk = :pk AND sk > :after")
                .expression_attribute_values(":after", text(after)),
        };
        let found = select(query, Some(limit)).await?;
        let user = |item: &Item| UserId::try_from(string(item, "sk")?).ok();
        let last = found.more.then(|| found.items.last().and_then(user)).flatten();
        Ok(UserPage { users: parse_current(&found.items, |item| Some((user(item)?, parse_user(item)?)))?, last })
    }
}

/// Items found by a Query.
struct Found {
    items: Vec<Item>,
    more: bool,
}

/// Returns the first items that `query` finds, at most `limit` if given.
async fn select(query: QueryFluentBuilder, limit: Option<usize>) -> Result<Found, StoreError> {
    let (mut items, mut start) = (Vec::new(), None);
    loop {
        let left = limit.map(|limit| i32::try_from(limit - items.len()).unwrap_or(i32::MAX));
        let sent = query.clone().set_limit(left).set_exclusive_start_key(start).send().await;
        let page = sent.map_err(|error| StoreError::from_sdk(DYNAMODB, "Query", &error))?;
        items.extend(page.items.unwrap_or_default());
        start = page.last_evaluated_key;
        if start.is_none() || limit.is_some_and(|limit| items.len() >= limit) {
            return Ok(Found { items, more: start.is_some() });
        }
    }
}

/// Returns the parsed `items` that have not expired. DynamoDB deletes expired items late.
fn parse_current<T>(items: &[Item], parse: impl Fn(&Item) -> Option<T>) -> Result<Vec<T>, StoreError> {
    let now = Timestamp::now();
    let current = items.iter().filter(|item| !is_expired(item, now));
    current.map(|item| parse(item).ok_or_else(|| corrupt("Query"))).collect()
}

fn hour_key(agent: &AgentId, hour: Hour) -> (String, String) {
    key_of(&RecordKey::Hour(agent.clone(), hour))
}
