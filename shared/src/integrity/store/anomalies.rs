//! The table `anomalies`: an item an anomaly, under its event's key.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;

use super::super::anomaly::{Anomaly, Severity};
use super::super::key::EventKey;
use super::item::{Item, key, number, parsed, primary_key, string, text, time, unreadable};
use super::query::{Kept, Query, read_newest};
use super::{Counted, KeyRange, Order, Page, RaiseAnomaly, STORE, Slice};
use crate::aws::StoreError;
use crate::ids::{SignalType, UserId};

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

    /// The newest anomalies of `user` in `slice` that `is_visible` lets through, read strongly. What has expired is
    /// left out, although DynamoDB deletes it late. A page may be short.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn newest(
        &self,
        user: &UserId,
        slice: &Slice,
        is_visible: impl Fn(&Anomaly) -> bool,
    ) -> Result<Page<Anomaly>, StoreError> {
        read_newest(&self.client, &self.table, user, slice, |item| {
            let anomaly = anomaly(user, item).ok_or_else(|| unreadable("Query", "anomaly"))?;
            Ok(is_visible(&anomaly).then_some(Kept { item: anomaly, bytes: 0 }))
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
            // The order of `Counted`.
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

    async fn counted(
        &self,
        user: &UserId,
        first: &EventKey,
        last: &EventKey,
    ) -> Result<HashMap<String, Counted>, StoreError> {
        let range = KeyRange { from: first.to_string(), to: last.to_string(), order: Order::OldestFirst };
        let found = Query { client: &self.client, table: &self.table, user, range: &range, projection: None };
        let items = found.all(u32::MAX).await?.items;
        let counted = |item: &Item| {
            let counted = Counted { count: parsed(item, "count")?, window_start: time(item, "window_start")? };
            Some((string(item, "sk")?.to_owned(), counted))
        };
        items.iter().map(|item| counted(item).ok_or_else(|| unreadable("Query", "anomaly"))).collect()
    }
}

fn anomaly(user: &UserId, item: &Item) -> Option<Anomaly> {
    Some(Anomaly {
        user_id: user.clone(),
        key: key(item)?,
        signal_type: SignalType::try_from(string(item, "signal_type")?).ok()?,
        count: parsed(item, "count")?,
        threshold: parsed(item, "threshold")?,
        window_start: time(item, "window_start")?,
        severity: Severity::from_name(string(item, "severity")?)?,
        received_at: time(item, "received_at")?,
    })
}
