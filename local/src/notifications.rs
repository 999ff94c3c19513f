//! S3's notifications about new objects: sends them to the queues that the template names.
//!
//! The store records a notification together with its object, so that none is lost while SQS is unavailable. As on AWS,
//! a notification is delivered at least once, and in any order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::stream::{self, TryStreamExt};
use percent_encoding::utf8_percent_encode;
use serde_json::{Value, json};
use shared::time::Timestamp;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::queues::Sqs;
use crate::services::s3::ENCODED;
use crate::services::s3::store::{Pending, Store};
use crate::template::names::REGION;

/// Notifications read from the store at once.
const AT_ONCE: usize = 500;
/// Messages of a request to SQS.
const MESSAGES: usize = 10;
/// Concurrent requests to SQS.
const PARALLEL: usize = 8;
/// The pause after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Sends the notifications of `store` to SQS, until the task is aborted.
pub fn deliver(store: Arc<Store>, sqs: Sqs) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let recorded = store.recorded();
            match deliver_some(&store, &sqs).await {
                Ok(0) => recorded.await,
                Ok(_) => {}
                Err(error) => {
                    eprintln!("notifications of S3 wait: {error:#}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    })
}

/// Sends some notifications and returns their number.
async fn deliver_some(store: &Arc<Store>, sqs: &Sqs) -> Result<usize> {
    let reader = Arc::clone(store);
    let pending = spawn_blocking(move || reader.pending(AT_ONCE)).await?.context("cannot read notifications")?;
    let count = pending.len();
    let mut requests: Vec<Vec<Pending>> = Vec::new();
    for pending in pending {
        match requests.last_mut() {
            Some(request) if request.len() < MESSAGES && request[0].queue_url == pending.queue_url => {
                request.push(pending)
            }
            _ => requests.push(vec![pending]),
        }
    }
    stream::iter(requests.into_iter().map(Ok))
        .try_for_each_concurrent(PARALLEL, |request| send(store, sqs, request))
        .await?;
    Ok(count)
}

/// Sends the notifications `request` to their queue, and removes them from the store.
async fn send(store: &Arc<Store>, sqs: &Sqs, request: Vec<Pending>) -> Result<()> {
    let entries: Vec<Value> = request
        .iter()
        .map(|pending| json!({ "Id": pending.id.to_string(), "MessageBody": message(pending).to_string() }))
        .collect();
    let queue_url = request.first().map(|pending| pending.queue_url.clone());
    let answer = sqs.call("SendMessageBatch", &json!({ "QueueUrl": queue_url, "Entries": entries })).await?;
    let failed = answer["Failed"].as_array().map_or(0, Vec::len);
    ensure!(failed == 0, "SQS refused {failed} notifications");
    let (store, ids) = (Arc::clone(store), request.into_iter().map(|pending| pending.id).collect::<Vec<_>>());
    spawn_blocking(move || store.delivered(&ids)).await?.context("cannot remove notifications")
}

/// Returns the message of S3, version 2.1.
fn message(pending: &Pending) -> Value {
    let time = Timestamp::clamped_millis(pending.modified_ms).to_rfc3339_millis();
    let key = utf8_percent_encode(&pending.key, ENCODED).to_string().replace("%20", "+");
    json!({ "Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": time,
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": pending.bucket, "arn": format!("arn:aws:s3:::{}", pending.bucket) },
            "object": { "key": key, "size": pending.size, "eTag": pending.etag, "sequencer": format!("{:016X}", pending.id) },
        },
    }] })
}
