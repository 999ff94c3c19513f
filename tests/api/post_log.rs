//! `POST /log`: recorded entries, their classification, and rejected requests.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use shared::time::Timestamp;
use uuid::{Builder, Uuid};

use crate::answer::Answer;
use crate::stack::{Stack, eventually, fresh};

fn interaction(user: &str, user_input: &str) -> Value {
    json!({"agent_id": "agent", "user_id": user, "user_input": user_input})
}

#[tokio::test]
async fn a_log_is_classified_and_comes_back() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let answer = stack.post_log(&interaction(&user, "Thank you!")).await;
    let json = answer.json(answer.status());
    // A stack that is too busy to store the entry at once queues the entry.
    let is_accepted = matches!((answer.status(), json["status"].as_str()), (200, Some("ok")) | (202, Some("queued")));
    answer.check(is_accepted, "200 and ok, or 202 and queued");
    let logged = json["logged"].clone();
    let mut entry = logged.clone();
    let fields = entry.as_object_mut().expect("an entry");
    let id = fields.remove("log_id").and_then(|id| uuid::Uuid::parse_str(id.as_str()?).ok());
    answer.check(id.is_some_and(|id| id.get_version_num() == 7), "a UUIDv7 for a log id");
    let timestamp = fields.remove("timestamp").unwrap_or_default();
    let timestamp = timestamp.as_str().unwrap_or_default();
    let instant = Timestamp::parse_rfc3339(timestamp);
    answer.check(instant.is_some_and(|it| it.to_rfc3339_millis() == timestamp), "RFC 3339, UTC, milliseconds");
    let classification = fields.remove("classification").unwrap_or_default();
    let score = classification["score"].as_f64().unwrap_or_default();
    answer.check(score > 0.5 && score <= 1.0 && classification["version"].is_string(), "how sure it is, and of what");
    answer.check(classification["matched"][0]["signal"] == "positive", "the terms that decided");
    let expected = json!({
        "agent_id": "agent", "user_id": user, "user_input": "Thank you!", "detected_signal": "positive",
        "response_type": "", "coherence_score_impact": null, "escalation_flag": false, "session_id": null, "v": 1,
        "agent_output": null, "metadata": null,
    });
    assert_eq!(entry, expected, "{answer}");

    let listed = async || stack.get_logs("agent", &user).await.list();
    eventually("the entry is in the log", async || (!listed().await.is_empty()).then_some(())).await;
    assert_eq!(listed().await, [logged]);
}

#[tokio::test]
async fn every_field_of_an_interaction_comes_back_as_it_was_sent() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut sent = interaction(&user, "");
    for (field, value) in [
        ("user_input", json!("line\nbreak \"quotes\" \\ \u{2028} \u{0} 日本 🙂 {\"v\":2}\r\n")),
        ("detected_signal", json!("delighted")),
        ("response_type", json!("empathy")),
        ("coherence_score_impact", json!(-0.25)),
        ("escalation_flag", json!(true)),
        ("session_id", json!("session 1")),
    ] {
        sent[field] = value;
    }
    stack.log(&sent).await;
    let answer = stack.get_logs("agent", &user).await;
    let entries = answer.list();
    answer.check(entries.len() == 1, "one entry");
    for (field, value) in sent.as_object().expect("an object") {
        answer.check(entries[0][field] == *value, &format!("{field} {value}"));
    }
}

#[tokio::test]
async fn every_default_keyword_finds_its_signal() {
    let cases = [
        ("I am not sure.", "uncertain"),
        ("Unsure about this", "uncertain"),
        ("how confusing", "uncertain"),
        ("I'm confused", "uncertain"),
        ("I am angry", "stressed"),
        ("so frustrating", "stressed"),
        ("frustrated!", "stressed"),
        ("that upset me", "stressed"),
        ("STRESS", "stressed"),
        ("stressful", "stressed"),
        ("thanks", "positive"),
        ("thank you", "positive"),
        ("thankfully", "positive"),
        ("great", "positive"),
        ("(happy)", "positive"),
        ("that is awesome, friend", "positive"),
    ];
    assert_classified(&cases).await;
}

