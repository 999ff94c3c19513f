//! Lambda's event source for SQS: receives messages, invokes a function with batches of them, and deletes the processed
//! messages. A message that failed is received again when its visibility timeout, which the function may have changed,
//! is over.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::credentials::Credentials;
use crate::invoke::Invoker;
use crate::template::names::{ACCOUNT, REGION};
use crate::template::{Function, QueueSource};

/// The environment variable with the SQS endpoint.
const ENDPOINT: &str = "AWS_ENDPOINT_URL_SQS";
/// The long-polling wait of a receive request, in seconds.
const WAIT_SECONDS: u32 = 10;
/// The maximum number of messages that SQS returns at once.
const MAX_RECEIVED: usize = 10;
/// The time for which batches are collected if the template sets a longer one.
const WINDOW: Duration = Duration::from_millis(100);
/// The pause after a failed request to SQS.
const PAUSE: Duration = Duration::from_millis(500);
/// The number of concurrent batches per queue if the template does not specify one. Lambda starts with five.
const DEFAULT_CONCURRENCY: usize = 5;

/// An SQS client for consumers.
#[derive(Clone, Debug)]
pub struct Sqs {
    client: reqwest::Client,
    endpoint: String,
    credentials: Credentials,
}

impl Sqs {
    /// Creates a client for SQS at `endpoint`, such as `http://127.0.0.1:8083`, that signs with `credentials`.
    pub fn new(endpoint: String, credentials: Credentials) -> Self {
        Self { client: reqwest::Client::new(), endpoint, credentials }
    }

    /// Creates a client for the SQS of the stack with this `environment`.
    ///
    /// # Errors
    /// Fails if the environment lacks a variable.
    pub fn of(environment: &BTreeMap<String, String>) -> Result<Self> {
        let endpoint = environment.get(ENDPOINT).with_context(|| format!("{ENDPOINT} is not set"))?;
        Ok(Self::new(endpoint.clone(), Credentials::of(environment)?))
    }

    /// Returns the URL of the queue named `queue`.
    pub fn url(&self, queue: &str) -> String {
        format!("{}/{ACCOUNT}/{queue}", self.endpoint)
    }

    /// Sends `request` of `action` and returns the response.
    ///
    /// # Errors
    /// Fails if SQS is unavailable or rejects the request.
    pub async fn call(&self, action: &str, request: &Value) -> Result<Value> {
        let mut signed = http::Request::post(format!("{}/", self.endpoint))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .body(request.to_string())?;
        self.credentials.sign("sqs", &mut signed)?;
        let answer = self.client.execute(signed.try_into()?).await?;
        let (status, body) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{action}: {status}: {body}");
        if body.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&body).context("an answer of SQS") }
    }

    /// Receives at most `limit` messages of the queue at `url`. They are hidden from other consumers for the queue's
    /// visibility timeout.
    ///
    /// # Errors
    /// Fails like [`Self::call`].
    pub async fn receive(&self, url: &str, limit: usize) -> Result<Vec<Value>> {
        self.receive_within(url, limit, WAIT_SECONDS).await
    }

    /// Like [`Self::receive`], but waits at most `seconds` for a message.
    async fn receive_within(&self, url: &str, limit: usize, seconds: u32) -> Result<Vec<Value>> {
        let request = json!({
            "QueueUrl": url,
            "MaxNumberOfMessages": limit.min(MAX_RECEIVED),
            "WaitTimeSeconds": seconds,
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        Ok(self.call("ReceiveMessage", &request).await?["Messages"].as_array().cloned().unwrap_or_default())
    }

    /// Deletes `message`, which was received from the queue at `url`.
    ///
    /// # Errors
    /// Fails like [`Self::call`].
    pub async fn delete(&self, url: &str, message: &Value) -> Result<()> {
        let request = json!({ "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"] });
        self.call("DeleteMessage", &request).await.map(drop)
    }

    /// Returns the number of messages in the queue at `url`, including delayed and in-flight messages.
    ///
    /// # Errors
    /// Fails like [`Self::call`].
    pub async fn depth(&self, url: &str) -> Result<u64> {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let answer = self.call("GetQueueAttributes", &json!({ "QueueUrl": url, "AttributeNames": names })).await?;
        let count = |name: &str| answer["Attributes"][name].as_str().and_then(|count| count.parse::<u64>().ok());
        Ok(names.into_iter().filter_map(count).sum())
    }
}

