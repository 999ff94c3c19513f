//! Records whether an endpoint has unsubscribed.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::aws::StoreError;

/// The partition key of the item. No user id contains a `#`.
const KEY: &str = "#webhook";
const STORE: &str = "dynamodb";

/// Records, for all sandboxes, which endpoint has unsubscribed. The item is stored in the table of the episodes.
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

    /// Returns whether the endpoint of the settings with this fingerprint has unsubscribed. Newer settings are not
    /// affected.
    pub async fn is_unsubscribed(&self, fingerprint: &str) -> Result<bool, StoreError> {
        let get = self.dynamodb.get_item().table_name(&self.table).key("user_id", AttributeValue::S(KEY.to_owned()));
        let response = get.consistent_read(true).send().await;
        let response = response.map_err(|error| StoreError::from_sdk(STORE, "GetItem", &error))?;
        let off = response.item.as_ref().and_then(|item| item.get("off")?.as_s().ok());
        Ok(off.is_some_and(|off| off == fingerprint))
    }

    /// Records that the endpoint of the settings with this fingerprint has unsubscribed.
    pub async fn unsubscribe(&self, fingerprint: &str) -> Result<(), StoreError> {
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .item("user_id", AttributeValue::S(KEY.to_owned()))
            .item("off", AttributeValue::S(fingerprint.to_owned()));
        put.send().await.map(drop).map_err(|error| StoreError::from_sdk(STORE, "PutItem", &error))
    }
}
