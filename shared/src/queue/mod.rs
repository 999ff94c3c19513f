//! SQS queues for work that fails now or can be done later.

mod consumer;

use std::time::Duration;

use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use futures_util::stream::{self, StreamExt};

pub use consumer::{Batch, Consumer, Failure, MAX_PAUSE, MAX_REQUESTED_PAUSE};

use crate::aws::{LazySqs, SQS, StoreError};

/// Maximum messages in one SQS request:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>.
const MAX_BATCH: usize = 10;
/// Maximum total bytes of a request's messages. SQS accepts a mebibyte including overhead. Its limit was a quarter of
/// that until August 2025, and still may be in emulators.
const MAX_BATCH_BYTES: usize = 250_000;
/// Requests sent concurrently.
const PARALLEL_SENDS: usize = 8;
/// Attribute with the reason why a message was moved to the dead-letter queue.
const REASON: &str = "reason";
/// Maximum length of a stored reason in characters.
const MAX_REASON_CHARS: usize = 500;

/// A message of a queue shared by several users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// JSON body.
    pub body: String,
    /// Message group, in ASCII. SQS delivers the messages of quiet groups before those of a group that keeps most
    /// consumers busy:
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>.
    pub group: String,
}

impl Message {
    /// Returns the size of the body as SQS counts it, in bytes.
    pub fn sent_len(&self) -> usize {
        legal(&self.body).len()
    }
}

/// An SQS queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: LazySqs,
    url: String,
}

impl Queue {
    /// Creates a client of the queue at `url`.
    pub fn new(client: LazySqs, url: String) -> Self {
        Self { client, url }
    }

    /// Returns the queue's name, the last part of its URL.
    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Does the same as [`Self::send`] with the group of `message`.
    pub async fn send_grouped(&self, message: &Message) -> Result<(), StoreError> {
        self.send_in(Some(&message.group), &message.body, Duration::ZERO).await
    }

    /// Adds `body`, a JSON text, to the queue. The message is durable when this returns.
    ///
    /// # Errors
    /// When SQS fails. The queue may still contain the message.
    pub async fn send(&self, body: &str) -> Result<(), StoreError> {
        self.send_in(None, body, Duration::ZERO).await
    }

    /// Does the same as [`Self::send`] with a message that nothing receives before `delay`, at most 15 minutes.
    pub async fn send_delayed(&self, body: &str, delay: Duration) -> Result<(), StoreError> {
        self.send_in(None, body, delay).await
    }

    async fn send_in(&self, group: Option<&str>, body: &str, delay: Duration) -> Result<(), StoreError> {
        let seconds = i32::try_from(delay.as_secs()).ok().filter(|seconds| *seconds > 0);
        let request = self.client.send_message().queue_url(&self.url).message_body(legal(body));
        let request = request.set_delay_seconds(seconds).set_message_group_id(group.map(str::to_owned));
        let sent = request.send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk(SQS, "SendMessage", &error))
    }

    /// Adds each of `messages` to the queue, as [`Self::send_grouped`] does, with as few requests as possible. Returns
    /// the results in the order of the messages.
    pub async fn send_all(&self, messages: &[Message]) -> Vec<Result<(), StoreError>> {
        let requests: Vec<_> = requests(messages).into_iter().map(|messages| self.send_batch(messages)).collect();
        let results: Vec<_> = stream::iter(requests).buffered(PARALLEL_SENDS).collect().await;
        results.concat()
    }

    async fn send_batch(&self, messages: &[Message]) -> Vec<Result<(), StoreError>> {
        let entry = |(position, message): (usize, &Message)| {
            let entry =
                SendMessageBatchRequestEntry::builder().id(position.to_string()).message_group_id(&message.group);
            entry.message_body(legal(&message.body)).build().ok()
        };
        let entries = messages.iter().enumerate().filter_map(entry).collect();
        let sent = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                return vec![Err(StoreError::from_sdk(SQS, "SendMessageBatch", &error)); messages.len()];
            }
        };
        let missing = StoreError {
            store: SQS,
            operation: "SendMessageBatch",
            cause: "no result in the response".to_owned(),
            is_transient: true,
        };
        let mut results = vec![Err(missing.clone()); messages.len()];
        let sent = response.successful.into_iter().map(|sent| (sent.id, Ok(())));
        let refused = response.failed.into_iter();
        let refused = refused.map(|refused| (refused.id, Err(StoreError { cause: refused.code, ..missing.clone() })));
        for (id, sent) in sent.chain(refused) {
            if let Some(result) = id.parse::<usize>().ok().and_then(|position| results.get_mut(position)) {
                *result = sent;
            }
        }
        results
    }

    /// Adds `body` to the queue with the reason why it is there.
    async fn send_with_reason(&self, body: &str, reason: &str) -> Result<(), StoreError> {
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        let reason = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(reason)
            .build()
            .map_err(|_| StoreError::encode(SQS, "SendMessage", "reason"))?;
        let message = self.client.send_message().queue_url(&self.url).message_body(legal(body));
        let sent = message.message_attributes(REASON, reason).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk(SQS, "SendMessage", &error))
    }

    /// Hides the message with `receipt_handle` for `pause` from now on.
    async fn hide(&self, receipt_handle: &str, pause: Duration) -> Result<(), StoreError> {
        let sent = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(i32::try_from(pause.as_secs()).unwrap_or(i32::MAX))
            .send()
            .await;
        sent.map(drop).map_err(|error| StoreError::from_sdk(SQS, "ChangeMessageVisibility", &error))
    }
}

/// Returns `json` with the characters that XML 1.0 does not allow, and SQS therefore rejects, escaped. JSON does not
/// allow those below a space either.
fn legal(json: &str) -> String {
    json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

/// Splits `messages`, in order, into requests within the limits of SQS.
fn requests(messages: &[Message]) -> Vec<&[Message]> {
    let (mut requests, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (position, Message { body, .. }) in messages.iter().enumerate() {
        let is_full = position - from == MAX_BATCH || bytes + body.len() > MAX_BATCH_BYTES;
        if is_full && position > from {
            requests.push(&messages[from..position]);
            (from, bytes) = (position, 0);
        }
        bytes += body.len();
    }
    if from < messages.len() {
        requests.push(&messages[from..]);
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_has_at_most_ten_messages_and_a_quarter_megabyte() {
        let message = |body: String| Message { body, group: "g".to_owned() };
        let small = vec![message("{}".to_owned()); 25];
        assert_eq!(requests(&small).iter().map(|request| request.len()).collect::<Vec<_>>(), [10, 10, 5]);
        let large = vec![message("x".repeat(100_000)); 5];
        assert_eq!(requests(&large).iter().map(|request| request.len()).collect::<Vec<_>>(), [2, 2, 1]);
        let huge = vec![message("x".repeat(300_000)); 2];
        assert_eq!(requests(&huge).iter().map(|request| request.len()).collect::<Vec<_>>(), [1, 1]);
        assert!(requests(&[]).is_empty());
    }

    #[test]
    fn characters_rejected_by_sqs_are_escaped_with_equal_meaning() {
        let json = serde_json::json!({ "text": "a\u{ffff}b\u{fffe}c\u{1}\n\u{7f}日" }).to_string();
        let legal = legal(&json);
        assert!(!legal.contains(['\u{ffff}', '\u{fffe}', '\u{1}']));
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&legal), read(&json));
    }
}