#[tokio::test]
async fn the_first_rule_wins() {
    let cases = [
        ("good, but I am confused", "uncertain"),
        ("happy or not sure", "uncertain"),
        ("good but angry", "stressed"),
        ("angry but good", "stressed"),
    ];
    assert_classified(&cases).await;
}

#[tokio::test]
async fn word_parts_are_not_keywords_and_unclear_text_is_neutral() {
    let cases = [
        ("the sky is blue", "neutral"),
        ("", "neutral"),
        ("hello", "neutral"),
        ("what now?", "neutral"),
        ("knot sure", "neutral"),
        ("日本 语 🙂", "neutral"),
    ];
    assert_classified(&cases).await;
}

#[tokio::test]
async fn the_words_around_a_word_count() {
    let cases = [
        ("I am not happy with this", "stressed"),
        ("still not working", "stressed"),
        ("thanks for nothing", "stressed"),
        ("not so sure", "uncertain"),
        ("works now, thanks", "positive"),
        ("Not bad at all!", "positive"),
    ];
    assert_classified(&cases).await;
}

#[tokio::test]
async fn given_signal_is_kept_and_null_signal_is_classified() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let longest = "é".repeat(16);
    for (given, kept) in [
        (json!("stressed"), "stressed"),
        (json!("Frustré, a=1"), "Frustré, a=1"),
        (json!(longest), &longest),
        (json!(null), "positive"),
    ] {
        let mut interaction = interaction(&user, "good");
        interaction["detected_signal"] = given;
        let logged = stack.log(&interaction).await;
        assert_eq!(logged["detected_signal"], kept, "{logged}");
        let is_explained = logged["classification"].is_object();
        assert_eq!(
            is_explained,
            interaction["detected_signal"].is_null(),
            "an explanation of what was classified: {logged}"
        );
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut interaction = interaction(&user, "good");
    for field in ["classification", "v", "nobody"] {
        interaction[field] = json!("mine");
    }
    let logged = stack.log(&interaction).await;
    assert!(logged.get("nobody").is_none() && !logged.to_string().contains("mine"), "{logged}");
}

/// Returns a UUIDv7 of the time `millis`.
fn id_at(millis: i64) -> Uuid {
    let millis = u64::try_from(millis).expect("after 1970");
    let random = Uuid::now_v7().into_bytes()[6..].try_into().expect("ten bytes");
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

async fn post_with_key(stack: &Stack, interaction: &Value, key: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    stack.send(Method::POST, "/log", &headers, interaction.to_string()).await
}

/// Returns the expected response to a retry of the request whose response was `first`.
fn again(first: &Answer) -> Value {
    let mut answer = first.ok().clone();
    first.check(answer.get("duplicate").is_none(), "an answer to a first attempt");
    answer["duplicate"] = json!(true);
    answer
}

#[tokio::test]
async fn interaction_sent_again_with_its_log_id_is_stored_once() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let millis = Timestamp::parse_rfc3339("2026-01-01T12:00:00.123Z").expect("RFC 3339").millis();
    let mut sent = interaction(&user, "Thank you!");
    sent["log_id"] = json!(id_at(millis));
    sent["coherence_score_impact"] = json!(0.1);
    let first = stack.post_log(&sent).await;
    let logged = first.ok()["logged"].clone();
    first.check(logged["log_id"] == sent["log_id"], "the caller's id");
    first.check(logged["timestamp"] == "2026-01-01T12:00:00.123Z", "the time of the id");
    // The same interaction with its fields in another order and with an explicit time.
    stack.post_log(&sent).await.expect(200, &again(&first));
    sent["timestamp"] = json!("2026-01-01T13:00:00.123999+01:00");
    stack.post_log(&sent).await.expect(200, &again(&first));
    stack.get_logs("agent", &user).await.expect(200, &json!([logged]));
    stack.get_summary("agent", &user).await.expect(200, &json!({"positive": 1}));
}

