//! Whether an endpoint has said that it wants no more.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::aws::StoreError;

/// The partition key of the item that says so. No user's id contains a `#`.
const KEY: &str = "#webhook";
const STORE: &str = "dynamodb";

/// Remembers, for all sandboxes, which endpoint has switched itself off. It is an item beside the episodes.
#[derive(Debug)]
pub struct Switch {
    dynamodb: Client,
    table: String,
}

impl Switch {
    /// The switch in `table`.
    pub fn new(dynamodb: Client, table: String) -> Self {
        Self { dynamodb, table }
    }

    /// Whether the settings with this fingerprint have been switched off. Others that came since are on.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn is_off(&self, fingerprint: &str) -> Result<bool, StoreError> {
        let get = self.dynamodb.get_item().table_name(&self.table).key("user_id", AttributeValue::S(KEY.to_owned()));
        let answer = get.consistent_read(true).send().await;
        let answer = answer.map_err(|error| StoreError::from_sdk(STORE, "GetItem", &error))?;
        let off = answer.item.as_ref().and_then(|item| item.get("off")?.as_s().ok());
        Ok(off.is_some_and(|off| off == fingerprint))
    }

    /// Switches the settings with this fingerprint off.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn turn_off(&self, fingerprint: &str) -> Result<(), StoreError> {
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .item("user_id", AttributeValue::S(KEY.to_owned()))
            .item("off", AttributeValue::S(fingerprint.to_owned()));
        put.send().await.map(drop).map_err(|error| StoreError::from_sdk(STORE, "PutItem", &error))
    }
}
