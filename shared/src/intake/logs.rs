//! Accepts log entries.

use super::{or_enqueue, store};
use crate::aws::{S3, StoreError};
use crate::deadline::Deadline;
use crate::logging::writer::{self, LogObject, WriteOutcome};
use crate::logging::{Entry, IdSource, LogBucket};
use crate::queue::Queue;
use crate::retry::RetryMessage;

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
}
