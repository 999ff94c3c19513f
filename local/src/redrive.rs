//! The subcommand `redrive`: what was given up goes back to where it came from.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::queues::Sqs;
use crate::template::Template;
use crate::template::names::ACCOUNT;

/// The most messages that SQS gives at once.
const BATCH: usize = 10;
/// As much of a message as a list shows.
const SHOWN_CHARS: usize = 200;

/// A queue and the one that its dead letters go to, by their names.
struct Redrive<'a> {
    queue: &'a str,
    dead_letters: String,
}

/// Sends the messages of every dead-letter queue of `template` back, without the reason they came with, and tells how
/// many. SQS would do it by `StartMessageMoveTask`, which the embedded one does not.
///
/// # Errors
/// When SQS does not answer. What was sent back by then is back, and one message may be there twice.
pub async fn run(template: &Template, environment: &BTreeMap<String, String>) -> Result<String> {
    let (sqs, endpoint) = connect(environment)?;
    let mut told = Vec::new();
    for Redrive { queue, dead_letters } in redrives(template) {
        let (from, to) = (url(endpoint, &dead_letters), url(endpoint, queue));
        // What cannot be done comes right back: only what lies there now is sent.
        let (there, mut moved) = (sqs.depth(&from).await?, 0);
        while moved < there {
            let messages = sqs.receive(&from, BATCH).await?;
            if messages.is_empty() {
                break;
            }
            for message in messages {
                sqs.call("SendMessage", &json!({ "QueueUrl": to, "MessageBody": message["Body"] })).await?;
                sqs.delete(&from, &message).await?;
                moved += 1;
            }
        }
        told.push(format!("{moved} from {dead_letters} to {queue}"));
    }
    Ok(told.join("\n"))
}

/// Shows what lies in the dead-letter queues of `template`: why, and the beginning of each message.
///
/// # Errors
/// When SQS does not answer.
pub async fn list(template: &Template, environment: &BTreeMap<String, String>) -> Result<String> {
    let (sqs, endpoint) = connect(environment)?;
    let mut told = Vec::new();
    for Redrive { dead_letters, .. } in redrives(template) {
        let url = url(endpoint, &dead_letters);
        let mut messages = Vec::new();
        loop {
            let more = sqs.receive(&url, BATCH).await?;
            if more.is_empty() {
                break;
            }
            messages.extend(more);
        }
        told.push(format!("{dead_letters}: {}", messages.len()));
        for message in messages {
            let reason = message["MessageAttributes"]["reason"]["StringValue"].as_str().unwrap_or("received too often");
            let body: String = message["Body"].as_str().unwrap_or_default().chars().take(SHOWN_CHARS).collect();
            told.push(format!("  {reason}\n    {body}"));
            give_back(&sqs, &url, &message).await?;
        }
    }
    Ok(told.join("\n"))
}

/// Shows `message`, which was only looked at, to whoever comes next.
async fn give_back(sqs: &Sqs, url: &str, message: &Value) -> Result<()> {
    let visible = json!({ "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0 });
    sqs.call("ChangeMessageVisibility", &visible).await.map(drop)
}

fn connect(environment: &BTreeMap<String, String>) -> Result<(Sqs, &str)> {
    let endpoint = environment.get("AWS_ENDPOINT_URL_SQS").context("the stack does not say where SQS is")?;
    Ok((Sqs::new(endpoint.clone()), endpoint))
}

fn redrives(template: &Template) -> impl Iterator<Item = Redrive<'_>> {
    template.queues.iter().filter_map(|queue| {
        let policy: Value = serde_json::from_str(queue.attributes.get("RedrivePolicy")?).ok()?;
        let dead_letters = policy["deadLetterTargetArn"].as_str()?.rsplit(':').next()?.to_owned();
        Some(Redrive { queue: &queue.name, dead_letters })
    })
}

fn url(endpoint: &str, queue: &str) -> String {
    format!("{endpoint}/{ACCOUNT}/{queue}")
}
