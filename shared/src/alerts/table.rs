//! The table `episodes`: one item per user with the user's alert state.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;

use super::service::{AlertStateStore, VersionedState};
use super::state::AlertState;
use crate::aws::item::{Item, number, parsed, set_expiry, string, text};
use crate::aws::{DYNAMODB, StoreError};
use crate::ids::UserId;

/// The DynamoDB table `episodes`.
#[derive(Clone, Debug)]
pub struct EpisodeTable {
    client: Client,
    table: String,
}

impl EpisodeTable {
    /// Creates a store on the table named `table`.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }
}

impl AlertStateStore for EpisodeTable {
    async fn read(&self, user: &UserId) -> Result<VersionedState, StoreError> {
        let response = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("user_id", text(user))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(DYNAMODB, "GetItem", &error))?;
        let Some(item) = response.item else { return Ok(VersionedState::default()) };
        let version =
            parsed(&item, "version").ok_or_else(|| StoreError::corrupt(DYNAMODB, "GetItem", "alert state"))?;
        let state = string(&item, "watch").and_then(AlertState::from_text).unwrap_or_else(|| {
            // A retry cannot succeed, and waiting for this user would block the whole shard of the stream.
            tracing::error!("cannot read alert state of a user; starting with an empty one");
            AlertState::default()
        });
        Ok(VersionedState { state, version })
    }

    async fn write(
        &self,
        user: &UserId,
        state: &AlertState,
        version: u64,
        expires_at: i64,
    ) -> Result<bool, StoreError> {
        let text_form = state.to_text().ok_or_else(|| StoreError::encode(DYNAMODB, "PutItem", "alert state"))?;
        let mut item = Item::from([
            ("user_id".to_owned(), text(user)),
            ("watch".to_owned(), text(text_form)),
            ("version".to_owned(), number(version + 1)),
        ]);
        set_expiry(&mut item, Some(expires_at));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match version {
            0 => put.condition_expression("attribute_not_exists(user_id)"),
            _ => put
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", number(version)),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(false),
            Err(error) => Err(StoreError::from_sdk(DYNAMODB, "PutItem", &error)),
        }
    }
}
