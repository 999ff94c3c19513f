use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, SendMessageBatchRequestEntry,
};
use local::services::{Service, sqs};
use local::template::Template;

use crate::support::{CREDENTIALS, aws, port};

const TEMPLATE: &str = r#"
Resources:
  F: { Type: AWS::Serverless::Function, Metadata: { BuildProperties: { Binary: f } } }
  Retry:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 90
      RedrivePolicy: { deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2 }
  Dead: { Type: AWS::SQS::Queue }
"#;

struct Sqs {
    client: Client,
    service: Service,
    retry: String,
    dead: String,
}

impl Sqs {
    async fn start() -> Self {
        let listener = port();
        let template = Template::parse(TEMPLATE, "http://sqs").expect("a template");
        let service = sqs::start(listener, &template.queues, &CREDENTIALS).await.expect("SQS");
        // The SDK's own HTTP client is not compiled in; the suite's client is.
        let suite = aws(&service).dynamodb();
        let mut config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_smithy_runtime_api::client::behavior_version::BehaviorVersion::latest())
            .region(aws_sdk_sqs::config::Region::new("us-east-1"))
            .credentials_provider(CREDENTIALS.for_sdk())
            .endpoint_url(service.endpoint());
        config.set_http_client(suite.config().http_client());
        let client = Client::from_conf(config.build());
        let url = async |name: &str| {
            let answer = client.get_queue_url().queue_name(name).send().await.expect("the queue");
            answer.queue_url().expect("its URL").to_owned()
        };
        let (retry, dead) = (url("signals-Retry").await, url("signals-Dead").await);
        Self { client, service, retry, dead }
    }

    async fn send(&self, body: &str) {
        self.client.send_message().queue_url(&self.retry).message_body(body).send().await.expect("a message sent");
    }

    /// Waits for messages for at most a second. Other receivers see the messages again after `visibility` seconds.
    async fn receive(&self, queue: &str, visibility: i32) -> Vec<Message> {
        let receive = self.client.receive_message().queue_url(queue).max_number_of_messages(10);
        let answer = receive.visibility_timeout(visibility).wait_time_seconds(1).send().await.expect("an answer");
        answer.messages.unwrap_or_default()
    }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::body).collect()
}

#[tokio::test]
async fn standard_queue_takes_messages_with_a_group() {
    let sqs = Sqs::start().await;
    let send = sqs.client.send_message().queue_url(&sqs.retry).message_body("one").message_group_id("maria");
    send.send().await.expect("a message sent");
    let entry = SendMessageBatchRequestEntry::builder().id("1").message_body("two").message_group_id("maria");
    let batch = sqs.client.send_message_batch().queue_url(&sqs.retry).entries(entry.build().expect("an entry"));
    let answer = batch.send().await.expect("an answer");
    assert_eq!((answer.successful().len(), answer.failed().len()), (1, 0));
    let mut bodies: Vec<_> = sqs.receive(&sqs.retry, 60).await.into_iter().filter_map(|message| message.body).collect();
    while bodies.len() < 2 {
        bodies.extend(sqs.receive(&sqs.retry, 60).await.into_iter().filter_map(|message| message.body));
    }
    bodies.sort_unstable();
    assert_eq!(bodies, ["one", "two"]);
}

#[tokio::test]
async fn a_queue_is_at_the_address_that_the_template_resolves_to() {
    let sqs = Sqs::start().await;
    let template = Template::parse(
        &format!(
            "{TEMPLATE}  G:\n    Type: AWS::Serverless::Function\n    Metadata: {{ BuildProperties: {{ Binary: g }} }}\n    Properties: {{ Environment: {{ Variables: {{ Q: !Ref Retry }} }} }}\n"
        ),
        &sqs.service.endpoint(),
    );
    assert_eq!(template.expect("a template").environment().expect("variables")["Q"], sqs.retry);
}