#[tokio::test]
async fn another_interaction_under_a_log_id_is_a_conflict() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut sent = interaction(&user, "Thank you!");
    sent["log_id"] = json!(Uuid::now_v7());
    let logged = stack.post_log(&sent).await.ok()["logged"].clone();
    for (field, value) in [
        ("user_input", json!("Thank you")),
        ("user_input", json!("This is so frustrating")),
        ("detected_signal", json!("positive")),
        ("response_type", json!("apology")),
        ("session_id", json!("1")),
    ] {
        let mut other = sent.clone();
        other[field] = value;
        let answer = stack.post_log(&other).await;
        answer.check(answer.json(409)["detail"].is_string(), "a detail");
    }
    stack.get_logs("agent", &user).await.expect(200, &json!([logged]));
    // For other agents and users, the same id identifies another entry.
    sent["user_id"] = json!(fresh("user"));
    let answer = stack.post_log(&sent).await;
    answer.check(answer.ok().get("duplicate").is_none(), "an entry of its own");
}

#[tokio::test]
async fn concurrent_attempts_are_one_entry() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut sent = interaction(&user, "Thank you!");
    sent["log_id"] = json!(Uuid::now_v7());
    let answers = join_all((0..8).map(|_| stack.post_log(&sent))).await;
    let first: Vec<_> = answers.iter().filter(|answer| answer.ok().get("duplicate").is_none()).collect();
    assert!(first.len() <= 1, "{} answers to a first attempt", first.len());
    assert!(answers.iter().all(|answer| answer.ok()["logged"] == answers[0].ok()["logged"]));
    stack.get_summary("agent", &user).await.expect(200, &json!({"positive": 1}));
}

#[tokio::test]
async fn idempotency_key_needs_a_timestamp_and_determines_the_id() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut sent = interaction(&user, "Thank you!");
    post_with_key(&stack, &sent, "attempt 1").await.expect_fault_at("header.idempotency-key");
    sent["timestamp"] = json!("2026-01-01 12:00");
    let first = post_with_key(&stack, &sent, "attempt 1").await;
    let logged = first.ok()["logged"].clone();
    first.check(logged["timestamp"] == "2026-01-01T12:00:00.000Z", "the timestamp");
    post_with_key(&stack, &sent, "attempt 1").await.expect(200, &again(&first));
    // The id that was derived from the key identifies the entry too.
    let mut by_id = sent.clone();
    by_id["log_id"] = logged["log_id"].clone();
    stack.post_log(&by_id).await.expect(200, &again(&first));
    let other = post_with_key(&stack, &sent, "attempt 2").await;
    other.check(other.ok()["logged"]["log_id"] != logged["log_id"], "an id of its own");
    sent["user_input"] = json!("Thank you");
    assert_eq!(post_with_key(&stack, &sent, "attempt 1").await.status(), 409);
    stack.get_summary("agent", &user).await.expect(200, &json!({"positive": 2}));
}

#[tokio::test]
async fn imported_interactions_have_their_own_times_and_order() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let times = [json!("2026-01-01T12:00:00.001Z"), json!(1_735_732_800), json!("2026-01-01"), json!("2026-01-01")];
    for time in &times {
        let mut sent = interaction(&user, "hello");
        sent["timestamp"] = time.clone();
        let answer = stack.post_log(&sent).await;
        answer.check(answer.ok().get("duplicate").is_none(), "an entry of its own");
    }
    let answer = stack.get_logs("agent", &user).await;
    let shown: Vec<_> = answer.list().iter().map(|entry| entry["timestamp"].clone()).collect();
    let midnight = "2026-01-01T00:00:00.000Z";
    assert_eq!(shown, ["2025-01-01T12:00:00.000Z", midnight, midnight, "2026-01-01T12:00:00.001Z"]);
}

