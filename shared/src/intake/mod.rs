//! Accepts events and interactions: writes them to their store, or to the retry queue if the store fails.
//!
//! An outage of a store does not reject an event or an interaction: it is enqueued with all its data, and
//! [`crate::retry`] stores it with the same code as a newly received one. Events that cannot be evaluated are queued
//! too, so that they do not block others.

mod events;
mod logs;
mod turns;

use std::time::Duration;

pub use events::{EventIntake, StreamEvaluator};
pub use logs::LogIntake;
pub use turns::TurnIntake;

use crate::aws::{SQS, StoreError};
use crate::deadline::Deadline;
use crate::queue::{Message, Queue};

/// Maximum time for storing and evaluating before the queue is used.
const STORE_BUDGET: Duration = Duration::from_secs(7);
/// Time that the stores reserve for the queue: a call to SQS with all its attempts.
const QUEUE_RESERVE: Duration = Duration::from_secs(2);
/// Time that the queue reserves for the response.
const RESPONSE_RESERVE: Duration = Duration::from_millis(250);

/// Runs `work` on `store`, leaving time for the queue before `deadline`.
async fn store<T>(
    store: &'static str,
    deadline: Deadline,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let bounded = store_deadline(deadline).bound(work).await;
    bounded.unwrap_or_else(|_| Err(StoreError::overdue(store, "all calls together")))
}

/// Returns the deadline of a store, which leaves time for the queue before `deadline`.
fn store_deadline(deadline: Deadline) -> Deadline {
    deadline.leaving(QUEUE_RESERVE + RESPONSE_RESERVE).within(STORE_BUDGET)
}

/// Enqueues `messages`, leaving time for a response before `deadline`. Returns the results in the order of the messages;
/// at `deadline` all of them fail together.
async fn enqueue_all(queue: &Queue, deadline: Deadline, messages: &[Message]) -> Vec<Result<(), StoreError>> {
    let sent = deadline.leaving(RESPONSE_RESERVE).bound(queue.send_all(messages)).await;
    sent.unwrap_or_else(|_| vec![Err(StoreError::overdue(SQS, "SendMessageBatch")); messages.len()])
}

/// Enqueues `message`, leaving time for a response before `deadline`.
async fn enqueue(queue: &Queue, deadline: Deadline, message: &Message) -> Result<(), StoreError> {
    let sent = deadline.leaving(RESPONSE_RESERVE).bound(queue.send_grouped(message)).await;
    sent.unwrap_or_else(|_| Err(StoreError::overdue(SQS, "SendMessage")))
}

/// Returns the result `stored` of a store. If the store failed transiently, enqueues the data instead and returns
/// `queued`, or the failure of the store if the queue fails too.
async fn or_enqueue<T>(
    stored: Result<T, StoreError>,
    queue: &Queue,
    deadline: Deadline,
    message: impl FnOnce() -> Result<Message, StoreError>,
    queued: T,
) -> Result<T, StoreError> {
    let failure = match stored {
        Err(failure) if failure.is_transient => failure,
        _ => return stored,
    };
    match enqueue(queue, deadline, &message()?).await {
        Ok(()) => {
            tracing::warn!(cause = %failure, "enqueued after store failure");
            Ok(queued)
        }
        Err(error) => {
            tracing::error!(cause = %error, "failed to enqueue after store failure");
            Err(failure)
        }
    }
}
