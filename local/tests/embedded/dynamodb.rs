use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use dynoxide::Database;
use futures_util::future::join_all;
use local::services::dynamodb::Changes;
use local::services::{Service, dynamodb};
use local::template::Template;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{CREDENTIALS, aws, port};

const TEMPLATE: &str = r#"
Resources:
  F: { Type: AWS::Serverless::Function, Metadata: { BuildProperties: { Binary: f } } }
  Events:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
        - { AttributeName: user_id, AttributeType: S }
        - { AttributeName: sk, AttributeType: S }
      KeySchema:
        - { AttributeName: user_id, KeyType: HASH }
        - { AttributeName: sk, KeyType: RANGE }
      StreamSpecification: { StreamViewType: NEW_IMAGE }
      TimeToLiveSpecification: { AttributeName: expires_at, Enabled: true }
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true }
"#;

const TABLE: &str = "signals-Events";

type Item = HashMap<String, AttributeValue>;

struct DynamoDb {
    client: Client,
    service: Service,
    database: Database,
    folder: TempDir,
}

impl DynamoDb {
    fn start() -> Self {
        Self::start_in(TempDir::new().expect("a folder"), TEMPLATE)
    }

    fn start_in(folder: TempDir, template: &str) -> Self {
        let template = Template::parse(template, "").expect("a template");
        let database = dynamodb::open(&folder.path().join("dynamodb.sqlite"), &template.tables).expect("a database");
        let service = dynamodb::start(port(), &database, &CREDENTIALS, &Changes::default()).expect("DynamoDB");
        Self { client: aws(&service).dynamodb(), service, database, folder }
    }

    async fn put(&self, item: Item) {
        self.client.put_item().table_name(TABLE).set_item(Some(item)).send().await.expect("a PutItem");
    }

