//! Consumes a queue: handles each message separately, retries transient failures later and moves permanent failures to
//! the dead-letter queue.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::Deserialize;

use super::Queue;
use crate::aws::{StoreError, jitter};
use crate::background::BatchResponse;
use crate::deadline::{Deadline, Overdue};
use crate::metrics::Metrics;
use crate::telemetry;
use crate::time::Timestamp;

/// Pause after the first failure. Each later pause is twice as long, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Maximum pause between two attempts of a message, unless a longer one is requested.
pub const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);
/// Maximum requested pause that is granted. All permitted attempts of a message must fit into the retention time of its
/// queue.
pub const MAX_REQUESTED_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Time of a batch reserved for hiding or moving the messages that failed: two calls to SQS with all their attempts.
const SETTLE_RESERVE: Duration = Duration::from_secs(5);
/// Messages of a batch handled concurrently. By default SQS sends at most ten.
const PARALLEL_MESSAGES: usize = 10;

/// SQS event of Lambda. Format: <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    records: Vec<SqsRecord>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SqsRecord {
    message_id: String,
    receipt_handle: String,
    body: String,
    attributes: Attributes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    approximate_receive_count: String,
    /// Time of sending, in Unix milliseconds.
    sent_timestamp: Option<String>,
}

impl SqsRecord {
    /// Returns the number of receives, including this one.
    fn received(&self) -> u32 {
        self.attributes.approximate_receive_count.parse().unwrap_or(1)
    }

    /// Returns the time since the message was sent, if SQS reports it.
    fn waited(&self, now: Timestamp) -> Option<Duration> {
        let sent: i64 = self.attributes.sent_timestamp.as_deref()?.parse().ok()?;
        u64::try_from(now.millis().saturating_sub(sent)).ok().map(Duration::from_millis)
    }
}

/// Reason why a message was not handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A transient failure: a retry may succeed, but not before `after` if given.
    Transient {
        /// Cause of the failure, without user content.
        cause: String,
        /// Minimum time to wait.
        after: Option<Duration>,
    },
    /// A permanent failure.
    Permanent {
        /// Reason of the failure, without user content.
        reason: String,
    },
    /// The message has no recipient. It is deleted and counted; the code that returns this has logged the reason.
    Dropped,
}

impl From<StoreError> for Failure {
    fn from(failure: StoreError) -> Self {
        let cause = failure.to_string();
        if failure.is_transient { Self::Transient { cause, after: None } } else { Self::Permanent { reason: cause } }
    }
}

/// A queue to consume, with its dead-letter queue.
#[derive(Clone, Debug)]
pub struct Consumer {
    queue: Queue,
    dead_letters: Queue,
}

impl Consumer {
    /// Creates a consumer of `queue` that moves permanent failures to `dead_letters`.
    pub fn new(queue: Queue, dead_letters: Queue) -> Self {
        Self { queue, dead_letters }
    }

    /// Passes the body of each message to `handle`, several concurrently. A message with a transient failure is hidden
    /// for a while, longer each time, and reported. A message with a permanent failure moves to the dead-letter queue
    /// with its reason. Messages not handled some time before `deadline` count as transient failures, so that the
    /// results of the rest of the batch are reported in time.
    pub async fn consume<H, F>(&self, batch: &Batch, deadline: Deadline, handle: H) -> BatchResponse
    where
        H: Fn(String) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        self.publish_waits(batch);
        failures(batch.records.iter().map(|message| self.handle_message(message, deadline, &handle))).await
    }

    /// Publishes the waiting times of the messages of `batch`. Precedes the handling: a message that crashes the
    /// function is late too.
    fn publish_waits(&self, batch: &Batch) {
        telemetry::publish(&self.waits(batch, Timestamp::now()));
    }

    /// Returns the waiting times of the messages of `batch`. SQS's own metric, `ApproximateAgeOfOldestMessage`,
    /// excludes messages received three times, which in an outage are all messages within seconds:
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>.
    fn waits(&self, batch: &Batch, now: Timestamp) -> Metrics {
        let mut metrics = Metrics::default();
        for wait in batch.records.iter().filter_map(|message| message.waited(now)) {
            metrics.observe_wait(self.queue.name(), wait);
        }
        metrics
    }

    /// Does the same as [`Self::consume`] with one call of `handle` for all messages, which returns their results in
    /// the same order. The deadline passed to `handle` leaves time to settle the messages.
    pub async fn consume_together<F>(
        &self,
        batch: &Batch,
        deadline: Deadline,
        handle: impl FnOnce(Vec<String>, Deadline) -> F,
    ) -> BatchResponse
    where
        F: Future<Output = Vec<Result<(), Failure>>>,
    {
        self.publish_waits(batch);
        let bodies = batch.records.iter().map(|message| message.body.clone()).collect();
        let results = handle(bodies, deadline.leaving(SETTLE_RESERVE)).await;
        let settled = batch.records.iter().zip(results);
        failures(settled.map(|(message, result)| self.finish(message, result, deadline))).await
    }

    /// Handles `message`. Returns its id if the queue must keep the message.
    async fn handle_message<H, F>(&self, message: &SqsRecord, deadline: Deadline, handle: &H) -> Option<String>
    where
        H: Fn(String) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        let handled = deadline.leaving(SETTLE_RESERVE).bound(handle(message.body.clone())).await;
        let overdue = |overdue: Overdue| Err(Failure::Transient { cause: overdue.to_string(), after: None });
        self.finish(message, handled.unwrap_or_else(overdue), deadline).await
    }

    /// Settles `message` before `deadline`. Returns its id if the queue must keep the message.
    async fn finish(&self, message: &SqsRecord, result: Result<(), Failure>, deadline: Deadline) -> Option<String> {
        let settled = deadline.bound(self.settle(message, result)).await;
        (settled != Ok(true)).then(|| message.message_id.clone())
    }

    /// Applies the result to `message`. Returns `true` if the queue need not keep the message.
    async fn settle(&self, message: &SqsRecord, result: Result<(), Failure>) -> bool {
        let received = message.received();
        let (cause, after) = match result {
            Ok(()) => return true,
            Err(Failure::Dropped) => {
                let mut metrics = Metrics::default();
                metrics.add_dropped(self.queue.name());
                telemetry::publish(&metrics);
                return true;
            }
            Err(Failure::Transient { cause, after }) => (cause, after),
            Err(Failure::Permanent { reason }) => {
                match self.dead_letters.send_with_reason(&message.body, &reason).await {
                    Ok(()) => {
                        tracing::error!(reason, received, "moved message to dead-letter queue");
                        return true;
                    }
                    Err(failure) => (failure.to_string(), None),
                }
            }
        };
        let pause = pause(received, after, jitter());
        tracing::warn!(cause, received, seconds = pause.as_secs(), "postponed message after transient failure");
        if let Err(failure) = self.queue.hide(&message.receipt_handle, pause).await {
            tracing::warn!(cause = %failure, "cannot postpone message; its visibility timeout applies");
        }
        false
    }
}

