//! Records which endpoints have unsubscribed.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::aws::StoreError;

const STORE: &str = "dynamodb";

/// Records, for all sandboxes, which endpoints have unsubscribed. The items are stored in the table of the episodes.
#[derive(Debug)]
pub struct EndpointState {
    dynamodb: Client,
    table: String,
}

impl EndpointState {
    /// Creates a store on `table`.
    pub fn new(dynamodb: Client, table: String) -> Self {
        Self { dynamodb, table }
    }

    /// Returns whether the endpoint whose item is `item` has unsubscribed since the settings have this fingerprint.
    pub async fn is_unsubscribed(&self, item: &str, fingerprint: &str) -> Result<bool, StoreError> {
        let get = self.dynamodb.get_item().table_name(&self.table).key("user_id", AttributeValue::S(item.to_owned()));
        let response = get.consistent_read(true).send().await;
        let response = response.map_err(|error| StoreError::from_sdk(STORE, "GetItem", &error))?;
        let off = response.item.as_ref().and_then(|item| item.get("off")?.as_s().ok());
        Ok(off.is_some_and(|off| off == fingerprint))
    }

    /// Records that the endpoint whose item is `item` has unsubscribed from the settings with this fingerprint.
    pub async fn unsubscribe(&self, item: &str, fingerprint: &str) -> Result<(), StoreError> {
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .item("user_id", AttributeValue::S(item.to_owned()))
            .item("off", AttributeValue::S(fingerprint.to_owned()));
        put.send().await.map(drop).map_err(|error| StoreError::from_sdk(STORE, "PutItem", &error))
    }
}
