//! The table `anomalies`: one item per anomaly, under the key of its event.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;

use super::super::anomaly::Anomaly;
use super::super::detection::StoredCount;
use super::super::key::EventKey;
use super::item::{corrupt, key, primary_key};
use super::query::{Decision, ItemQuery, read_newest};
use super::{Direction, ItemFilter, KeyRange, Page, PageRequest, RaiseAnomaly};
use crate::aws::item::{Item, number, parsed, string, text, time};
use crate::aws::{DYNAMODB, StoreError};
use crate::ids::{AgentId, SignalType, UserId};

/// The DynamoDB table `anomalies`.
#[derive(Clone, Debug)]
pub struct AnomalyTable {
    client: Client,
    table: String,
}

impl AnomalyTable {
    /// Creates a store on the table named `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Returns the newest anomalies of `user` that `request` asks for and `filter` selects, using strongly consistent
    /// reads. Leaves out expired items, which DynamoDB deletes late. A page may be short.
    pub async fn newest(
        &self,
        user: &UserId,
        request: &PageRequest,
        filter: &ItemFilter<impl Fn(&AgentId) -> bool, impl Fn(&Anomaly) -> bool>,
    ) -> Result<Page<Anomaly>, StoreError> {
        read_newest(&self.client, &self.table, user, request, |item| {
            let anomaly = stored_anomaly(user, item).ok_or_else(|| corrupt("Query", "anomaly"))?;
            Ok(if !(filter.can_access)(&anomaly.key.agent_id) {
                Decision::Hidden
            } else if (filter.matches)(&anomaly) && request.includes(anomaly.received_at) {
                Decision::Shown(anomaly, 0)
            } else {
                Decision::Filtered
            })
        })
        .await
    }
}

impl RaiseAnomaly for AnomalyTable {
    async fn raise(&self, anomaly: &Anomaly, expires_at: Option<i64>) -> Result<(), StoreError> {
        let mut update = "SET signal_type = :signal_type, #count = :count, threshold = :threshold, \
                          window_start = :window_start, severity = :severity, received_at = :received_at"
            .to_owned();
        let mut values = Item::from([
            (":signal_type".to_owned(), text(&anomaly.signal_type)),
            (":count".to_owned(), number(anomaly.count)),
            (":threshold".to_owned(), number(anomaly.threshold)),
            (":window_start".to_owned(), text(anomaly.window_start)),
            (":severity".to_owned(), text(anomaly.severity.name())),
            (":received_at".to_owned(), text(anomaly.received_at)),
        ]);
        if let Some(expires_at) = expires_at {
            update.push_str(", expires_at = :expires_at");
            values.insert(":expires_at".to_owned(), number(expires_at));
        }
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(primary_key(&anomaly.user_id, &anomaly.key)))
            .update_expression(update)
            .condition_expression("attribute_not_exists(sk) OR #count < :count")
            .expression_attribute_names("#count", "count")
            .set_expression_attribute_values(Some(values))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(()),
            Err(error) => Err(StoreError::from_sdk(DYNAMODB, "UpdateItem", &error)),
        }
    }

    async fn stored_counts(
        &self,
        user: &UserId,
        first: &EventKey,
        last: &EventKey,
    ) -> Result<HashMap<String, u32>, StoreError> {
        let range = KeyRange { from: first.to_string(), to: last.to_string(), direction: Direction::OldestFirst };
        let found = ItemQuery { client: &self.client, table: &self.table, user, range: &range, projection: None };
        let items = found.all(u32::MAX).await?.items;
        let count = |item: &Item| Some((string(item, "sk")?.to_owned(), parsed(item, "count")?));
        items.iter().map(|item| count(item).ok_or_else(|| corrupt("Query", "anomaly"))).collect()
    }

    async fn latest(&self, user: &UserId, range: &KeyRange) -> Result<Option<StoredCount>, StoreError> {
        let found = ItemQuery { client: &self.client, table: &self.table, user, range, projection: None };
        let found = found.once(1, None).await?;
        let count = |item: &Item| {
            Some(StoredCount {
                key: key(item)?,
                count: parsed(item, "count")?,
                window_start: time(item, "window_start")?,
            })
        };
        found.items.first().map(|item| count(item).ok_or_else(|| corrupt("Query", "anomaly"))).transpose()
    }
}

/// Parses the anomaly of `user` stored as `item`. Returns `None` if the item is not an anomaly.
pub fn stored_anomaly(user: &UserId, item: &Item) -> Option<Anomaly> {
    Some(Anomaly {
        user_id: user.clone(),
        key: key(item)?,
        signal_type: SignalType::try_from(string(item, "signal_type")?).ok()?,
        count: parsed(item, "count")?,
        threshold: parsed(item, "threshold")?,
        window_start: time(item, "window_start")?,
        severity: string(item, "severity")?.parse().ok()?,
        received_at: time(item, "received_at")?,
    })
}
