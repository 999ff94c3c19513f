//! The traits that the code under test needs, for everything that carries out operations.

use std::collections::HashMap;

use shared::aws::{PutResult, StoreError};
use shared::ids::UserId;
use shared::integrity::Anomaly;
use shared::integrity::detection::StoredCount;
use shared::integrity::event::ReceivedEvent;
use shared::integrity::key::EventKey;
use shared::integrity::store::{ExistingEvent, KeyRange, PutEvent, QueryEvents, RaiseAnomaly, WindowEvents};

use crate::store::{Operation, Reply};

/// Carries out operations on tables.
pub trait Backend: Sync {
    /// Carries out `operation` and returns the reply, whose kind is that of the operation.
    fn call(&self, operation: Operation) -> impl Future<Output = Result<Reply, StoreError>> + Send;
}

/// The tables as the code under test sees them.
#[derive(Clone, Debug)]
pub struct TableClient<C>(pub C);

impl<C: Backend> PutEvent for TableClient<C> {
    async fn put(&self, event: &ReceivedEvent, _: Option<i64>) -> Result<PutResult<ExistingEvent>, StoreError> {
        match self.0.call(Operation::Put(event.clone())).await? {
            Reply::Put(put) => Ok(put),
            other => unreachable!("{other:?} to a put"),
        }
    }
}

impl<C: Backend> QueryEvents for TableClient<C> {
    async fn query(&self, user: &UserId, range: &KeyRange, limit: u32) -> Result<WindowEvents, StoreError> {
        match self.0.call(Operation::Query(user.clone(), range.clone(), limit)).await? {
            Reply::Query(found) => Ok(found),
            other => unreachable!("{other:?} to a query"),
        }
    }
}

impl<C: Backend> RaiseAnomaly for TableClient<C> {
    async fn raise(&self, anomaly: &Anomaly, _: Option<i64>) -> Result<(), StoreError> {
        self.0.call(Operation::Raise(anomaly.clone())).await.map(drop)
    }

    async fn stored_counts(
        &self,
        user: &UserId,
        first: &EventKey,
        last: &EventKey,
    ) -> Result<HashMap<String, u32>, StoreError> {
        match self.0.call(Operation::StoredCounts(user.clone(), first.clone(), last.clone())).await? {
            Reply::StoredCounts(counted) => Ok(counted),
            other => unreachable!("{other:?} to a query of anomalies"),
        }
    }

    async fn latest(&self, user: &UserId, range: &KeyRange) -> Result<Option<StoredCount>, StoreError> {
        match self.0.call(Operation::Latest(user.clone(), range.clone())).await? {
            Reply::Latest(latest) => Ok(latest),
            other => unreachable!("{other:?} to a query of the latest anomaly"),
        }
    }
}
