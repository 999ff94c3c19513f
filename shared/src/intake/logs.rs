//! Accepts log entries.

use futures_util::stream::{self, StreamExt};
use serde_json::value;

use super::{enqueue_all, or_enqueue, store, store_deadline};
use crate::aws::{S3, StoreError};
use crate::deadline::Deadline;
use crate::logging::batch::{self, Group, Grouped, Repeated};
use crate::logging::writer::{self, WriteOutcome};
use crate::logging::{Entry, IdSource, LogBucket, LogObject};
use crate::queue::Queue;
use crate::retry::RetryMessage;

/// Objects of a batch stored concurrently.
const PARALLEL_PUTS: usize = 32;

/// Adds entries to logs now or queues them.
#[derive(Clone, Debug)]
pub struct LogIntake {
    /// Bucket of the logs.
    pub log: LogBucket,
    /// Queue for failed entries.
    pub queue: Queue,
}

impl LogIntake {
    /// Adds `entry`, whose id comes from `id_source`, to its log. Queues the entry if S3 fails.
    ///
    /// # Errors
    /// When S3 and the queue both fail before `deadline`, or S3 fails permanently.
    pub async fn accept(
        &self,
        entry: &Entry,
        id_source: IdSource,
        deadline: Deadline,
    ) -> Result<WriteOutcome, StoreError> {
        let object = LogObject::of(entry, id_source)?;
        let stored = store(S3, deadline, writer::write(&self.log, &object)).await;
        let message = || RetryMessage::Log(object).encode();
        or_enqueue(stored, &self.queue, deadline, message, WriteOutcome::Queued).await
    }

    /// Adds each of `entries`, given with the source of its id, to its log: the entries of one conversation and hour as
    /// one object. Queues the entries that S3 has not stored in time. Returns the outcomes in the order of the entries.
    pub async fn accept_all(
        &self,
        entries: &[(Entry, IdSource)],
        deadline: Deadline,
    ) -> Vec<Result<WriteOutcome, StoreError>> {
        let Grouped { groups, repeated } = match batch::group(entries) {
            Ok(grouped) => grouped,
            Err(failure) => return vec![Err(failure); entries.len()],
        };
        let mut outcomes = vec![Ok(WriteOutcome::Stored); entries.len()];
        let written = self.write_all(&groups, store_deadline(deadline)).await;
        for (group, written) in groups.iter().zip(&written) {
            for (position, outcome) in group.positions.iter().zip(written) {
                outcomes[*position].clone_from(outcome);
            }
        }
        for position in self.enqueue_failed(&groups, &written, deadline).await {
            outcomes[position] = Ok(WriteOutcome::Queued);
        }
        for Repeated { position, first } in repeated {
            outcomes[position] = repeated_outcome(&outcomes[first], &entries[first].0, &entries[position].0);
        }
        outcomes
    }

    /// Writes the objects, some concurrently, and returns the outcome of each line of each. An object that is stored at
    /// `deadline` stays stored.
    async fn write_all(&self, groups: &[Group], deadline: Deadline) -> Vec<Vec<Result<WriteOutcome, StoreError>>> {
        let write = |index: usize| async move {
            let Group { object, positions } = &groups[index];
            let written = deadline.bound(writer::write_several(&self.log, object)).await;
            written.unwrap_or_else(|_| vec![Err(StoreError::overdue(S3, "all calls together")); positions.len()])
        };
        stream::iter(0..groups.len()).map(write).buffered(PARALLEL_PUTS).collect().await
    }

    /// Queues the entries that failed transiently. Returns the positions in the batch of those that the queue accepted.
    async fn enqueue_failed(
        &self,
        groups: &[Group],
        written: &[Vec<Result<WriteOutcome, StoreError>>],
        deadline: Deadline,
    ) -> Vec<usize> {
        let (mut messages, mut positions) = (Vec::new(), Vec::new());
        let mut cause = None;
        for (Group { object, positions: all }, written) in groups.iter().zip(written) {
            let failed = |line: &usize| {
                let failure = written[*line].as_ref().err().filter(|failure| failure.is_transient);
                cause = cause.take().or(failure);
                failure.is_some()
            };
            let failed: Vec<usize> = (0..all.len()).filter(failed).collect();
            if failed.is_empty() {
                continue;
            }
            let Ok(parts) = object.with_lines(&failed).and_then(|object| RetryMessage::encode_log(&object)) else {
                continue;
            };
            let mut failed = failed.into_iter().map(|line| all[line]);
            for (message, lines) in parts {
                messages.push(message);
                positions.push(failed.by_ref().take(lines).collect::<Vec<_>>());
            }
        }
        let Some(cause) = cause else { return Vec::new() };
        let sent = enqueue_all(&self.queue, deadline, &messages).await;
        if let Some(Err(error)) = sent.iter().find(|sent| sent.is_err()) {
            tracing::error!(cause = %error, "failed to enqueue after store failure");
        }
        let queued: Vec<_> =
            positions.into_iter().zip(sent).filter(|(_, sent)| sent.is_ok()).flat_map(|(queued, _)| queued).collect();
        if !queued.is_empty() {
            tracing::warn!(cause = %cause, entries = queued.len(), "enqueued after store failure");
        }
        queued
    }
}

/// Returns the outcome of an entry whose id an earlier entry of the batch has, given that entry's `outcome`.
fn repeated_outcome(
    outcome: &Result<WriteOutcome, StoreError>,
    earlier: &Entry,
    entry: &Entry,
) -> Result<WriteOutcome, StoreError> {
    let encode = |entry| {
        value::to_raw_value(entry).map_err(|error| StoreError::encode(S3, "PutObject", &format!("entry: {error}")))
    };
    let (earlier, entry) = (encode(earlier)?, encode(entry)?);
    let is_same = writer::is_same_interaction(earlier.get().as_bytes(), entry.get().as_bytes()) == Some(true);
    match outcome {
        _ if !is_same => Ok(WriteOutcome::Conflict),
        Ok(WriteOutcome::Stored | WriteOutcome::Queued) => Ok(WriteOutcome::Duplicate(earlier)),
        other => other.clone(),
    }
}