/// Runs `work` on several messages concurrently, and returns the ids of the messages that the queue must keep.
async fn failures<F: Future<Output = Option<String>>>(work: impl Iterator<Item = F>) -> BatchResponse {
    let work: Vec<_> = work.collect();
    let failed: Vec<_> = stream::iter(work).buffer_unordered(PARALLEL_MESSAGES).collect().await;
    failed.into_iter().flatten().collect()
}

/// Returns the pause for a message received `received` times: the share `jitter` of a time that doubles, but at least
/// `after`, limited to [`MAX_REQUESTED_PAUSE`].
fn pause(received: u32, after: Option<Duration>, jitter: f64) -> Duration {
    let doublings = received.saturating_sub(1).min(16);
    let longest = FIRST_PAUSE.saturating_mul(1 << doublings).min(MAX_PAUSE);
    let pause = longest.mul_f64(jitter);
    // Whole seconds, rounded up: not before the requested time.
    let requested = after.unwrap_or_default().min(MAX_REQUESTED_PAUSE);
    Duration::from_secs(pause.max(requested).as_secs_f64().ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Aws, CaBundle, Settings};
    use aws_credential_types::Credentials;
    use serde_json::json;

    const NOW: i64 = 1_700_000_000_000;

    /// Creates a consumer of the queue named `alerts`, with an SQS that does not respond.
    fn consumer() -> Consumer {
        let aws = Aws::new(Settings {
            region: "us-east-1".to_owned(),
            credentials: Credentials::new("id", "secret", None, None, "test"),
            dynamodb_endpoint: None,
            s3_endpoint: None,
            sqs_endpoint: Some("http://127.0.0.1:9".to_owned()),
            ssm_endpoint: None,
            authorities: CaBundle::default(),
        });
        let queue = |name| Queue::new(aws.sqs(), format!("https://sqs.us-east-1.amazonaws.com/1/{name}"));
        Consumer::new(queue("alerts"), queue("dead-alerts"))
    }

    /// Creates a batch of messages sent so many seconds before [`NOW`].
    fn batch(ages: &[i64]) -> Batch {
        let record = |age: &i64| {
            let sent = (NOW - age * 1_000).to_string();
            let attributes = json!({ "ApproximateReceiveCount": "9", "SentTimestamp": sent });
            json!({ "messageId": sent, "receiptHandle": "r", "body": "{}", "attributes": attributes })
        };
        let records: Vec<_> = ages.iter().map(record).collect();
        serde_json::from_value(json!({ "Records": records })).expect("a batch")
    }

    #[test]
    fn queue_wait_counts_from_when_a_message_was_sent() {
        let now = Timestamp::from_millis(NOW).expect("a time");
        let mut expected = Metrics::default();
        expected.observe_wait("alerts", Duration::from_secs(90_000));
        // A clock behind that of SQS counts as no wait.
        assert_eq!(consumer().waits(&batch(&[5, 90_000, 1_300, -2]), now), expected);
        assert_eq!(consumer().waits(&batch(&[5]), now), Metrics::default());
    }

    #[tokio::test]
    async fn dropped_messages_are_done() {
        let failed = consumer()
            .consume(&batch(&[1, 2]), Deadline::after(Duration::from_secs(60)), |_| async { Err(Failure::Dropped) })
            .await;
        assert_eq!(json!(failed), json!({ "batchItemFailures": [] }));
    }

    #[test]
    fn pauses_double_from_seconds_to_a_quarter_of_an_hour() {
        let longest = |received| pause(received, None, 1.0).as_secs();
        assert_eq!([1, 2, 3, 9, 10, 1_000].map(longest), [2, 4, 8, 512, 900, 900]);
        assert_eq!([1, 3].map(|received| pause(received, None, 0.5).as_secs()), [1, 4]);
    }

    #[test]
    fn requested_pause_is_granted_up_to_an_hour() {
        assert_eq!(pause(1, Some(Duration::from_millis(30_500)), 1.0), Duration::from_secs(31));
        assert_eq!(pause(1, Some(Duration::from_secs(1_000_000)), 1.0), MAX_REQUESTED_PAUSE);
        assert_eq!(pause(10, Some(Duration::from_secs(1)), 1.0), MAX_PAUSE);
    }
}