/// Drives every function of `functions` that the template connects to a queue, until the tasks are dropped.
pub fn drive(sqs: &Sqs, functions: &[Function], address: SocketAddr) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for function in functions {
        for source in &function.queues {
            let mapping = Arc::new(Mapping {
                sqs: sqs.clone(),
                invoker: Invoker::new(address, &function.name, function.timeout),
                source: source.clone(),
            });
            tasks.spawn(mapping.run());
        }
    }
    tasks
}

/// Returns the number of messages in those of `queues` that a function of `functions` consumes.
///
/// # Errors
/// Fails if SQS is unavailable.
pub async fn waiting(sqs: &Sqs, functions: &[Function]) -> Result<u64> {
    let mut waiting = 0;
    for source in functions.iter().flat_map(|function| &function.queues) {
        waiting += sqs.depth(&source.url).await?;
    }
    Ok(waiting)
}

/// The mapping of one queue to one function.
struct Mapping {
    sqs: Sqs,
    invoker: Invoker,
    source: QueueSource,
}

impl Mapping {
    async fn run(self: Arc<Self>) {
        let free = Arc::new(Semaphore::new(self.source.concurrency.unwrap_or(DEFAULT_CONCURRENCY)));
        // Dropping the set leaves the unfinished batches in the queue.
        let mut batches = JoinSet::new();
        loop {
            while batches.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
            match self.collect().await {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => {
                    let mapping = Arc::clone(&self);
                    batches.spawn(async move {
                        mapping.handle(messages).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // SQS was stopped, as in a simulated outage. Its messages outlive the stop.
                    eprintln!("the queue of {} cannot be read: {error:#}", self.invoker.name());
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Receives a batch: what is in the queue when the window ends, up to the size of a batch.
    async fn collect(&self) -> Result<Vec<Value>> {
        let QueueSource { url, batch_size, has_window, .. } = &self.source;
        let mut messages = self.sqs.receive(url, *batch_size).await?;
        if *has_window && !messages.is_empty() {
            tokio::time::sleep(WINDOW).await;
        }
        while messages.len() % MAX_RECEIVED == 0 && !messages.is_empty() && messages.len() < *batch_size {
            let more = self.sqs.receive_within(url, *batch_size - messages.len(), 0).await?;
            if more.is_empty() {
                break;
            }
            messages.extend(more);
        }
        Ok(messages)
    }

    /// Invokes the function with `messages` and deletes the processed ones.
    async fn handle(&self, messages: Vec<Value>) {
        let name = self.source.url.rsplit('/').next().unwrap_or_default();
        let records: Vec<_> = messages.iter().map(|message| record(message, name)).collect();
        let failed = match self.invoker.invoke(&json!({ "Records": records })).await {
            Ok(failed) if self.source.reports_failures => failed,
            Ok(_) => Vec::new(),
            Err(error) => {
                eprintln!("{} fails: {error:#}", self.invoker.name());
                return;
            }
        };
        let is_known = |id: &String| messages.iter().any(|message| message["MessageId"] == id.as_str());
        if !failed.iter().all(is_known) {
            eprintln!("{} names a message as failed that it was not given", self.invoker.name());
            return;
        }
        for message in messages {
            if failed.iter().any(|id| message["MessageId"] == id.as_str()) {
                continue;
            }
            // A message that is not deleted is delivered again, which must be harmless anyway.
            if let Err(error) = self.sqs.delete(&self.source.url, &message).await {
                eprintln!("a message of {} was not deleted: {error:#}", self.invoker.name());
            }
        }
    }
}

/// Converts `message` to a record of Lambda's event. Format:
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>.
fn record(message: &Value, queue: &str) -> Value {
    let attribute = |(name, value): (&String, &Value)| {
        let told = json!({
            "stringValue": value["StringValue"],
            "binaryValue": value["BinaryValue"],
            "dataType": value["DataType"],
            "stringListValues": [],
            "binaryListValues": [],
        });
        (name.clone(), told)
    };
    let attributes = message["MessageAttributes"].as_object().into_iter().flatten().map(attribute);
    json!({
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": attributes.collect::<serde_json::Map<_, _>>(),
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"),
        "awsRegion": REGION,
    })
}
