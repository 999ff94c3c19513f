//! Accepts events, and evaluates the stored events that a stream delivers.

use super::{QUEUE_RESERVE, RESPONSE_RESERVE, enqueue, enqueue_all, or_enqueue, store};
use crate::aws::{DYNAMODB, StoreError};
use crate::deadline::Deadline;
use crate::ids::UserId;
use crate::integrity::key::EventKey;
use crate::integrity::pipeline::{EventPipeline, IngestOutcome};
use crate::integrity::{AnomalyTable, EventTable, ReceivedEvent};
use crate::queue::Queue;
use crate::retry::RetryMessage;

/// Stores events now or queues them.
#[derive(Clone, Debug)]
pub struct EventIntake {
    /// Stores and evaluates events.
    pub pipeline: EventPipeline<EventTable, AnomalyTable>,
    /// Queue for failed events.
    pub queue: Queue,
}

impl EventIntake {
    /// Stores and evaluates `event`. Queues the event if a table fails.
    ///
    /// # Errors
    /// When table and queue both fail before `deadline`, or the table fails permanently.
    pub async fn accept(&self, event: ReceivedEvent, deadline: Deadline) -> Result<IngestOutcome, StoreError> {
        let stored = store(DYNAMODB, deadline, self.pipeline.ingest(event.clone())).await;
        let message = || RetryMessage::Event(event).encode();
        or_enqueue(stored, &self.queue, deadline, message, IngestOutcome::Queued).await
    }

    /// Does the same as [`Self::accept`] for each of `events`, with few requests for all. Returns the outcomes in the
    /// order of the events.
    pub async fn accept_all(
        &self,
        events: Vec<ReceivedEvent>,
        deadline: Deadline,
    ) -> Vec<Result<IngestOutcome, StoreError>> {
        let all = async { Ok(self.pipeline.ingest_all(events.clone()).await) };
        let stored = match store(DYNAMODB, deadline, all).await {
            Ok(stored) => stored,
            Err(failure) => vec![Err(failure); events.len()],
        };
        let is_transient =
            |result: &Result<IngestOutcome, StoreError>| result.as_ref().is_err_and(|failure| failure.is_transient);
        let failed = events.into_iter().zip(&stored).filter(|(_, result)| is_transient(result));
        let failed: Vec<_> = failed.map(|(event, _)| event).collect();
        let mut queued = self.enqueue_all(failed, deadline).await.into_iter();
        let or_queued = |result| match is_transient(&result).then(|| queued.next()).flatten() {
            Some(Ok(())) => Ok(IngestOutcome::Queued),
            _ => result,
        };
        stored.into_iter().map(or_queued).collect()
    }

    /// Queues `event` without trying to store it, early enough to store the event before `deadline` if the queue fails.
    ///
    /// # Errors
    /// When the queue does not accept the event in time. The queue may still contain the event.
    pub async fn defer(&self, event: ReceivedEvent, deadline: Deadline) -> Result<(), StoreError> {
        let deadline = deadline.within(QUEUE_RESERVE + RESPONSE_RESERVE);
        enqueue(&self.queue, deadline, &RetryMessage::Event(event).encode()?).await
    }

    /// Does the same as [`Self::defer`] for each of `events`. Returns the results in the order of the events.
    pub async fn defer_all(&self, events: Vec<ReceivedEvent>, deadline: Deadline) -> Vec<Result<(), StoreError>> {
        self.enqueue_all(events, deadline.within(QUEUE_RESERVE + RESPONSE_RESERVE)).await
    }

    /// Queues each of `events`. Returns the results in the order of the events.
    async fn enqueue_all(&self, events: Vec<ReceivedEvent>, deadline: Deadline) -> Vec<Result<(), StoreError>> {
        let count = events.len();
        let messages: Result<Vec<_>, _> = events.into_iter().map(|event| RetryMessage::Event(event).encode()).collect();
        match messages {
            Ok(messages) => enqueue_all(&self.queue, deadline, &messages).await,
            Err(failure) => vec![Err(failure); count],
        }
    }
}

/// Evaluates stored events now or queues them.
#[derive(Clone, Debug)]
pub struct StreamEvaluator {
    /// Evaluates events.
    pub pipeline: EventPipeline<EventTable, AnomalyTable>,
    /// Queue for failed evaluations.
    pub queue: Queue,
}

impl StreamEvaluator {
    /// Evaluates the stored events of `user` under `keys`. Queues them if the evaluation fails for any reason.
    ///
    /// # Errors
    /// When the queue also fails before `deadline`.
    pub async fn evaluate(&self, user: &UserId, keys: &[EventKey], deadline: Deadline) -> Result<(), StoreError> {
        let evaluated = store(DYNAMODB, deadline, self.pipeline.evaluate(user, keys)).await;
        let Err(failure) = evaluated else { return Ok(()) };
        tracing::warn!(cause = %failure, events = keys.len(), "failed to evaluate events of a user; enqueueing them");
        let message = RetryMessage::Evaluation { user_id: user.clone(), keys: keys.to_vec() };
        enqueue(&self.queue, deadline, &message.encode()?).await
    }
}
