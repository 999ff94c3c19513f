//! The subcommand `redrive`: sends dead letters back to the queue they came from.
//!
//! It receives, sends and deletes each message. SQS's own redrive moves back only messages that SQS itself has
//! dead-lettered. It fails without a destination for the messages that the functions dead-letter.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/troubleshooting-dead-letter-queue-redrive.html>

use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use shared::aws::LazySqs;
use shared::env::{
    ACTIVITY_QUEUE, ALERTS_QUEUE, DEAD_ACTIVITY_QUEUE, DEAD_ALERTS_QUEUE, DEAD_RETRIES_QUEUE, RETRY_QUEUE,
};
use shared::retry::RetryMessage;

use crate::target::StackTarget;

/// The maximum number of messages that SQS returns at once.
const BATCH: i32 = 10;
/// The long-polling wait, in seconds. Without it, SQS queries only some of its servers and may miss messages.
const WAIT_SECONDS: i32 = 2;
/// The maximum time for a response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The number of characters of a message that a list shows.
const SHOWN_CHARS: usize = 200;
/// The queues and their dead-letter queues, by the environment variables that name them.
const QUEUES: [(&str, &str); 3] =
    [(RETRY_QUEUE, DEAD_RETRIES_QUEUE), (ALERTS_QUEUE, DEAD_ALERTS_QUEUE), (ACTIVITY_QUEUE, DEAD_ACTIVITY_QUEUE)];

/// A queue and its dead-letter queue, by their URLs.
struct Redrive {
    sqs: LazySqs,
    queue: String,
    dead_letters: String,
}

/// Sends the dead letters of the stack `target` back, without their failure reasons, and returns a summary.
///
/// # Errors
/// Fails if SQS is unavailable. Messages that were sent back before the failure stay there, and one of them may be in
/// both queues.
pub async fn run(target: &StackTarget) -> Result<String> {
    let mut lines = Vec::new();
    for redrive in redrives(target)? {
        // A message that fails again returns immediately, so only as many messages are sent as were there at the start.
        let (there, mut moved) = (redrive.depth().await?, 0);
        while moved < there {
            let messages = redrive.receive().await?;
            if messages.is_empty() {
                break;
            }
            for message in messages {
                redrive.send_back(&message).await?;
                moved += 1;
            }
        }
        lines.push(format!("{moved} from {} to {}", name(&redrive.dead_letters), name(&redrive.queue)));
    }
    Ok(lines.join("\n"))
}

/// Lists the dead letters of the stack `target`: the reason and the beginning of each message.
///
/// # Errors
/// Fails if SQS is unavailable.
pub async fn list(target: &StackTarget) -> Result<String> {
    let mut lines = Vec::new();
    for redrive in redrives(target)? {
        let mut messages = Vec::new();
        loop {
            let more = redrive.receive().await?;
            if more.is_empty() {
                break;
            }
            messages.extend(more);
        }
        lines.push(format!("{}: {}", name(&redrive.dead_letters), messages.len()));
        for message in messages {
            let attributes = message.message_attributes.as_ref();
            let reason = attributes.and_then(|all| all.get("reason")?.string_value()).unwrap_or("received too often");
            let body: String = message.body().unwrap_or_default().chars().take(SHOWN_CHARS).collect();
            lines.push(format!("  {reason}\n    {body}"));
            redrive.release(&message).await?;
        }
    }
    Ok(lines.join("\n"))
}

fn redrives(target: &StackTarget) -> Result<Vec<Redrive>> {
    let sqs = target.aws.sqs();
    let redrive = |(queue, dead_letters)| {
        Ok(Redrive { sqs: sqs.clone(), queue: target.name(queue)?, dead_letters: target.name(dead_letters)? })
    };
    QUEUES.into_iter().map(redrive).collect()
}

/// Returns the name of the queue at `url`.
fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// Returns the message group of a message of the retry queue, so that many messages of one user do not delay other
/// users. Other messages have no group.
fn group(body: &str) -> Option<String> {
    RetryMessage::parse(body).ok().map(|message| message.group())
}

impl Redrive {
    fn client(&self) -> &Client {
        &self.sqs
    }

    /// Returns the number of dead letters, including in-flight messages.
    async fn depth(&self) -> Result<u64> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let get = self.client().get_queue_attributes().queue_url(&self.dead_letters);
        let answer = get.set_attribute_names(Some(names.to_vec())).send().await.with_context(|| self.failed())?;
        let counts = answer.attributes.into_iter().flatten().filter_map(|(_, count)| count.parse::<u64>().ok());
        Ok(counts.sum())
    }

    async fn receive(&self) -> Result<Vec<Message>> {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TIMEOUT).operation_timeout(TIMEOUT).build();
        let receive = self.client().receive_message().queue_url(&self.dead_letters).max_number_of_messages(BATCH);
        let receive = receive.wait_time_seconds(WAIT_SECONDS).message_attribute_names("All").customize();
        let answer = receive.config_override(aws_sdk_sqs::Config::builder().timeout_config(timeouts)).send().await;
        Ok(answer.with_context(|| self.failed())?.messages.unwrap_or_default())
    }

    async fn send_back(&self, message: &Message) -> Result<()> {
        let send = self.client().send_message().queue_url(&self.queue).set_message_body(message.body.clone());
        let sent = send.set_message_group_id(message.body().and_then(group)).send().await;
        sent.with_context(|| format!("cannot send a message to {}", self.queue))?;
        let delete = self.client().delete_message().queue_url(&self.dead_letters);
        let deleted = delete.set_receipt_handle(message.receipt_handle.clone()).send().await;
        deleted.map(drop).with_context(|| self.failed())
    }

    /// Makes a message visible again that was received only for a list.
    async fn release(&self, message: &Message) -> Result<()> {
        let change = self.client().change_message_visibility().queue_url(&self.dead_letters).visibility_timeout(0);
        let changed = change.set_receipt_handle(message.receipt_handle.clone()).send().await;
        changed.map(drop).with_context(|| self.failed())
    }

    fn failed(&self) -> String {
        format!("cannot read the queue {}", self.dead_letters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ids::UserId;

    #[test]
    fn retries_keep_their_group_and_other_messages_have_none() {
        let user_id = UserId::try_from("u").expect("a user");
        let message = RetryMessage::Evaluation { user_id, keys: Vec::new() }.encode().expect("a message");
        assert_eq!(group(&message.body), Some(message.group));
        assert_eq!(group(r#"{"id":"ep_1"}"#), None);
    }
}
