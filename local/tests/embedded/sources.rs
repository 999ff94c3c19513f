//! Event sources: the batches of streams and queues that functions receive. The functions are scripted, because the
//! event sources are under test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Json, Router};
use dynoxide::Database;
use http::StatusCode;
use local::queues::{self, Sqs};
use local::services::dynamodb::Changes;
use local::services::{Service, dynamodb, sqs};
use local::streams::Reader;
use local::template::Template;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{CREDENTIALS, port};

const PATIENCE: Duration = Duration::from_secs(240);
const PERIOD: Duration = Duration::from_millis(20);

const TEMPLATE: &str = r#"
Resources:
  Evaluate:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: evaluate } }
    Properties:
      Timeout: 5
      Events:
        Stream:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Table.StreamArn
            BatchSize: 8
            FunctionResponseTypes: [ReportBatchItemFailures]
            BisectBatchOnFunctionError: true
            MaximumRetryAttempts: 4
            DestinationConfig: { OnFailure: { Type: SQS, Destination: !GetAtt Given.Arn } }
  Retry:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: retry } }
    Properties:
      Timeout: 5
      Events:
        Queue:
          Type: SQS
          Properties:
            Queue: !GetAtt Waiting.Arn
            BatchSize: 4
            FunctionResponseTypes: [ReportBatchItemFailures]
            ScalingConfig: { MaximumConcurrency: 2 }
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      StreamSpecification: { StreamViewType: KEYS_ONLY }
  Waiting:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 1
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3 }
  Dead: { Type: AWS::SQS::Queue }
  Given: { Type: AWS::SQS::Queue }
"#;

type Script = Box<dyn FnMut(&Value) -> (StatusCode, Value) + Send>;
type Received = Arc<Mutex<Vec<Value>>>;

/// A function with scripted responses that records its invocations.
struct Scripted {
    address: SocketAddr,
    received: Received,
}

impl Scripted {
    async fn start(script: impl FnMut(&Value) -> (StatusCode, Value) + Send + 'static) -> Self {
        let (received, script) = (Received::default(), Arc::new(Mutex::new(Box::new(script) as Script)));
        let state = (Arc::clone(&received), script);
        let answer = async |State((received, script)): State<(Received, Arc<Mutex<Script>>)>,
                            Json(event): Json<Value>| {
            let (status, answer) = (script.lock().expect("a script"))(&event);
            received.lock().expect("a list").push(event);
            (status, Json(answer)).into_response()
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, received }
    }

    /// Returns the received batches; `name` maps each item to its name.
    fn received(&self, name: impl Fn(&Value) -> String) -> Vec<Vec<String>> {
        let received = self.received.lock().expect("a list");
        received.iter().map(|event| event["Records"].as_array().expect("records").iter().map(&name).collect()).collect()
    }
}

/// The stores of the template, without consumers.
struct Sources {
    template: Template,
    database: Database,
    sqs: Sqs,
    changes: Changes,
    _service: Service,
    folder: TempDir,
}

impl Sources {
    async fn start() -> Self {
        let listener = port();
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let template = Template::parse(TEMPLATE, &endpoint).expect("a template");
        let folder = TempDir::with_prefix("signals-test-").expect("a folder");
        let database = dynamodb::open(&folder.path().join("dynamodb"), &template.tables).expect("a database");
        let service = sqs::start(listener, &template.queues, &CREDENTIALS).await.expect("SQS");
        Self {
            template,
            database,
            sqs: Sqs::new(endpoint, CREDENTIALS.clone()),
            changes: Changes::default(),
            _service: service,
            folder,
        }
    }

    fn put(&self, id: &str) {
        let put = json!({ "TableName": "signals-Table", "Item": { "id": { "S": id } } });
        self.database.put_item(serde_json::from_value(put).expect("a request")).expect("a put");
        self.changes.notify();
    }

    fn read_streams(&self, functions: SocketAddr) -> JoinSet<()> {
        let folder = self.folder.path().to_owned();
        let reader = Reader {
            database: self.database.clone(),
            changes: self.changes.clone(),
            functions,
            sqs: self.sqs.clone(),
            folder,
        };
        reader.drive(&self.template.functions)
    }