#[tokio::test]
async fn a_message_is_received_until_it_is_deleted() {
    let sqs = Sqs::start().await;
    sqs.send("{\"a\":1}").await;
    let first = sqs.receive(&sqs.retry, 0).await;
    assert_eq!(bodies(&first), ["{\"a\":1}"]);
    let second = sqs.receive(&sqs.retry, 60).await;
    assert_eq!(bodies(&second), ["{\"a\":1}"]);
    let handle = second[0].receipt_handle().expect("a handle");
    sqs.client.delete_message().queue_url(&sqs.retry).receipt_handle(handle).send().await.expect("a deletion");
    assert!(sqs.receive(&sqs.retry, 0).await.is_empty());
}

#[tokio::test]
async fn a_message_in_work_is_hidden_until_its_receiver_gives_it_back() {
    let sqs = Sqs::start().await;
    sqs.send("one").await;
    let taken = sqs.receive(&sqs.retry, 60).await;
    assert!(sqs.receive(&sqs.retry, 0).await.is_empty());
    let handle = taken[0].receipt_handle().expect("a handle");
    let give_back = sqs.client.change_message_visibility().queue_url(&sqs.retry).receipt_handle(handle);
    give_back.visibility_timeout(0).send().await.expect("a change");
    assert_eq!(bodies(&sqs.receive(&sqs.retry, 60).await), ["one"]);
}

#[tokio::test]
async fn a_message_received_too_often_goes_to_the_dead_letter_queue() {
    let sqs = Sqs::start().await;
    sqs.send("poison").await;
    for _ in 0..2 {
        assert_eq!(bodies(&sqs.receive(&sqs.retry, 0).await), ["poison"]);
    }
    assert!(sqs.receive(&sqs.retry, 0).await.is_empty());
    assert_eq!(bodies(&sqs.receive(&sqs.dead, 0).await), ["poison"]);
}

#[tokio::test]
async fn batches_are_sent_changed_and_deleted() {
    let sqs = Sqs::start().await;
    let entry = |id: usize| {
        let entry = SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(format!("body {id}"));
        entry.build().expect("an entry")
    };
    let entries = (0..10).map(entry).collect();
    let sent = sqs.client.send_message_batch().queue_url(&sqs.retry).set_entries(Some(entries)).send().await;
    let sent = sent.expect("a batch sent");
    assert_eq!((sent.successful().len(), sent.failed().len()), (10, 0));

    let received = sqs.receive(&sqs.retry, 60).await;
    let mut found = bodies(&received);
    found.sort_unstable();
    assert_eq!(found, (0..10).map(|id| format!("body {id}")).collect::<Vec<_>>());

    let (back, gone) = received.split_at(4);
    let change = |(id, message): (usize, &Message)| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id.to_string()).visibility_timeout(0);
        entry.set_receipt_handle(message.receipt_handle.clone()).build().expect("an entry")
    };
    let entries = back.iter().enumerate().map(change).collect();
    let changed = sqs.client.change_message_visibility_batch().queue_url(&sqs.retry).set_entries(Some(entries));
    assert_eq!(changed.send().await.expect("a change").successful().len(), 4);
    let delete = |(id, message): (usize, &Message)| {
        let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
        entry.set_receipt_handle(message.receipt_handle.clone()).build().expect("an entry")
    };
    let entries = gone.iter().enumerate().map(delete).collect();
    let deleted = sqs.client.delete_message_batch().queue_url(&sqs.retry).set_entries(Some(entries));
    assert_eq!(deleted.send().await.expect("a deletion").successful().len(), 6);
    assert_eq!(sqs.receive(&sqs.retry, 60).await.len(), 4);
}

#[tokio::test]
async fn messages_outlive_an_outage() {
    let sqs = Sqs::start().await;
    sqs.send("kept").await;
    sqs.service.stop().await;
    let refused = sqs.client.receive_message().queue_url(&sqs.retry).send().await.expect_err("an outage");
    assert!(refused.as_service_error().is_none(), "{refused:?}");
    sqs.service.start().expect("the port is still free");
    assert_eq!(bodies(&sqs.receive(&sqs.retry, 0).await), ["kept"]);
}
