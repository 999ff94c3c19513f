//! A stack with metered stores whose background functions are invoked manually, so that each is measured in isolation.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use local::credentials::Credentials;
use local::invoke::Invoker;
use local::ports::Ports;
use local::queues::Sqs;
use local::stack::{Options, Stack};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::meter::{Meter, Reading};

/// The maximum time to wait for an expected condition, and the polling interval.
const PATIENCE: Duration = Duration::from_secs(240);
const PERIOD: Duration = Duration::from_millis(50);

/// A stack and its client.
pub struct Metered {
    stack: Stack,
    reading: Arc<Mutex<Reading>>,
    client: Client,
    _data: TempDir,
}

impl Metered {
    /// Starts the stack with one process per function: each process looks the key up once.
    pub async fn start() -> Self {
        let reading = Arc::default();
        let dynamodb = Meter::start("dynamodb", &reading).await;
        let (s3, sqs) = (Meter::start("s3", &reading).await, Meter::start("sqs", &reading).await);
        let data = TempDir::with_prefix("signals-test-").expect("a folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let overrides = [
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint()),
            ("AWS_ENDPOINT_URL_S3", s3.endpoint()),
            ("AWS_ENDPOINT_URL_SQS", sqs.endpoint()),
        ];
        let template = data.path().join("template.yaml");
        std::fs::write(&template, without_sources(&root.join("template.yaml"))).expect("a template");
        let options = Options {
            root: root.to_owned(),
            template,
            data: data.path().to_owned(),
            ports: Ports::Free,
            profile: "dev".to_owned(),
            processes: 1,
            program: env!("CARGO_BIN_EXE_local").into(),
            overrides: overrides.map(|(name, value)| (name.to_owned(), value)).into(),
        };
        let stack = Stack::start(&options).await.expect("a stack");
        let credentials = Credentials::of(&stack.description().environment).expect("credentials");
        dynamodb.lead_to(&stack.dynamodb.endpoint(), &credentials);
        s3.lead_to(&stack.s3.endpoint(), &credentials);
        sqs.lead_to(&stack.sqs.endpoint(), &credentials);
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { stack, reading, client, _data: data }
    }

    /// Measures the store calls of `call`. Nothing else runs meanwhile.
    pub async fn measure<T>(&self, call: impl Future<Output = T>) -> (T, Reading) {
        self.take();
        let answer = call.await;
        (answer, self.take())
    }

    fn take(&self) -> Reading {
        std::mem::take(&mut self.reading.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub async fn get(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.stack.description().api));
        request.header("x-api-key", self.stack.api_key()).send().await.expect("an answer")
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.post_with(path, body, ("accept", "*/*")).await
    }

    pub async fn post_with(&self, path: &str, body: &Value, (name, value): (&str, &str)) -> Response {
        let request = self.client.post(format!("{}{path}", self.stack.description().api)).json(body);
        request.header(name, value).header("x-api-key", self.stack.api_key()).send().await.expect("an answer")
    }

    /// Invokes a background function with `records`.
    pub async fn invoke(&self, function: &str, records: &[Value]) {
        let functions = self.stack.description().functions.parse().expect("an address");
        let invoker = Invoker::new(functions, function, PATIENCE);
        let failed = invoker.invoke(&json!({ "Records": records })).await.expect("an answer");
        assert_eq!(failed, Vec::<String>::new(), "{function}");
    }

    /// Returns the only message in the queue that `variable` names, in the format of Lambda's event.
    pub async fn message(&self, variable: &str) -> Value {
        self.messages(variable, 1).await.remove(0)
    }

    /// Returns the `count` messages in the queue that `variable` names, in the format of Lambda's event.
    pub async fn messages(&self, variable: &str, count: usize) -> Vec<Value> {
        let url = &self.stack.description().environment[variable];
        let sqs = Sqs::of(&self.stack.description().environment).expect("SQS");
        let mut messages = Vec::new();
        while messages.len() < count {
            let missing = count - messages.len();
            let received = eventually("a message", async || {
                let received = sqs.receive(url, missing).await.expect("an answer");
                (!received.is_empty()).then_some(received)
            });
            for message in received.await {
                sqs.delete(url, &message).await.expect("an answer");
                messages.push(record_of(&message));
            }
        }
        messages
    }

    /// Invokes `roll-up-logs` with the messages of its queue until `is_done` returns true.
    pub async fn roll_up_until(&self, is_done: impl AsyncFn() -> bool) {
        let url = &self.stack.description().environment["SIGNALS_ACTIVITY_QUEUE"];
        let sqs = Sqs::of(&self.stack.description().environment).expect("SQS");
        eventually("all interactions are counted", async || {
            if is_done().await {
                return Some(());
            }
            let messages = sqs.receive(url, 10).await.expect("an answer");
            if !messages.is_empty() {
                self.invoke("roll-up-logs", &messages.iter().map(record_of).collect::<Vec<_>>()).await;
            }
            for message in &messages {
                sqs.delete(url, message).await.expect("an answer");
            }
            None
        })
        .await;
    }

    /// Returns the item of `user` under `key` in the table that `variable` names, in DynamoDB's format.
    pub async fn item(&self, variable: &str, user: &str, key: &str) -> Value {
        let request = json!({
            "TableName": self.stack.description().environment[variable], "ConsistentRead": true,
            "Key": { "user_id": { "S": user }, "sk": { "S": key } },
        });
        let mut signed = http::Request::post(format!("{}/", self.stack.dynamodb.endpoint()))
            .header("x-amz-target", "DynamoDB_20120810.GetItem")
            .header("content-type", "application/x-amz-json-1.0")
            .body(request.to_string())
            .expect("a request");
        let credentials = Credentials::of(&self.stack.description().environment).expect("credentials");
        credentials.sign("dynamodb", &mut signed).expect("a signature");
        let answer = self.client.execute(signed.try_into().expect("a request")).await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        assert!(answer["Item"].is_object(), "{answer}");
        answer["Item"].clone()
    }

    pub async fn stop(self) {
        self.stack.stop().await;
    }
}

/// Returns a message of SQS in the format of Lambda's event.
fn record_of(message: &Value) -> Value {
    json!({
        "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
        "attributes": message["Attributes"],
    })
}

/// Returns the template without the event sources that connect functions to streams and queues.
fn without_sources(template: &Path) -> String {
    let mut text = std::fs::read_to_string(template).expect("the template");
    for (source, count) in [("Type: DynamoDB\n", 2), ("Type: SQS\n", 3)] {
        assert_eq!(text.matches(source).count(), count, "{source}");
        // A type that the local stack ignores.
        text = text.replace(source, "Type: SNS\n");
    }
    text
}

/// Waits until `condition` returns a value.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(PERIOD).await;
    }
}