    fn read_queues(&self, functions: SocketAddr) -> JoinSet<()> {
        queues::drive(&self.sqs, &self.template.functions, functions)
    }

    fn url(&self, queue: &str) -> String {
        let of_retry = &self.template.functions.iter().find(|function| function.name == "retry").expect("it is there");
        of_retry.queues[0].url.replace("Waiting", queue)
    }

    async fn send(&self, body: &str) {
        let message = json!({ "QueueUrl": self.url("Waiting"), "MessageBody": body });
        self.sqs.call("SendMessage", &message).await.expect("a message sent");
    }
}

async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(PERIOD).await;
    }
}

fn id(record: &Value) -> String {
    record["dynamodb"]["Keys"]["id"]["S"].as_str().expect("an id").to_owned()
}

fn body(record: &Value) -> String {
    record["body"].as_str().expect("a body").to_owned()
}

fn all_done() -> (StatusCode, Value) {
    (StatusCode::OK, json!({ "batchItemFailures": [] }))
}

fn failed(items: &[&Value]) -> (StatusCode, Value) {
    let failures: Vec<_> = items.iter().map(|item| json!({ "itemIdentifier": item })).collect();
    (StatusCode::OK, json!({ "batchItemFailures": failures }))
}

fn crash() -> (StatusCode, Value) {
    (StatusCode::INTERNAL_SERVER_ERROR, json!({ "errorType": "Crash", "errorMessage": "it crashed" }))
}

