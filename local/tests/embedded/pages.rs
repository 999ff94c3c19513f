//! Pages of a user's events, and their contents.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use dynoxide::Database;
use local::services::Service;
use local::services::dynamodb::{self, Changes};
use local::template::Template;
use serde_json::json;
use shared::aws::PutResult;
use shared::config::Config;
use shared::ids::{AgentId, EventId, SignalType, UserId};
use shared::integrity::detection::WindowEvent;
use shared::integrity::event::StoredEvent;
use shared::integrity::payload::Payload;
use shared::integrity::store::{ItemFilter, Page, PageRequest, PutEvent};
use shared::integrity::{Event, EventTable, ReceivedEvent};
use shared::time::Timestamp;
use shared::unknown::UnknownNames;

use crate::support::{CREDENTIALS, aws, port};

const TEMPLATE: &str = r#"
Resources:
  F: { Type: AWS::Serverless::Function, Metadata: { BuildProperties: { Binary: f } } }
  Events:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: user_id, AttributeType: S }, { AttributeName: sk, AttributeType: S }]
      KeySchema: [{ AttributeName: user_id, KeyType: HASH }, { AttributeName: sk, KeyType: RANGE }]
"#;
/// The size of a large event, in bytes. DynamoDB reads a megabyte at once, so a query finds five of these events.
const LARGE: usize = 180_000;

fn put(database: &Database, agent: &str, time: &str, bytes: usize) {
    let item = json!({
        "user_id": { "S": "user" },
        "sk": { "S": format!("e#{time}#{agent}#id") },
        "signal_type": { "S": "x" },
        "timestamp": { "S": time },
        "received_at": { "S": time },
        "time_source": { "S": "client" },
        "skew_ms": { "N": "0" },
        "payload_bytes": { "N": bytes.to_string() },
        "payload": { "S": json!({ "text": "x".repeat(bytes) }).to_string() },
    });
    let put = json!({ "TableName": "signals-Events", "Item": item });
    database.put_item(serde_json::from_value(put).expect("a request")).expect("a put");
}

fn first_page(limit: usize) -> PageRequest {
    let (since, until, received_until) = (Timestamp::MIN, Timestamp::MAX, Timestamp::MAX);
    PageRequest { since, until, cursor: None, received_until, limit }
}

/// The embedded DynamoDB with a table of events.
struct Store {
    database: Database,
    table: EventTable,
    _service: Service,
    _folder: tempfile::TempDir,
}

impl Store {
    fn start() -> Self {
        let folder = tempfile::TempDir::with_prefix("signals-test-").expect("a folder");
        let template = Template::parse(TEMPLATE, "http://sqs").expect("a template");
        let database = dynamodb::open(&folder.path().join("dynamodb"), &template.tables).expect("a database");
        let service = dynamodb::start(port(), &database, &CREDENTIALS, &Changes::default()).expect("DynamoDB");
        // A busy machine needs longer for a large page than a request may wait.
        let client = aws(&service).dynamodb();
        let patient = client.config().to_builder().timeout_config(TimeoutConfig::disabled()).build();
        let table = EventTable::new(Client::from_conf(patient), "signals-Events".to_owned());
        Self { database, table, _service: service, _folder: folder }
    }

    /// Returns the first page of the user's events, with at most 100 events.
    async fn first_page(&self) -> Page<StoredEvent> {
        let filter = ItemFilter { can_access: |_: &AgentId| true, matches: |_: &WindowEvent| true };
        let user = UserId::try_from("user").expect("a user");
        self.table.newest(&user, &first_page(100), filter).await.expect("a page")
    }
}

/// Returns the `n`th event, with a payload of 1.1 KB and additional white space.
fn large_event(n: usize, white_space: usize) -> ReceivedEvent {
    let payload = json!({ "text": "x".repeat(1_100) }).to_string();
    let event = Event {
        user_id: UserId::try_from("user").expect("a user"),
        agent_id: AgentId::try_from("ours").expect("an agent"),
        signal_type: SignalType::try_from("x").expect("a signal type"),
        timestamp: Timestamp::from_millis(1_767_225_600_000 + n as i64).expect("in range"),
        sent_at: None,
        event_id: Some(EventId::try_from("1").expect("an id")),
        payload: Payload::parse(&payload.replacen(':', &format!(":{}", "\n".repeat(white_space)), 1))
            .expect("an object"),
        ignored: UnknownNames::default(),
    };
    let received_at = Timestamp::from_millis(1_800_000_000_000).expect("in range");
    ReceivedEvent::new(event, received_at, &Config::load().expect("a configuration").detection)
}

fn bytes(page: &Page<StoredEvent>) -> usize {
    page.items.iter().map(|event| json!(event.payload).to_string().len()).sum()
}

#[tokio::test]
async fn event_sent_again_keeps_the_payload_that_was_stored() {
    let store = Store::start();
    for white_space in [0, 64_000] {
        for n in 0..10 {
            let put = store.table.put(&large_event(n, white_space), None).await.expect("a put");
            assert_eq!(matches!(put, PutResult::Stored), white_space == 0, "{put:?}");
        }
    }
    let page = store.first_page().await;
    assert_eq!(page.items.len(), 10);
    for event in &page.items {
        assert_eq!(event.payload, large_event(0, 0).payload.text());
    }
    assert!(bytes(&page) < 20_000, "{} bytes", bytes(&page));
}

#[tokio::test]
async fn page_fits_an_answer_whatever_events_say_of_their_payloads() {
    let store = Store::start();
    for n in 0..50 {
        let event = large_event(n, 64_000);
        store.table.put(&event, None).await.expect("a put");
        let update = json!({
            "TableName": "signals-Events",
            "Key": { "user_id": { "S": "user" }, "sk": { "S": event.key.to_string() } },
            "UpdateExpression": "SET payload_bytes = :one",
            "ExpressionAttributeValues": { ":one": { "N": "1" } },
        });
        store.database.update_item(serde_json::from_value(update).expect("a request")).expect("an update");
    }
    let page = store.first_page().await;
    assert!(bytes(&page) < 2_500_000 && page.next.is_some(), "{} bytes", bytes(&page));
}

#[tokio::test]
async fn pages_advance_past_many_events_of_others_within_one_hour() {
    let Store { database, table, .. } = &Store::start();
    // The oldest and the newest event belong to the caller's agent; between them are ten megabytes of other agents'
    // events.
    put(database, "ours", "2026-01-01T10:59:00.000000Z", 1);
    for second in 0..60 {
        put(database, "others", &format!("2026-01-01T10:30:{second:02}.000000Z"), LARGE);
    }
    put(database, "ours", "2026-01-01T10:01:00.000000Z", 1);

    let (user, ours) = (UserId::try_from("user").expect("a user"), AgentId::try_from("ours").expect("an agent"));
    let mut request = first_page(10);
    let (mut found, mut links) = (Vec::new(), Vec::new());
    loop {
        let filter = ItemFilter { can_access: |agent: &AgentId| *agent == ours, matches: |_: &WindowEvent| true };
        let page = table.newest(&user, &request, filter).await.expect("a page");
        found.extend(page.items.iter().map(|event| event.key.time.to_string()));
        let Some(next) = page.next else { break };
        assert!(!links.contains(&next.to_string()), "the link leads back to {next}");
        links.push(next.to_string());
        request.cursor = Some(next);
    }
    assert_eq!(found, ["2026-01-01T10:59:00.000000Z", "2026-01-01T10:01:00.000000Z"]);
}
