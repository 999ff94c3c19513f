//! Working off a queue: each message by itself, later again when its time has not come, aside when it never will.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::Deserialize;

use super::Queue;
use crate::background::PartialFailure;
use crate::deadline::{Deadline, Overdue};
use crate::metrics::Metrics;
use crate::telemetry;
use crate::time::Timestamp;

/// The pause after the first failure; each one after it is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause between two tries of a message, but where somebody asks for a longer one.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// The longest pause that is granted to whoever asks for one: all permitted tries of a message have to fit into the time for
/// which its queue keeps it.
pub const LONGEST_REQUESTED_PAUSE: Duration = Duration::from_secs(60 * 60);
/// The time of a batch that is kept for hiding or moving the messages that are not done: two calls to SQS with all their
/// attempts.
const SETTLE_RESERVE: Duration = Duration::from_secs(5);
/// How many messages of a batch are handled at the same time; SQS sends ten at most unless told otherwise.
const PARALLEL_MESSAGES: usize = 10;

/// Messages as Lambda tells them. Form: <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_id: String,
    receipt_handle: String,
    body: String,
    attributes: Attributes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    approximate_receive_count: String,
    /// When the message was sent, in Unix milliseconds.
    sent_timestamp: Option<String>,
}

impl Message {
    /// How often it was received, this time included.
    fn received(&self) -> u32 {
        self.attributes.approximate_receive_count.parse().unwrap_or(1)
    }

    /// Returns how long ago it was sent, where SQS says so.
    fn waited(&self, now: Timestamp) -> Option<Duration> {
        let sent: i64 = self.attributes.sent_timestamp.as_deref()?.parse().ok()?;
        u64::try_from(now.millis().saturating_sub(sent)).ok().map(Duration::from_millis)
    }
}

/// Why a message is not done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may go better later, and not before `after` where that is known.
    Passing {
        /// What was in the way, without anybody's content.
        cause: String,
        /// How long to wait at least.
        after: Option<Duration>,
    },
    /// It never will.
    Permanent {
        /// Why, without anybody's content.
        reason: String,
    },
    /// Nobody receives it. It is deleted and counted; whoever returns this has logged why.
    Dropped,
}

/// A queue to work off, and the one for what cannot be.
#[derive(Clone, Debug)]
pub struct Consumer {
    queue: Queue,
    dead_letters: Queue,
}

impl Consumer {
    /// Works off `queue`; what can never be done goes to `dead_letters`.
    pub fn new(queue: Queue, dead_letters: Queue) -> Self {
        Self { queue, dead_letters }
    }