fn names(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn stream_is_delivered_in_order_and_retried_from_first_failure() {
    let sources = Sources::start().await;
    let mut is_first = true;
    let function = Scripted::start(move |event| {
        let number = |index: usize| &event["Records"][index]["dynamodb"]["SequenceNumber"];
        // The later change is reported first, but the earlier one counts.
        if std::mem::take(&mut is_first) { failed(&[number(5), number(3)]) } else { all_done() }
    })
    .await;
    names(0, 10).iter().for_each(|name| sources.put(name));
    let _reading = sources.read_streams(function.address);
    eventually("all are delivered", async || (function.received(id).concat().last()? == "9").then_some(())).await;
    assert_eq!(function.received(id), [names(0, 8), names(3, 10)]);
}

#[tokio::test]
async fn change_that_crashes_the_function_is_sent_to_failure_queue() {
    let sources = Sources::start().await;
    let function = Scripted::start(|event| {
        let records = event["Records"].as_array().expect("records");
        if records.iter().any(|record| id(record) == "5") { crash() } else { all_done() }
    })
    .await;
    names(0, 12).iter().for_each(|name| sources.put(name));
    let _reading = sources.read_streams(function.address);
    eventually("the rest is delivered without it", async || {
        let batch = function.received(id).pop()?;
        (batch.last()? == "11" && !batch.contains(&"5".to_owned())).then_some(())
    })
    .await;

    let received = function.received(id);
    let (crashed, done): (Vec<_>, Vec<_>) = received.iter().partition(|batch| batch.iter().any(|name| name == "5"));
    let done: Vec<_> = done.into_iter().flatten().cloned().collect();
    assert_eq!(done, [names(0, 5), names(6, 12)].concat());
    assert_eq!(crashed[0].len(), 8, "{received:?}");
    assert!(crashed.iter().filter(|batch| batch.len() == 1).count() <= 5, "a bounded number of tries: {received:?}");
    assert_eq!(crashed.last().expect("a batch").as_slice(), ["5"]);

    let given_up = sources.sqs.receive(&sources.url("Given"), 10).await.expect("messages");
    let [message] = given_up.as_slice() else { panic!("{given_up:?}") };
    let message: Value = serde_json::from_str(message["Body"].as_str().expect("a body")).expect("JSON");
    let received = function.received.lock().expect("a list").clone();
    let place = received
        .iter()
        .flat_map(|event| event["Records"].as_array().expect("records"))
        .find(|record| id(record) == "5");
    let place = &place.expect("it was delivered")["dynamodb"]["SequenceNumber"];
    let info = &message["DDBStreamBatchInfo"];
    assert_eq!(
        (&info["batchSize"], &info["startSequenceNumber"], &info["endSequenceNumber"]),
        (&json!(1), place, place)
    );
}

#[tokio::test]
async fn a_reader_that_begins_anew_goes_on_where_the_last_one_was() {
    let sources = Sources::start().await;
    let function = Scripted::start(|_| all_done()).await;
    names(0, 3).iter().for_each(|name| sources.put(name));
    let mut reading = sources.read_streams(function.address);
    let position = sources.folder.path().join("signals-Table-evaluate.position");
    eventually("the place is noted", async || {
        let is_received = function.received(id).concat() == names(0, 3);
        (is_received && position.exists()).then_some(())
    })
    .await;
    reading.shutdown().await;
    names(3, 5).iter().for_each(|name| sources.put(name));
    let _reading = sources.read_streams(function.address);
    eventually("the rest is delivered", async || (function.received(id).concat() == names(0, 5)).then_some(())).await;
}

#[tokio::test]
async fn only_failed_messages_of_a_batch_are_redelivered() {
    let sources = Sources::start().await;
    let mut fails = 2;
    let function = Scripted::start(move |event| {
        let records = event["Records"].as_array().expect("records");
        let bad: Vec<_> =
            records.iter().filter(|record| body(record) == "2").map(|record| &record["messageId"]).collect();
        if !bad.is_empty() && fails > 0 {
            fails -= 1;
            return failed(&bad);
        }
        all_done()
    })
    .await;
    for name in names(0, 6) {
        sources.send(&name).await;
    }
    let _reading = sources.read_queues(function.address);
    let queue = sources.url("Waiting");
    eventually("all are done", async || (sources.sqs.depth(&queue).await.ok()? == 0).then_some(())).await;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for name in function.received(body).concat() {
        *times.entry(name).or_default() += 1;
    }
    let expected = names(0, 6).into_iter().map(|name| (name.clone(), if name == "2" { 3 } else { 1 }));
    assert_eq!(times, expected.collect());
    let received = function.received.lock().expect("a list").clone();
    let last = &received.last().expect("an event")["Records"][0];
    assert_eq!(last["attributes"]["ApproximateReceiveCount"], "3", "{last}");
    assert_eq!((&last["eventSource"], &last["awsRegion"]), (&json!("aws:sqs"), &json!("us-east-1")), "{last}");
    assert!(last["receiptHandle"].is_string() && last["md5OfBody"].is_string(), "{last}");
}

#[tokio::test]
async fn messages_that_crash_the_function_are_dead_lettered() {
    let sources = Sources::start().await;
    let function = Scripted::start(|event| {
        let records = event["Records"].as_array().expect("records");
        if records.iter().any(|record| body(record) == "bad") { crash() } else { all_done() }
    })
    .await;
    sources.send("bad").await;
    let _reading = sources.read_queues(function.address);
    let dead = sources.url("Dead");
    let dead = eventually("it is put aside", async || sources.sqs.receive(&dead, 1).await.ok()?.pop()).await;
    assert_eq!(dead["Body"], "bad");
    assert_eq!(function.received(body), vec![vec!["bad".to_owned()]; 3]);
    sources.send("good").await;
    let queue = sources.url("Waiting");
    eventually("the queue goes on", async || (sources.sqs.depth(&queue).await.ok()? == 0).then_some(())).await;
    assert_eq!(function.received(body).concat().last().map(String::as_str), Some("good"));
}

#[tokio::test]
async fn an_answer_that_names_no_message_of_the_batch_fails_it_whole() {
    let sources = Sources::start().await;
    let mut is_first = true;
    let function =
        Scripted::start(move |_| if std::mem::take(&mut is_first) { failed(&[&json!("nobody")]) } else { all_done() })
            .await;
    sources.send("one").await;
    let _reading = sources.read_queues(function.address);
    let queue = sources.url("Waiting");
    eventually("it is done", async || (sources.sqs.depth(&queue).await.ok()? == 0).then_some(())).await;
    assert_eq!(function.received(body), vec![vec!["one".to_owned()]; 2]);
}
