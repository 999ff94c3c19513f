//! The table `episodes`: one item per subject of alerts with its state.
//!
//! | `user_id` | Content |
//! |---|---|
//! | name of a user | [`AlertState`](super::AlertState) |
//! | `#mood#<agent>`, `#mood#<agent>#<user>` | state of the alerts of moods |
//! | `#webhook…` | state of the endpoint of alerts, written by `send-alerts` |

use aws_sdk_dynamodb::Client;

use super::outbox::{OutboxState, StateStore};
use crate::aws::item::{Item, number, parsed, set_expiry, string, text};
use crate::aws::versioned::{self, VERSION, Versioned};
use crate::aws::{DYNAMODB, StoreError};

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

impl<T: OutboxState> StateStore<T> for EpisodeTable {
    async fn read(&self, key: &str) -> Result<Versioned<T>, StoreError> {
        let response = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("user_id", text(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(DYNAMODB, "GetItem", &error))?;
        let Some(item) = response.item else { return Ok(Versioned::default()) };
        let version = parsed(&item, VERSION).ok_or_else(|| StoreError::corrupt(DYNAMODB, "GetItem", "alert state"))?;
        let record = string(&item, "watch").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| {
            // A retry cannot succeed, and waiting for this user would block the whole shard of the stream.
            tracing::error!("cannot read an alert state; starting with an empty one");
            T::default()
        });
        Ok(Versioned { record, version })
    }

    async fn write(&self, key: &str, state: &T, version: u64, expires_at: i64) -> Result<bool, StoreError> {
        let state = serde_json::to_string(state);
        let state = state.map_err(|_| StoreError::encode(DYNAMODB, "PutItem", "alert state"))?;
        let mut item = Item::from([
            ("user_id".to_owned(), text(key)),
            ("watch".to_owned(), text(state)),
            (VERSION.to_owned(), number(version + 1)),
        ]);
        set_expiry(&mut item, Some(expires_at));
        versioned::replace(&self.client, &self.table, "user_id", item, version).await
    }
}
