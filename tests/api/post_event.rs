//! `POST /event`: accepted events, rejected events, and the responses.

use serde_json::{Value, json};

use crate::events::{at, event, micros};
use crate::stack::{Stack, fresh};

#[tokio::test]
async fn an_event_is_answered_with_its_id_and_the_time_of_receipt() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let json = stack.store_event(&event(&user, "x", at(0))).await;
    let mut fields: Vec<_> = json.as_object().expect("an object").keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["anomaly", "event_id", "received_at", "status"], "{json}");
    assert!(json["status"] == "ingested" && json["anomaly"].is_null(), "{json}");
    let id = uuid::Uuid::parse_str(json["event_id"].as_str().unwrap_or_default());
    assert!(id.is_ok_and(|id| id.get_version_num() == 7), "a UUIDv7 for an event id: {json}");
    assert!(micros(&json["received_at"]) > 0, "{json}");
}

#[tokio::test]
async fn an_event_keeps_the_id_it_is_given() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for event_id in ["1", "日本 语", "a b+c&d=e;f"] {
        let mut event = event(&user, "x", at(0));
        event["event_id"] = json!(event_id);
        assert_eq!(stack.store_event(&event).await["event_id"], event_id);
    }
}

#[tokio::test]
async fn retry_returns_the_id_and_the_time_of_the_first_attempt() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut event = event(&user, "x", at(0));
    event["event_id"] = json!("1");
    event["payload"] = json!({"a": 1, "b": [2.5]});
    let mut first = stack.store_event(&event).await;
    first["duplicate"] = json!(true);
    stack.post_again(&event).await.expect(200, &first);
    // In JSON, the order of keys and white space are not significant.
    let rewritten = event.to_string().replace(r#"{"a":1,"b":[2.5]}"#, r#"{ "b": [2.5], "a": 1 }"#);
    assert_ne!(rewritten, event.to_string());
    let retry = stack.post("/event", rewritten).await;
    stack.settled(retry, &event).await.expect(200, &first);
}

#[tokio::test]
async fn same_id_with_another_body_is_a_conflict_and_changes_nothing() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut event = event(&user, "x", at(0));
    event["event_id"] = json!("1");
    let mut first = stack.store_event(&event).await;
    for (field, other) in [("signal_type", json!("y")), ("payload", json!({"a": 1}))] {
        let mut other_event = event.clone();
        other_event[field] = other;
        let answer = stack.post_again(&other_event).await;
        answer.check(answer.json(409)["detail"].is_string(), "a reason");
    }
    first["duplicate"] = json!(true);
    stack.post_again(&event).await.expect(200, &first);
}

#[tokio::test]
async fn payload_may_be_any_object_and_unknown_fields_are_ignored() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for payload in [json!({}), json!({"a": [1, 2.5, null, {"b": "日本\u{0}\n"}]}), json!({"text": "x".repeat(60_000)})]
    {
        let mut event = event(&user, "x", at(0));
        event["payload"] = payload;
        event["nobody"] = json!([1]);
        stack.ingest(&event).await;
    }
}

#[tokio::test]
async fn every_missing_field_is_named_at_once() {
    let answer = Stack::connect().post("/event", "{}").await;
    answer.expect_faults(&[
        ("body.user_id", "missing"),
        ("body.agent_id", "missing"),
        ("body.signal_type", "missing"),
        ("body.timestamp", "missing"),
    ]);
    for fault in answer.json(422)["detail"].as_array().expect("a list") {
        assert_eq!((&fault["msg"], &fault["input"]), (&json!("Field required"), &json!({})));
    }
}

#[tokio::test]
async fn every_wrongly_typed_field_is_reported_with_its_value() {
    let event =
        json!({"user_id": 1, "agent_id": null, "signal_type": ["x"], "timestamp": true, "payload": [], "event_id": {}});
    let answer = Stack::connect().post_event(&event).await;
    answer.expect_faults(&[
        ("body.user_id", "string_type"),
        ("body.agent_id", "string_type"),
        ("body.signal_type", "string_type"),
        ("body.timestamp", "datetime_type"),
        ("body.payload", "dict_type"),
        ("body.event_id", "string_type"),
    ]);
    for fault in answer.json(422)["detail"].as_array().expect("a list") {
        assert_eq!(fault["input"], event[fault["loc"][1].as_str().expect("a field")], "{fault}");
    }
}

#[tokio::test]
async fn types_are_not_coerced_and_payload_is_an_object() {
    let stack = Stack::connect();
    for (field, value, kind) in [
        ("user_id", json!(1), "string_type"),
        ("signal_type", json!(true), "string_type"),
        ("payload", json!("{}"), "dict_type"),
        ("payload", json!(null), "dict_type"),
        ("payload", json!(1), "dict_type"),
    ] {
        let mut event = event(&fresh("user"), "x", at(0));
        event[field] = value;
        stack.post_event(&event).await.expect_faults(&[(&format!("body.{field}"), kind)]);
    }
}

#[tokio::test]
async fn names_that_are_too_long_or_contain_separators_are_rejected() {
    let stack = Stack::connect();
    let cases = [("user_id", 128), ("agent_id", 128), ("event_id", 128), ("signal_type", 64)];
    for (field, max_bytes) in cases {
        let at_most = "é".repeat(max_bytes / 2);
        let mut event = event(&fresh("user"), "x", at(0));
        event[field] = json!(at_most);
        stack.ingest(&event).await;
        let too_long = format!("{at_most}a");
        for bad in ["", ".", "..", "a/b", "a\\b", "100%", "a?b", "a#b", "a\nb", "a\u{7f}b", "a\u{0}b", &too_long] {
            event[field] = json!(bad);
            stack.post_event(&event).await.expect_fault_at(&format!("body.{field}"));
        }
    }
}

#[tokio::test]
async fn nothing_of_a_refused_event_is_stored() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let refused = |field: &str, value: Value| {
        let mut event = event(&user, "x", at(0));
        event[field] = value;
        event
    };
    let bad =
        [("payload", json!([])), ("agent_id", json!("a/b")), ("signal_type", json!("")), ("event_id", json!(".."))];
    for (field, value) in bad.into_iter().cycle().take(12) {
        stack.post_event(&refused(field, value)).await.expect_fault_at(&format!("body.{field}"));
    }
    let answers = stack.post_alike(&event(&user, "x", at(0)), 10).await;
    assert!(answers.iter().all(Value::is_null), "{answers:?}");
}