    /// Gives the body of each message to `handle`, several at once. One that fails for now is hidden for a while, ever
    /// longer, and reported; one that fails for good is put aside with its reason. Those that are not handled some time
    /// before `deadline` fail for now, so that they do not keep the rest of the batch from being reported.
    pub async fn consume<H, F>(&self, batch: &Batch, deadline: Deadline, handle: H) -> PartialFailure
    where
        H: Fn(String) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        // Before they are handled: a message that kills the function is late too.
        telemetry::publish(&self.waits(batch, Timestamp::now()));
        let work: Vec<_> = batch.records.iter().map(|message| self.work_off(message, deadline, &handle)).collect();
        let failed: Vec<_> = stream::iter(work).buffer_unordered(PARALLEL_MESSAGES).collect().await;
        failed.into_iter().flatten().collect()
    }

    /// Returns how long the messages of `batch` have waited. SQS's own metric of that, `ApproximateAgeOfOldestMessage`,
    /// leaves out whatever was received three times, as everything is within seconds of an outage:
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>.
    fn waits(&self, batch: &Batch, now: Timestamp) -> Metrics {
        let mut metrics = Metrics::default();
        for wait in batch.records.iter().filter_map(|message| message.waited(now)) {
            metrics.observe_wait(self.queue.name(), wait);
        }
        metrics
    }

    /// As [`Self::consume`], with one call of `handle` for all messages, which returns their results in the same order. The
    /// deadline that `handle` gets leaves time to settle the messages.
    pub async fn consume_together<F>(
        &self,
        batch: &Batch,
        deadline: Deadline,
        handle: impl FnOnce(Vec<String>, Deadline) -> F,
    ) -> PartialFailure
    where
        F: Future<Output = Vec<Result<(), Failure>>>,
    {
        telemetry::publish(&self.waits(batch, Timestamp::now()));
        let bodies = batch.records.iter().map(|message| message.body.clone()).collect();
        let results = handle(bodies, deadline.leaving(SETTLE_RESERVE)).await;
        let settled: Vec<_> =
            batch.records.iter().zip(results).map(|(message, result)| self.finish(message, result, deadline)).collect();
        let failed: Vec<_> = stream::iter(settled).buffer_unordered(PARALLEL_MESSAGES).collect().await;
        failed.into_iter().flatten().collect()
    }

    /// Handles `message`; returns its id when the queue has to keep it.
    async fn work_off<H, F>(&self, message: &Message, deadline: Deadline, handle: &H) -> Option<String>
    where
        H: Fn(String) -> F,
        F: Future<Output = Result<(), Failure>>,
    {
        let handled = deadline.leaving(SETTLE_RESERVE).bound(handle(message.body.clone())).await;
        let overdue = |overdue: Overdue| Err(Failure::Passing { cause: overdue.to_string(), after: None });
        self.finish(message, handled.unwrap_or_else(overdue), deadline).await
    }

    /// Settles `message` before `deadline`; returns its id when the queue has to keep it.
    async fn finish(&self, message: &Message, result: Result<(), Failure>, deadline: Deadline) -> Option<String> {
        let settled = deadline.bound(self.settle(message, result)).await;
        (settled != Ok(true)).then(|| message.message_id.clone())
    }

    /// Does with `message` what its result asks for; `true` when the queue need not keep it.
    async fn settle(&self, message: &Message, result: Result<(), Failure>) -> bool {
        let received = message.received();
        let (cause, after) = match result {
            Ok(()) => return true,
            Err(Failure::Dropped) => {
                let mut metrics = Metrics::default();
                metrics.add_dropped(self.queue.name());
                telemetry::publish(&metrics);
                return true;
            }
            Err(Failure::Passing { cause, after }) => (cause, after),
            Err(Failure::Permanent { reason }) => match self.dead_letters.send_because(&message.body, &reason).await {
                Ok(()) => {
                    tracing::error!(reason, received, "a message can never be done and was put aside");
                    return true;
                }
                Err(failure) => (failure.to_string(), None),
            },
        };
        let pause = pause(received, after, share());
        tracing::warn!(cause, received, seconds = pause.as_secs(), "a message waits for another try");
        if let Err(failure) = self.queue.hide(&message.receipt_handle, pause).await {
            // It comes back when the queue's own time is over.
            tracing::warn!(cause = %failure, "a message could not be told how long to wait");
        }
        false
    }
}

/// How long a message waits that was received `received` times: a random `share` (0 to 1) of the later half of a time that
/// doubles, but not less than `after`, of which [`LONGEST_REQUESTED_PAUSE`] is granted.
fn pause(received: u32, after: Option<Duration>, share: f64) -> Duration {
    let doublings = received.saturating_sub(1).min(16);
    let longest = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let pause = longest.mul_f64(0.5 + share / 2.0);
    // In whole seconds, rounded up: not before it was asked for.
    let requested = after.unwrap_or_default().min(LONGEST_REQUESTED_PAUSE);
    Duration::from_secs(pause.max(requested).as_secs_f64().ceil() as u64)
}

/// Between 0 and 1, so that those who failed together do not come back together.
fn share() -> f64 {
    // Without randomness the pause is as long as it may be.
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{Aws, CaBundle, Settings};
    use aws_credential_types::Credentials;
    use serde_json::json;

    const NOW: i64 = 1_700_000_000_000;

    /// A consumer of the queue named `alerts`, with an SQS that does not answer.
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

    /// A batch of messages that were sent so many seconds before [`NOW`].
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
        // A clock that is behind SQS's is no wait.
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
        assert_eq!([1, 3].map(|received| pause(received, None, 0.0).as_secs()), [1, 4]);
    }

    #[test]
    fn requested_pause_is_granted_up_to_an_hour() {
        assert_eq!(pause(1, Some(Duration::from_millis(30_500)), 0.5), Duration::from_secs(31));
        assert_eq!(pause(1, Some(Duration::from_secs(1_000_000)), 0.5), LONGEST_REQUESTED_PAUSE);
        assert_eq!(pause(10, Some(Duration::from_secs(1)), 1.0), LONGEST_PAUSE);
    }
}
