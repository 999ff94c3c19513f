//! Transactional outbox: an alert is persisted with the state change that caused it in one conditional write, then
//! enqueued, then removed from the state. A process that finds a persisted alert sends it again with the same id and the
//! same text. So a crash between any two steps loses no alert.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::aws::versioned::Versioned;
use crate::aws::{DYNAMODB, StoreError};
use crate::queue::Queue;
use crate::time::Timestamp;

/// Maximum attempts for a write that conflicts with concurrent writers.
const MAX_CONFLICTS: usize = 8;
/// Retention of a state after its last change. Events are late by seconds, or by days when they come from a queue, which
/// keeps messages for at most fourteen days.
const STATE_RETENTION: Duration = Duration::from_secs(15 * 24 * 60 * 60);

/// Id length of 80 bits, enough to rule out collisions.
const ID_BYTES: usize = 10;

/// Returns the id of what `text` identifies.
pub fn short_id(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..ID_BYTES])
}

/// State that decides which alerts to send, together with the alerts that are persisted but not known to be sent. Its JSON
/// form is stored.
pub trait OutboxState: Clone + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    /// Returns the alerts that are not known to be sent, in order.
    fn outbox(&mut self) -> &mut Vec<String>;
}

/// Stores states by key.
pub trait StateStore<T> {
    /// Returns the state under `key`, using a strongly consistent read.
    fn read(&self, key: &str) -> impl Future<Output = Result<Versioned<T>, StoreError>> + Send;

    /// Replaces the state under `key` by `state`. Returns `false` if the stored version is no longer `version`.
    /// `expires_at` is in Unix seconds.
    fn write(
        &self,
        key: &str,
        state: &T,
        version: u64,
        expires_at: i64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// Sends alerts.
pub trait AlertSink {
    /// Enqueues `message`, a JSON text. The message is durable when this returns.
    fn send(&self, message: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl AlertSink for Queue {
    async fn send(&self, message: &str) -> Result<(), StoreError> {
        self.send(message).await
    }
}

/// Replaces the state under `key` by the result of `change`, and sends the alerts of its outbox, which may be from earlier
/// calls. If another process replaces the state meanwhile, `change` is called again with the new state.
///
/// # Errors
/// When `change`, the table or the queue fails. Retrying is safe.
pub async fn update<T, K, S, F>(states: &K, sink: &S, key: &str, change: impl Fn(T) -> F) -> Result<(), StoreError>
where
    T: OutboxState,
    K: StateStore<T>,
    S: AlertSink,
    F: Future<Output = Result<T, StoreError>>,
{
    let expires_at = Timestamp::now().after(STATE_RETENTION).seconds();
    for _ in 0..MAX_CONFLICTS {
        let Versioned { record: before, mut version } = states.read(key).await?;
        let mut state = change(before.clone()).await?;
        if state != before {
            if !states.write(key, &state, version, expires_at).await? {
                continue;
            }
            version += 1;
        }
        if state.outbox().is_empty() {
            return Ok(());
        }
        for message in state.outbox().iter() {
            sink.send(message).await?;
        }
        state.outbox().clear();
        if states.write(key, &state, version, expires_at).await? {
            return Ok(());
        }
        // A concurrent process found the same pending alerts and sends them too.
    }
    let cause = "conflicting concurrent writes".to_owned();
    Err(StoreError { store: DYNAMODB, operation: "PutItem", cause, is_transient: true })
}