#[tokio::test]
async fn ids_and_times_out_of_range_are_refused() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let logged = stack.post_log(&interaction(&fresh("clock"), "hi")).await.ok()["logged"].clone();
    let now = Timestamp::parse_rfc3339(logged["timestamp"].as_str().expect("a time")).expect("RFC 3339").millis();
    let far = Timestamp::from_millis(now + 600_000).expect("in range").to_rfc3339_millis();
    let before = json!("2026-01-01T11:59:59.999Z");
    let id = json!(id_at(1_767_268_800_000));
    for (more, field, kind) in [
        (json!({"log_id": "x"}), "body.log_id", "uuid_parsing"),
        (json!({"log_id": 7}), "body.log_id", "uuid_type"),
        (json!({"log_id": "0b6f6c2e-2f7e-4b57-9c0b-7d1b7d8e4a11"}), "body.log_id", "uuid_version"),
        (json!({"log_id": id_at(now + 600_000)}), "body.log_id", "value_error"),
        (json!({"timestamp": far}), "body.timestamp", "value_error"),
        (json!({"timestamp": "1969-12-31T23:59:59.999Z"}), "body.timestamp", "value_error"),
        (json!({"timestamp": "yesterday"}), "body.timestamp", "datetime_from_date_parsing"),
        (json!({"timestamp": before, "log_id": id}), "body.timestamp", "value_error"),
    ] {
        let mut sent = interaction(&user, "hi");
        sent.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        stack.post_log(&sent).await.expect_faults(&[(field, kind)]);
    }
    stack.get_logs("agent", &user).await.expect(200, &json!([]));
    for more in [json!({"log_id": null, "timestamp": null}), json!({"timestamp": now + 60_000})] {
        let mut sent = interaction(&user, "hi");
        sent.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        stack.post_log(&sent).await.ok();
    }
}

#[tokio::test]
async fn every_missing_field_is_named_at_once() {
    let answer = Stack::connect().post("/log", "{}").await;
    answer.expect_faults(&[("body.agent_id", "missing"), ("body.user_id", "missing"), ("body.user_input", "missing")]);
}

#[tokio::test]
async fn every_field_of_a_wrong_type_is_named_at_once() {
    let interaction = json!({
        "agent_id": 1, "user_id": null, "user_input": ["hi"], "detected_signal": 2, "response_type": null,
        "coherence_score_impact": "0.5", "escalation_flag": "true", "session_id": {},
    });
    Stack::connect().post_log(&interaction).await.expect_faults(&[
        ("body.agent_id", "string_type"),
        ("body.user_id", "string_type"),
        ("body.user_input", "string_type"),
        ("body.detected_signal", "string_type"),
        ("body.response_type", "string_type"),
        ("body.coherence_score_impact", "float_type"),
        ("body.escalation_flag", "bool_type"),
        ("body.session_id", "string_type"),
    ]);
}

#[tokio::test]
async fn names_that_are_too_long_or_contain_separators_are_rejected() {
    let stack = Stack::connect();
    for (field, max_bytes) in [("user_id", 128), ("agent_id", 128), ("detected_signal", 32)] {
        let too_long = "a".repeat(max_bytes + 1);
        let mut interaction = interaction(&fresh("user"), "hi");
        for bad in ["", ".", "..", "a/b", "a\\b", "100%", "a?b", "a#b", "a\nb", "a\u{7f}b", "a\u{0}b", &too_long] {
            interaction[field] = json!(bad);
            stack.post_log(&interaction).await.expect_fault_at(&format!("body.{field}"));
        }
    }
}

#[tokio::test]
async fn nothing_of_a_refused_interaction_is_stored() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (field, value) in [
        ("user_input", json!(1)),
        ("detected_signal", json!("a/b")),
        ("escalation_flag", json!(null)),
        ("coherence_score_impact", json!([])),
    ] {
        let mut interaction = interaction(&user, "hi");
        interaction[field] = value;
        stack.post_log(&interaction).await.expect_fault_at(&format!("body.{field}"));
    }
    stack.get_logs("agent", &user).await.expect(200, &json!([]));
    stack.get_summary("agent", &user).await.expect(200, &json!({}));
}

async fn assert_classified(cases: &[(&str, &str)]) {
    let (stack, user) = (Stack::connect(), fresh("user"));
    join_all(cases.iter().map(async |(text, signal)| {
        let logged = stack.log(&interaction(&user, text)).await;
        assert_eq!(logged["detected_signal"], *signal, "{logged}");
    }))
    .await;
}
