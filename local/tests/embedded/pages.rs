//! Pages of a user's events for a reader who may see few of them.

use dynoxide::Database;
use local::services::dynamodb::{self, Changes};
use local::template::Template;
use serde_json::json;
use shared::ids::{AgentId, UserId};
use shared::integrity::EventTable;
use shared::integrity::store::Slice;
use shared::time::Timestamp;

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
/// DynamoDB reads a megabyte at once, so a query finds five of these.
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

#[tokio::test]
async fn a_reader_gets_past_however_many_events_of_others_within_one_hour() {
    let folder = tempfile::TempDir::with_prefix("signals-test-").expect("a folder");
    let template = Template::parse(TEMPLATE, "http://sqs").expect("a template");
    let database = dynamodb::open(&folder.path().join("dynamodb"), &template.tables).expect("a database");
    let service = dynamodb::start(port(), &database, &CREDENTIALS, &Changes::default()).expect("DynamoDB");
    let table = EventTable::new(aws(&service).dynamodb(), "signals-Events".to_owned());
    // Ours are the newest and the oldest; between them are ten megabytes of others'.
    put(&database, "ours", "2026-01-01T10:59:00.000000Z", 1);
    for second in 0..60 {
        put(&database, "others", &format!("2026-01-01T10:30:{second:02}.000000Z"), LARGE);
    }
    put(&database, "ours", "2026-01-01T10:01:00.000000Z", 1);

    let (user, ours) = (UserId::try_from("user").expect("a user"), AgentId::try_from("ours").expect("an agent"));
    let mut slice = Slice { since: Timestamp::MIN, until: Timestamp::MAX, cursor: None, limit: 10 };
    let (mut found, mut links) = (Vec::new(), Vec::new());
    loop {
        let page = table.newest(&user, &slice, |occurrence| occurrence.key.agent_id == ours).await.expect("a page");
        found.extend(page.items.iter().map(|event| event.key.time.to_string()));
        let Some(next) = page.next else { break };
        assert!(!links.contains(&next.to_string()), "the link leads back to {next}");
        links.push(next.to_string());
        slice.cursor = Some(next);
    }
    assert_eq!(found, ["2026-01-01T10:59:00.000000Z", "2026-01-01T10:01:00.000000Z"]);
}
