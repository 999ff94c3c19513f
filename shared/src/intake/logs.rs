//! Accepts log entries.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::{enqueue_all, or_enqueue, store, store_deadline};
use crate::aws::{S3, StoreError};
use crate::deadline::Deadline;
use crate::ids::EventId;
use crate::logging::batch::{self, Group, Grouped, Repeated};
use crate::logging::writer::{self, WriteOutcome};
use crate::logging::{Classifier, Entry, EntryId, IdSource, Interaction, LogBucket, LogObject, RecordedEntry};
use crate::metrics::{CountedSignals, Metrics};
use crate::queue::Queue;
use crate::retry::RetryMessage;
use crate::time::Timestamp;
use crate::validation::FieldError;

/// Objects of a batch stored concurrently.
const PARALLEL_PUTS: usize = 32;

/// Records interactions as entries, and adds entries to logs now or queues them.
pub struct LogIntake {
    /// Classifies the texts of users.
    pub classifier: Classifier,
    /// Signals with their own metric.
    pub counted: CountedSignals,
    /// Maximum time that an entry may be ahead of the server's clock.
    pub max_future: Duration,
    /// Bucket of the logs.
    pub log: LogBucket,
    /// Queue for failed entries.
    pub queue: Queue,
}

impl LogIntake {
    /// Records `interaction`, sent with the header `Idempotency-Key` if any, as an entry that is not stored yet. Returns
    /// the entry with the source of its id.
    ///
    /// # Errors
    /// Same as [`EntryId::determine`].
    pub fn record(
        &self,
        interaction: Interaction,
        idempotency_key: Option<&EventId>,
    ) -> Result<(Entry, IdSource), FieldError> {
        let id = EntryId::determine(&interaction, idempotency_key, Timestamp::now(), self.max_future)?;
        Ok((Entry::record(interaction, id.log_id, &self.classifier), id.source))
    }

    /// Counts `entry` if it is new according to `outcome`.
    pub fn count(&self, metrics: &mut Metrics, entry: &Entry, outcome: &Result<WriteOutcome, StoreError>) {
        if let Ok(WriteOutcome::Stored | WriteOutcome::Queued) = outcome {
            metrics.add_interaction(&entry.detected_signal, &self.counted);
        }
    }

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
    let (earlier, entry) = (RecordedEntry::of(earlier)?.json, RecordedEntry::of(entry)?.json);
    let is_same = writer::is_same_interaction(earlier.get().as_bytes(), entry.get().as_bytes()) == Some(true);
    match outcome {
        _ if !is_same => Ok(WriteOutcome::Conflict),
        Ok(WriteOutcome::Stored | WriteOutcome::Queued) => Ok(WriteOutcome::Duplicate(earlier)),
        other => other.clone(),
    }
}
