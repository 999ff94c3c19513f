//! Access of the views to the stored sets and records.

use crate::activity::{Chunk, Hour, HourRecord, UserRecord};
use crate::aws::StoreError;
use crate::ids::{AgentId, Signal, UserId};

/// Records of hours, newest first.
#[derive(Clone, Debug, Default)]
pub struct HourPage {
    /// The records. Hours without entries have none.
    pub hours: Vec<(Hour, HourRecord)>,
    /// Newest hour that was not read, if the limit was reached.
    pub next: Option<Hour>,
}

/// Records of users in bytewise order of their names.
#[derive(Clone, Debug, Default)]
pub struct UserPage {
    /// The records.
    pub users: Vec<(UserId, UserRecord)>,
    /// Last user that was read, if the limit was reached.
    pub last: Option<UserId>,
}

/// Reads the read model, with eventual consistency. Expired items count as deleted.
pub trait ReadActivity {
    /// Returns the newest records of `agent` from the hour `oldest` to the hour `newest`, at most `limit` if given.
    fn hours(
        &self,
        agent: &AgentId,
        oldest: Hour,
        newest: Hour,
        limit: Option<usize>,
    ) -> impl Future<Output = Result<HourPage, StoreError>> + Send;

    /// Returns the chunks of `agent` in `hour`: all of them, or those that have an entry of `signal`.
    fn chunks_with(
        &self,
        agent: &AgentId,
        hour: Hour,
        signal: Option<&Signal>,
    ) -> impl Future<Output = Result<Vec<Chunk>, StoreError>> + Send;

    /// Returns the records of `users`, at most 100, with `agent`, in the same order.
    fn users(
        &self,
        agent: &AgentId,
        users: &[UserId],
    ) -> impl Future<Output = Result<Vec<UserRecord>, StoreError>> + Send;

    /// Returns the first `limit` records of the users of `agent` whose names come after `after`.
    fn users_after(
        &self,
        agent: &AgentId,
        after: Option<&UserId>,
        limit: usize,
    ) -> impl Future<Output = Result<UserPage, StoreError>> + Send;
}
