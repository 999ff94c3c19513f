//! Access to the stored sets and records.

use super::chunk::{Chunk, ChunkKey};
use super::hour::{Hour, HourRecord};
use super::user::UserRecord;
use crate::aws::StoreError;
use crate::aws::versioned::Versioned;
use crate::ids::{AgentId, UserId};
use crate::logging::Conversation;

/// Identity of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// Counts of an agent in an hour.
    Hour(AgentId, Hour),
    /// State of a user with an agent.
    User(AgentId, UserId),
}

/// Stored record of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Counts of an agent in an hour.
    Hour(HourRecord),
    /// State of a user with an agent.
    User(UserRecord),
}

/// Stores the sets of entries and the records computed from them.
pub trait ActivityStore {
    /// Adds the entries of `chunk` to its sets.
    fn add(&self, chunk: &Chunk) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes the entries of `chunk` from its sets.
    fn remove(&self, chunk: &Chunk) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes the chunk at `key`.
    fn delete(&self, key: &ChunkKey) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Returns all chunks of `agent` in `hour`, using strongly consistent reads.
    fn chunks(&self, agent: &AgentId, hour: Hour) -> impl Future<Output = Result<Vec<Chunk>, StoreError>> + Send;

    /// Returns the chunks of the user of `conversation` in `hour`, using strongly consistent reads.
    fn chunks_of_user(
        &self,
        conversation: &Conversation,
        hour: Hour,
    ) -> impl Future<Output = Result<Vec<Chunk>, StoreError>> + Send;

    /// Returns the records under `keys` in the same order, using strongly consistent reads.
    fn read(&self, keys: &[RecordKey]) -> impl Future<Output = Result<Vec<Versioned<Record>>, StoreError>> + Send;

    /// Replaces the record under `key`, unless its version is no longer `version`. Returns whether the record was
    /// replaced.
    fn replace(
        &self,
        key: &RecordKey,
        record: &Record,
        version: u64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

impl RecordKey {
    /// Returns the key of the state of the user of `conversation`.
    pub fn of_user(conversation: &Conversation) -> Self {
        Self::User(conversation.agent_id.clone(), conversation.user_id.clone())
    }

    /// Returns the record that counts as stored under this key if there is none.
    pub fn missing(&self) -> Record {
        match self {
            Self::Hour(..) => Record::Hour(HourRecord::default()),
            Self::User(..) => Record::User(UserRecord::default()),
        }
    }
}