    /// Returns the sort keys of user `u` from `from` to `to`, with a strongly consistent read.
    async fn between(&self, from: &str, to: &str, forward: bool, limit: i32) -> (Vec<String>, Option<Item>) {
        let query = self.client.query().table_name(TABLE).consistent_read(true).scan_index_forward(forward);
        let query = query.key_condition_expression("user_id = :u AND sk BETWEEN :from AND :to").limit(limit);
        let query = query.expression_attribute_values(":u", text("u"));
        let query = query.expression_attribute_values(":from", text(from)).expression_attribute_values(":to", text(to));
        let page = query.send().await.expect("a Query");
        (page.items().iter().map(|item| item["sk"].as_s().expect("text").clone()).collect(), page.last_evaluated_key)
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn item(sort: &str) -> Item {
    HashMap::from([("user_id".to_owned(), text("u")), ("sk".to_owned(), text(sort))])
}

fn keys(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn put_on_an_existing_key_fails_and_returns_the_existing_item() {
    let db = DynamoDb::start();
    let put = |value: &str| {
        let put = db.client.put_item().table_name(TABLE).set_item(Some(item("e#1"))).item("value", text(value));
        let put = put.condition_expression("attribute_not_exists(sk)");
        put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld).send()
    };
    put("first").await.expect("a PutItem");
    let error = put("second").await.expect_err("a failed condition").into_service_error();
    assert_eq!(error.code(), Some("ConditionalCheckFailedException"));
    let aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException(failure) = error else {
        panic!("{error:?}")
    };
    assert_eq!(failure.item().expect("the item")["value"], text("first"));
}

#[tokio::test]
async fn of_many_conditional_puts_one_wins() {
    let db = DynamoDb::start();
    let put = || {
        let put = db.client.put_item().table_name(TABLE).set_item(Some(item("e#1")));
        put.condition_expression("attribute_not_exists(sk)").send()
    };
    let outcomes = join_all((0..16).map(|_| put())).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[tokio::test]
async fn strong_query_returns_a_range_in_both_directions_up_to_limit() {
    let db = DynamoDb::start();
    for sort in ["e#1", "e#2", "e#3", "e#4", "p#1"] {
        db.put(item(sort)).await;
    }
    db.put(HashMap::from([("user_id".to_owned(), text("v")), ("sk".to_owned(), text("e#2"))])).await;
    assert_eq!(db.between("e#2", "e#3", true, 10).await, (keys(&["e#2", "e#3"]), None));
    assert_eq!(db.between("e#", "e#~", false, 10).await.0, keys(&["e#4", "e#3", "e#2", "e#1"]));
    let (first, last) = db.between("e#1", "e#4", true, 3).await;
    assert_eq!(first, keys(&["e#1", "e#2", "e#3"]));
    assert_eq!(last.expect("more")["sk"], text("e#3"));
    assert_eq!(db.between("e#1", "e#4", false, 3).await.0, keys(&["e#4", "e#3", "e#2"]));
    assert_eq!(db.between("e#5", "e#9", true, 3).await, (keys(&[]), None));
}

#[tokio::test]
async fn an_update_may_let_a_number_only_grow() {
    let db = DynamoDb::start();
    let update = |count: i32| {
        let update = db.client.update_item().table_name(TABLE).set_key(Some(item("a#1")));
        let update = update.update_expression("SET #c = :c").expression_attribute_names("#c", "count");
        let update = update.expression_attribute_values(":c", AttributeValue::N(count.to_string()));
        update.condition_expression("attribute_not_exists(#c) OR #c < :c").send()
    };
    update(11).await.expect("an UpdateItem");
    update(12).await.expect("an UpdateItem");
    let smaller = update(11).await.expect_err("a failed condition").into_service_error();
    assert!(smaller.is_conditional_check_failed_exception(), "{smaller:?}");
    let get = db.client.get_item().table_name(TABLE).set_key(Some(item("a#1"))).consistent_read(true).send().await;
    assert_eq!(get.expect("a GetItem").item.expect("the item")["count"], AttributeValue::N("12".to_owned()));
}

#[tokio::test]
async fn transaction_is_atomic_and_reports_the_failed_condition() {
    let db = DynamoDb::start();
    let write = |sort: &str| {
        let put = Put::builder().table_name(TABLE).set_item(Some(item(sort)));
        let put = put.condition_expression("attribute_not_exists(sk)");
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        TransactWriteItem::builder().put(put.build().expect("a put")).build()
    };
    let both = |one: &str, other: &str| {
        db.client.transact_write_items().transact_items(write(one)).transact_items(write(other)).send()
    };
    both("e#1", "id#1").await.expect("a transaction");
    let error = both("e#2", "id#1").await.expect_err("a failed condition").into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(error) =
        error
    else {
        panic!("{error:?}")
    };
    let reasons: Vec<_> = error.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
    assert_eq!(reasons, ["None", "ConditionalCheckFailed"]);
    assert_eq!(error.cancellation_reasons()[1].item().expect("the item")["sk"], text("id#1"));
    assert_eq!(db.between("e#", "e#~", true, 10).await.0, keys(&["e#1"]));
}

#[tokio::test]
async fn the_template_switches_stream_and_time_to_live_on() {
    let db = DynamoDb::start();
    let table = db.client.describe_table().table_name(TABLE).send().await.expect("the table");
    let stream = table.table().and_then(|table| table.stream_specification()).expect("a stream");
    assert!(stream.stream_enabled());
    assert_eq!(stream.stream_view_type().map(|view| view.as_str()), Some("NEW_IMAGE"));
    let ttl = db.client.describe_time_to_live().table_name(TABLE).send().await.expect("an answer");
    assert_eq!(ttl.time_to_live_description().and_then(|ttl| ttl.attribute_name()), Some("expires_at"));
}

#[tokio::test]
async fn a_sweep_deletes_what_has_expired_and_nothing_else() {
    let db = DynamoDb::start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    for (sort, expires_at) in [("e#old", now - 60), ("e#new", now + 600)] {
        let mut item = item(sort);
        item.insert("expires_at".to_owned(), AttributeValue::N(expires_at.to_string()));
        db.put(item).await;
    }
    db.put(item("e#never")).await;
    assert_eq!(db.database.sweep_ttl().expect("a sweep"), 1);
    assert_eq!(db.between("e#", "e#~", true, 10).await.0, keys(&["e#never", "e#new"]));
}

#[tokio::test]
async fn items_outlive_a_restart_and_an_outage() {
    let db = DynamoDb::start();
    db.put(item("e#1")).await;
    db.service.stop().await;
    let refused = db.client.get_item().table_name(TABLE).set_key(Some(item("e#1"))).send().await;
    assert!(refused.expect_err("an outage").as_service_error().is_none());
    db.service.start().expect("the port is still free");
    assert_eq!(db.between("e#", "e#~", true, 10).await.0, keys(&["e#1"]));

    let DynamoDb { service, database, folder, .. } = db;
    service.stop().await;
    drop(database);
    let again = DynamoDb::start_in(folder, TEMPLATE);
    assert_eq!(again.between("e#", "e#~", true, 10).await.0, keys(&["e#1"]));
}

#[tokio::test]
async fn a_table_of_an_earlier_template_is_adapted_or_refused() {
    let without = TEMPLATE.replace("      StreamSpecification: { StreamViewType: NEW_IMAGE }\n", "");
    let db = DynamoDb::start_in(TempDir::new().expect("a folder"), &without);
    let DynamoDb { service, database, folder, .. } = db;
    service.stop().await;
    drop(database);

    let db = DynamoDb::start_in(folder, TEMPLATE);
    let table = db.client.describe_table().table_name(TABLE).send().await.expect("the table");
    assert!(table.table().and_then(|table| table.stream_specification()).is_some_and(|stream| stream.stream_enabled()));

    let other = TEMPLATE
        .replace("- { AttributeName: sk, KeyType: RANGE }", "")
        .replace("- { AttributeName: sk, AttributeType: S }", "");
    let tables = Template::parse(&other, "").expect("a template").tables;
    let path = db.folder.path().join("dynamodb.sqlite");
    let error = format!("{:#}", dynamodb::open(&path, &tables).map(drop).expect_err("other keys"));
    assert!(error.contains(TABLE) && error.contains("KeySchema") && error.contains("--data"), "{error}");
}

#[tokio::test]
async fn a_stream_tells_what_was_written_in_order() {
    let db = DynamoDb::start();
    for sort in ["e#1", "e#2"] {
        db.put(item(sort)).await;
    }
    // Like the stack, reads the stream in the same process.
    let streams = db.database.list_streams(from(json!({ "TableName": TABLE }))).expect("the streams");
    let streams = serde_json::to_value(streams).expect("JSON");
    let arn = &streams["Streams"][0]["StreamArn"];
    let stream = db.database.describe_stream(from(json!({ "StreamArn": arn }))).expect("the stream");
    let stream = serde_json::to_value(stream).expect("JSON");
    let shard = &stream["StreamDescription"]["Shards"][0]["ShardId"];
    let wanted = json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
    let iterator = db.database.get_shard_iterator(from(wanted)).expect("an iterator");
    let iterator = serde_json::to_value(iterator).expect("JSON");
    let records = db.database.get_records(from(json!({ "ShardIterator": iterator["ShardIterator"] })));
    let records = serde_json::to_value(records.expect("records")).expect("JSON");
    let seen = records["Records"].as_array().expect("a list").iter();
    let seen: Vec<_> = seen.map(|record| (&record["eventName"], &record["dynamodb"]["NewImage"]["sk"]["S"])).collect();
    let insert = json!("INSERT");
    assert_eq!(seen, [(&insert, &json!("e#1")), (&insert, &json!("e#2"))]);
}

fn from<R: serde::de::DeserializeOwned>(json: Value) -> R {
    serde_json::from_value(json).expect("a request")
}
