//! The table `episodes`: one item per user with the user's alert state.

use aws_sdk_dynamodb::Client;

use super::service::{AlertStateStore, VersionedState};
use super::state::AlertState;
use crate::aws::item::{Item, number, parsed, set_expiry, string, text};
use crate::aws::versioned::{self, VERSION};
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
        let version = parsed(&item, VERSION).ok_or_else(|| StoreError::corrupt(DYNAMODB, "GetItem", "alert state"))?;
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
            (VERSION.to_owned(), number(version + 1)),
        ]);
        set_expiry(&mut item, Some(expires_at));
        versioned::replace(&self.client, &self.table, "user_id", item, version).await
    }
}
