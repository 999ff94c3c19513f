//! Stores and evaluates the contents of queued messages.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};

use super::RetryMessage;
use crate::aws::{DYNAMODB, S3, StoreError};
use crate::deadline::Deadline;
use crate::ids::UserId;
use crate::integrity::key::EventKey;
use crate::integrity::pipeline::{EventPipeline, IngestOutcome};
use crate::integrity::{AnomalyTable, EventTable, ReceivedEvent};
use crate::logging::writer::{self, WriteOutcome};
use crate::logging::{LogBucket, LogObject};
use crate::queue::Failure;

/// Users evaluated, or entries stored, concurrently.
const PARALLEL_RETRIES: usize = 10;

/// Stores the contents of queued messages.
#[derive(Clone, Debug)]
pub struct RetryWorker {
    /// Stores and evaluates events.
    pub pipeline: EventPipeline<EventTable, AnomalyTable>,
    /// Bucket of the logs.
    pub log: LogBucket,
}

impl RetryWorker {
    /// Stores the contents of `messages` and evaluates the events of each user together. Returns the results in the
    /// order of the messages. Messages that are not stored before `deadline` fail transiently. Storing a message again
    /// is harmless.
    pub async fn store_all(&self, messages: &[String], deadline: Deadline) -> Vec<Result<(), Failure>> {
        let mut results = BTreeMap::new();
        let mut logs = Vec::new();
        let mut users: BTreeMap<UserId, UserWork> = BTreeMap::new();
        for (position, message) in messages.iter().enumerate() {
            match RetryMessage::parse(message) {
                Ok(RetryMessage::Event(event)) => {
                    users.entry(event.user_id.clone()).or_default().events.push((position, event));
                }
                Ok(RetryMessage::Evaluation { user_id, keys }) => {
                    let work = users.entry(user_id).or_default();
                    work.evaluations.push(position);
                    work.keys.extend(keys);
                }
                Ok(RetryMessage::Log(object)) => logs.push((position, object)),
                Err(reason) => {
                    results.insert(position, Err(Failure::Permanent { reason }));
                }
            }
        }
        let users = stream::iter(users).map(|(user, work)| self.store_user(user, work, deadline));
        let logs =
            stream::iter(logs).map(|(position, object)| async move { (position, self.write(&object, deadline).await) });
        let (users, logs) = futures_util::join!(
            users.buffer_unordered(PARALLEL_RETRIES).collect::<Vec<_>>(),
            logs.buffer_unordered(PARALLEL_RETRIES).collect::<Vec<_>>(),
        );
        let stored = users.into_iter().flatten().chain(logs);
        results.extend(stored.map(|(position, result)| (position, result.map_err(Failure::from))));
        results.into_values().collect()
    }

    /// Stores and evaluates the part of a batch that belongs to one user. A user whose events take too long does not
    /// delay other users.
    async fn store_user(
        &self,
        user: UserId,
        work: UserWork,
        deadline: Deadline,
    ) -> Vec<(usize, Result<(), StoreError>)> {
        let UserWork { events, evaluations, keys } = work;
        let (positions, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        let store = async {
            let stored = if events.is_empty() { Vec::new() } else { self.pipeline.ingest_all(events).await };
            stored.into_iter().map(without_outcome).collect::<Vec<_>>()
        };
        let evaluate =
            async { if keys.is_empty() { Ok(()) } else { self.pipeline.evaluate(&user, &keys).await.map(drop) } };
        let overdue = || StoreError::overdue(DYNAMODB, "all calls of a batch together");
        let (stored, evaluated) = futures_util::join!(deadline.bound(store), deadline.bound(evaluate));
        let stored = stored.unwrap_or_else(|_| vec![Err(overdue()); positions.len()]);
        let evaluated = evaluated.unwrap_or_else(|_| Err(overdue()));
        let evaluations = evaluations.into_iter().map(|position| (position, evaluated.clone()));
        positions.into_iter().zip(stored).chain(evaluations).collect()
    }

    async fn write(&self, object: &LogObject, deadline: Deadline) -> Result<(), StoreError> {
        let write = async {
            match object.line_count() {
                1 => vec![writer::write(&self.log, object).await],
                _ => writer::write_several(&self.log, object).await,
            }
        };
        let written = deadline.bound(write).await.map_err(|_| StoreError::overdue(S3, "all calls together"))?;
        let outcomes = written.into_iter().collect::<Result<Vec<_>, _>>()?;
        let dropped = outcomes.iter().filter(|outcome| matches!(outcome, WriteOutcome::Conflict)).count();
        if dropped > 0 {
            tracing::warn!(
                entries = dropped,
                "dropped queued log entries: other interactions are stored under their ids"
            );
        }
        Ok(())
    }
}

/// The part of a batch of messages that belongs to one user. Messages are identified by their position in the batch.
#[derive(Default)]
struct UserWork {
    events: Vec<(usize, ReceivedEvent)>,
    /// Messages that request an evaluation of `keys`.
    evaluations: Vec<usize>,
    keys: Vec<EventKey>,
}

fn without_outcome(stored: Result<IngestOutcome, StoreError>) -> Result<(), StoreError> {
    if let IngestOutcome::Conflict = stored? {
        tracing::warn!("dropped a queued event: another event is stored under its id and time");
    }
    Ok(())
}
