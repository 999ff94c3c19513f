//! `POST /logs`: a batch of interactions, and the outcome of each interaction.

use std::collections::BTreeSet;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use shared::time::Timestamp;
use uuid::Uuid;

use crate::answer::Answer;
use crate::keys::key_for;
use crate::pages::follow;
use crate::segments::keys;
use crate::stack::{Stack, eventually, eventually_equal, fresh};

const MAX_ENTRIES: usize = 1_000;
const MAX_BATCH_BYTES: usize = 4 << 20;
const MAX_ITEM_BYTES: usize = 65_536;
const NOON: &str = "2026-01-01T12:00:00.000Z";
const JSON: (&str, &str) = ("content-type", "application/json");
const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// Returns a UUIDv7 of the time `millis` after noon. `number` makes it unique.
fn id(millis: u64, number: usize) -> Value {
    let noon = Timestamp::parse_rfc3339(NOON).expect("RFC 3339").millis().unsigned_abs();
    json!(Uuid::from_u128(u128::from(noon + millis) << 80 | 0x7 << 76 | 0x8 << 60 | number as u128))
}

fn interaction(user: &str, text: &str) -> Value {
    json!({"agent_id": "agent", "user_id": user, "user_input": text})
}

/// Returns an interaction with the caller's id. All texts are neutral.
fn repeatable(user: &str, millis: u64, number: usize) -> Value {
    let mut interaction = interaction(user, &format!("message {number}"));
    interaction["log_id"] = id(millis, number);
    interaction
}

/// Returns repeatable interactions of one hour, with ascending ids.
fn hour(user: &str, numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers.map(|number| repeatable(user, number as u64, number)).collect()
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["status"].as_str().unwrap_or_default()).collect()
}

fn ids(entries: &[Value]) -> Vec<Value> {
    entries.iter().map(|entry| entry["log_id"].clone()).collect()
}

/// Returns all entries of `user`, oldest first, from pages of 17.
async fn all_entries(stack: &Stack, user: &str) -> Vec<Value> {
    let pages = follow("limit=17", async |query| stack.get_logs_where("agent", user, query).await).await;
    pages.into_iter().rev().flatten().collect()
}

/// Posts `batch` for a fresh user and returns the user and the response.
///
/// A busy stack queues entries, which is correct but not the behaviour under test: the next attempt uses another user.
async fn unqueued(stack: &Stack, batch: impl AsyncFn(&str) -> Vec<Value>) -> (String, Answer) {
    eventually("a batch of which no entry is queued", async || {
        let user = fresh("user");
        let batch = batch(&user).await;
        let answer = stack.post_logs(&batch).await;
        let is_queued = statuses(&answer.results(batch.len())).contains(&"queued");
        (!is_queued).then_some((user, answer))
    })
    .await
}

/// Posts `batch` again until no entry is queued, and returns the results.
async fn again(stack: &Stack, batch: &[Value]) -> Vec<Value> {
    eventually("a batch of which no entry is queued", async || {
        let results = stack.post_logs(batch).await.results(batch.len());
        (!statuses(&results).contains(&"queued")).then_some(results)
    })
    .await
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn results_keep_request_order_and_valid_entries_are_stored() {
    let stack = Stack::connect();
    let limited = stack.with_key(key_for(&["agent"]).await);
    let (user, answer) = unqueued(&limited, async |user| {
        let mut batch = hour(user, 0..7);
        batch[0]["user_input"] = json!("Thank you!");
        batch[1].as_object_mut().expect("an object").remove("user_input");
        batch[1]["metadata"] = json!([]);
        batch[2]["agent_id"] = json!("another agent");
        batch[3] = json!("no interaction");
        batch[4]["log_id"] = json!("0b6f6c2e-2f7e-4b57-9c0b-7d1b7d8e4a11");
        batch[5]["timestamp"] = json!("2026-01-01T12:00:01Z");
        batch[6] = interaction(user, "This is so frustrating");
        batch[6]["timestamp"] = json!("2026-01-01T11:59:59.999Z");
        batch[6]["response"] = json!("Sorry.");
        batch
    })
    .await;
    let results = answer.results(7);
    assert_eq!(statuses(&results), ["ok", "invalid", "forbidden", "invalid", "invalid", "invalid", "ok"], "{answer}");
    let expected = json!({"status": "ok", "log_id": id(0, 0), "timestamp": NOON, "detected_signal": "positive"});
    assert_eq!(results[0], expected, "{answer}");
    let mut faults = answer.faults_of(&results[1]);
    faults.sort();
    let expected = [("body.1.metadata", "dict_type"), ("body.1.user_input", "missing")];
    assert_eq!(faults, expected.map(|(loc, kind)| (loc.to_owned(), kind.to_owned())), "{answer}");
    assert_eq!(results[1]["detail"][0]["loc"][1], json!(1), "the index is a number: {answer}");
    assert_eq!(results[2], json!({"status": "forbidden", "detail": "Forbidden"}), "{answer}");
    for (index, loc, kind) in [
        (3, "body.3", "model_attributes_type"),
        (4, "body.4.log_id", "uuid_version"),
        (5, "body.5.timestamp", "value_error"),
    ] {
        assert_eq!(answer.faults_of(&results[index]), [(loc.to_owned(), kind.to_owned())], "{answer}");
    }
    let last = &results[6];
    assert_eq!((&last["detected_signal"], &last["ignored"]), (&json!("stressed"), &json!(["response"])), "{answer}");
    assert_eq!(last["timestamp"], "2026-01-01T11:59:59.999Z", "{answer}");

    let entries = all_entries(&stack, &user).await;
    assert_eq!(ids(&entries), [last["log_id"].clone(), id(0, 0)]);
    assert_eq!((&entries[1]["user_input"], &entries[1]["v"]), (&json!("Thank you!"), &json!(1)));
    stack.get_summary("agent", &user).await.expect(200, &json!({"positive": 1, "stressed": 1}));
}

#[tokio::test]
async fn batch_of_a_conversation_and_an_hour_is_one_object() {
    let stack = Stack::connect();
    let (user, answer) = unqueued(&stack, async |user| {
        let mut batch = hour(user, 0..MAX_ENTRIES);
        batch.reverse();
        batch
    })
    .await;
    assert_eq!(statuses(&answer.results(MAX_ENTRIES)), ["ok"; MAX_ENTRIES]);
    let expected: Vec<_> = hour(&user, 0..MAX_ENTRIES).iter().map(|entry| entry["log_id"].clone()).collect();
    assert_eq!(ids(&all_entries(&stack, &user).await), expected);
    let keys = keys(&user).await;
    assert!(keys.len() == 1 && keys[0].ends_with(".neutral=1000.jsonl"), "{keys:?}");
    stack.get_summary("agent", &user).await.expect(200, &json!({"neutral": 1_000}));
    let entry = stack.get_log("agent", &user, expected[500].as_str().expect("an id")).await;
    entry.check(entry.ok()["user_input"] == "message 500", "the entry");
}

#[tokio::test]
async fn hours_and_users_of_a_batch_have_their_own_objects() {
    let stack = Stack::connect();
    let other = fresh("other");
    let (user, answer) = unqueued(&stack, async |user| {
        let millis = [0, 3_599_999, 3_600_000, 7_000_000];
        let mut batch: Vec<_> = millis.iter().enumerate().map(|(n, millis)| repeatable(user, *millis, n)).collect();
        batch.push(repeatable(&other, 0, 0));
        batch.push(repeatable(user, 9_000_000, 9));
        batch
    })
    .await;
    let results = answer.results(6);
    // An earlier attempt may have stored the entry of the other user.
    answer.check(statuses(&results)[..4] == ["ok"; 4] && results[5]["status"] == "ok", "new entries");
    assert_eq!((keys(&user).await.len(), keys(&other).await.len()), (3, 1));
    assert_eq!((all_entries(&stack, &user).await.len(), all_entries(&stack, &other).await.len()), (5, 1));
    // An entry that is alone has the key that `POST /log` gives it, and is recognised there.
    let retry = stack.post_log(&repeatable(&other, 0, 0)).await;
    retry.check(retry.ok()["duplicate"] == true, "a duplicate");
}

#[tokio::test]
async fn repeated_batch_changes_nothing() {
    let stack = Stack::connect();
    let (user, _) = unqueued(&stack, async |user| hour(user, 0..40)).await;
    let (entries, before) = (all_entries(&stack, &user).await, keys(&user).await);
    let results = again(&stack, &hour(&user, 0..40)).await;
    assert_eq!(statuses(&results), ["duplicate"; 40]);
    for (result, entry) in results.iter().zip(&entries) {
        for field in ["log_id", "timestamp", "detected_signal"] {
            assert_eq!(result[field], entry[field], "{result}");
        }
    }
    // Entries without an id are new each time, and leave the key of the others as it is.
    let mut more = hour(&user, 0..40);
    more.insert(7, interaction(&user, "no id"));
    let mut expected = vec!["duplicate"; 40];
    expected.insert(7, "ok");
    assert_eq!(statuses(&again(&stack, &more).await), expected);
    assert_eq!(keys(&user).await.len(), before.len() + 1);
    assert_eq!(all_entries(&stack, &user).await.len(), 41);
}

#[tokio::test]
async fn changed_entry_of_a_repeated_batch_is_a_conflict() {
    let stack = Stack::connect();
    let (user, _) = unqueued(&stack, async |user| hour(user, 0..5)).await;
    let before = all_entries(&stack, &user).await;
    let mut batch = hour(&user, 0..5);
    batch[1]["user_input"] = json!("another message");
    batch[4]["session_id"] = json!("1");
    let results = again(&stack, &batch).await;
    assert_eq!(statuses(&results), ["duplicate", "conflict", "duplicate", "duplicate", "conflict"]);
    assert!(results[1]["detail"].as_str().is_some_and(|detail| detail.contains("log_id")), "{results:?}");
    assert_eq!(all_entries(&stack, &user).await, before);
    assert_eq!(keys(&user).await.len(), 1);
}

#[tokio::test]
async fn entry_of_overlapping_batches_is_shown_once() {
    let stack = Stack::connect();
    let (user, _) = unqueued(&stack, async |user| hour(user, 0..30)).await;
    for batch in [15..45, 5..20, 44..50] {
        again(&stack, &hour(&user, batch)).await;
    }
    stack.post_log(&repeatable(&user, 10, 10)).await.ok();
    let entries = all_entries(&stack, &user).await;
    let expected: Vec<_> = hour(&user, 0..50).iter().map(|entry| entry["log_id"].clone()).collect();
    assert_eq!(ids(&entries), expected);
    for number in [0, 10, 17, 44, 49] {
        let entry = stack.get_log("agent", &user, expected[number].as_str().expect("an id")).await;
        entry.expect(200, &entries[number]);
    }
}

#[tokio::test]
async fn entry_of_overlapping_batches_is_counted_once() {
    let stack = Stack::connect();
    let (user, _) = unqueued(&stack, async |user| hour(user, 0..30)).await;
    for batch in [15..45, 5..20, 44..50] {
        again(&stack, &hour(&user, batch)).await;
    }
    stack.post_log(&repeatable(&user, 10, 10)).await.ok();
    stack.get_summary("agent", &user).await.expect(200, &json!({"neutral": 50}));
    let counts = stack.get_summary_where("agent", &user, "since=2026-01-01&until=2026-01-02&bucket=hour").await;
    counts.check(counts.ok()["counts"] == json!({"neutral": 50}), "each entry to be counted once");
}

#[tokio::test]
async fn batches_with_the_same_key_are_both_stored() {
    let stack = Stack::connect();
    let batch =
        |user: &str, numbers: [usize; 4]| numbers.map(|number| repeatable(user, number as u64, number)).to_vec();
    let (user, _) = unqueued(&stack, async |user| batch(user, [0, 1, 2, 9])).await;
    // Bounds, newest id and counts are equal, so the key is.
    let results = again(&stack, &batch(&user, [0, 4, 5, 9])).await;
    let before = keys(&user).await;
    assert_eq!((statuses(&results), before.len()), (vec!["duplicate", "ok", "ok", "duplicate"], 2));
    assert_eq!(statuses(&again(&stack, &batch(&user, [0, 4, 5, 9])).await), ["duplicate"; 4]);
    assert_eq!(keys(&user).await, before);
    let expected: Vec<_> = [0, 1, 2, 4, 5, 9].map(|number| id(number, number as usize)).to_vec();
    assert_eq!(ids(&all_entries(&stack, &user).await), expected);
    stack.get_summary("agent", &user).await.expect(200, &json!({"neutral": 6}));
}

#[tokio::test]
async fn same_id_within_a_batch_is_stored_once() {
    let stack = Stack::connect();
    let (user, answer) = unqueued(&stack, async |user| {
        let mut other = repeatable(user, 1, 1);
        other["user_input"] = json!("other");
        let mut classified = repeatable(user, 2, 2);
        classified["detected_signal"] = json!("neutral");
        vec![repeatable(user, 1, 1), repeatable(user, 2, 2), repeatable(user, 1, 1), other, classified]
    })
    .await;
    let results = answer.results(5);
    assert_eq!(statuses(&results), ["ok", "ok", "duplicate", "conflict", "conflict"], "{answer}");
    assert_eq!((&results[2]["log_id"], &results[2]["timestamp"]), (&id(1, 1), &results[0]["timestamp"]), "{answer}");
    let entries = all_entries(&stack, &user).await;
    assert_eq!(ids(&entries), [id(1, 1), id(2, 2)]);
    assert_eq!(entries[0]["user_input"], "message 1");
}

#[tokio::test]
async fn concurrent_attempts_of_a_batch_are_one_object() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let batch = hour(&user, 0..50);
    let answers = join_all((0..8).map(|_| stack.post_logs(&batch))).await;
    let results: Vec<_> = answers.iter().map(|answer| answer.results(50)).collect();
    for index in 0..50 {
        let stored = results.iter().filter(|results| results[index]["status"] == "ok").count();
        assert!(stored <= 1, "{stored} attempts stored entry {index}");
    }
    let is_accepted = |result: &Value| ["ok", "duplicate", "queued"].iter().any(|status| result["status"] == *status);
    assert!(results.iter().flatten().all(is_accepted), "{results:?}");
    let expected: Vec<_> = batch.iter().map(|entry| entry["log_id"].clone()).collect();
    eventually_equal("the entries", &expected, async || ids(&all_entries(&stack, &user).await)).await;
    assert_eq!(keys(&user).await.len(), 1);
}

#[tokio::test]
async fn lines_and_gzip_are_read_like_an_array() {
    let stack = Stack::connect();
    let marked = |body: &str| format!("\u{feff}{body}");
    for (headers, is_lines) in
        [(vec![JSON], false), (vec![NDJSON], true), (vec![JSON, GZIP], false), (vec![NDJSON, GZIP], true)]
    {
        let user = fresh("user");
        let items: Vec<_> = hour(&user, 0..3).iter().map(Value::to_string).collect();
        let body = if is_lines {
            format!("{}\r\n\n{}\n{{\n{}", items[0], items[1], items[2])
        } else {
            format!("[{}]", items.join(","))
        };
        let body = marked(&body);
        let sent = if headers.contains(&GZIP) { gzip(&body) } else { body.into_bytes() };
        let answer = stack.send(Method::POST, "/logs", &headers, sent).await;
        let mut results = answer.results(if is_lines { 4 } else { 3 });
        if is_lines {
            let faults = answer.faults_of(&results.remove(2));
            answer
                .check(faults[0].0.starts_with("body.2") && faults[0].1 == "json_invalid", "json_invalid in its line");
        }
        let is_accepted = |result: &Value| result["status"] == "ok" || result["status"] == "queued";
        answer.check(results.iter().all(is_accepted), "valid entries to be accepted");
        let expected = ids(&hour(&user, 0..3));
        eventually_equal("the entries", &expected, async || ids(&all_entries(&stack, &user).await)).await;
    }
}

#[tokio::test]
async fn body_is_limited_before_and_after_decompression() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let text = json!([repeatable(&user, 0, 0)]).to_string();
    let padded = |bytes: usize| format!("{text}{}", " ".repeat(bytes - text.len()));
    let too_large = padded(MAX_BATCH_BYTES + 1);
    for (headers, body) in [(vec![JSON], too_large.clone().into_bytes()), (vec![JSON, GZIP], gzip(&too_large))] {
        let answer = stack.send(Method::POST, "/logs", &headers, body).await;
        answer.check(answer.json(413)["detail"].to_string().contains("max_log_batch_bytes"), "the limit to be named");
    }
    stack.get_logs("agent", &user).await.expect(200, &json!([]));
    let answer = stack.send(Method::POST, "/logs", &[JSON, GZIP], gzip(&padded(MAX_BATCH_BYTES))).await;
    answer.check(["ok", "queued"].iter().any(|status| answer.results(1)[0]["status"] == *status), "an accepted entry");
}

#[tokio::test]
async fn other_encodings_and_damaged_gzip_are_rejected() {
    let stack = Stack::connect();
    for encoding in ["br", "deflate", "gzip, gzip"] {
        let answer = stack.send(Method::POST, "/logs", &[JSON, ("content-encoding", encoding)], "[]").await;
        answer.check(answer.json(415)["detail"].to_string().contains("gzip"), "the supported encoding to be named");
    }
    let whole = gzip("[]");
    for body in [b"[]".to_vec(), whole[..whole.len() - 1].to_vec(), Vec::new()] {
        stack.send(Method::POST, "/logs", &[NDJSON, GZIP], body).await.expect_faults(&[("body", "value_error")]);
    }
    stack.send(Method::POST, "/logs", &[JSON, ("content-encoding", "identity")], "[]").await.results(0);
}

#[tokio::test]
async fn thousand_entries_are_a_batch_and_one_more_is_too_long() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let batch = hour(&user, 0..MAX_ENTRIES + 1);
    stack.post_logs(&batch).await.expect_faults(&[("body", "too_long")]);
    let lines: Vec<String> = batch.iter().map(Value::to_string).collect();
    let answer = stack.send(Method::POST, "/logs", &[NDJSON], lines.join("\n")).await;
    answer.expect_faults(&[("body", "too_long")]);
    stack.get_logs("agent", &user).await.expect(200, &json!([]));
    stack.post("/logs", "[]").await.expect(207, &json!({"results": []}));
}

#[tokio::test]
async fn oversized_entry_is_invalid_and_the_others_are_stored() {
    let stack = Stack::connect();
    let (user, answer) = unqueued(&stack, async |user| {
        let mut batch = hour(user, 0..3);
        for (interaction, too_many) in batch[..2].iter_mut().zip([0, 1]) {
            let room = MAX_ITEM_BYTES - interaction.to_string().len();
            let text = interaction["user_input"].as_str().expect("a text").to_owned();
            interaction["user_input"] = json!(format!("{text}{}", "x".repeat(room + too_many)));
        }
        batch
    })
    .await;
    let results = answer.results(3);
    assert_eq!(statuses(&results), ["ok", "invalid", "ok"], "{answer}");
    assert_eq!(answer.faults_of(&results[1]), [("body.1".to_owned(), "bytes_too_long".to_owned())], "{answer}");
    assert_eq!(ids(&all_entries(&stack, &user).await), [id(0, 0), id(2, 2)]);
}

#[tokio::test]
async fn body_that_is_not_a_list_of_json_is_rejected() {
    let stack = Stack::connect();
    for body in ["{}", "\"text\"", "1", "null"] {
        stack.post("/logs", body).await.expect_faults(&[("body", "list_type")]);
    }
    stack.post("/logs", "").await.expect_faults(&[("body", "missing")]);
    for body in ["[", "[{}", "not JSON", "[] []", "[{},]"] {
        let answer = stack.post("/logs", body).await;
        answer.check(answer.faults()[0].1 == "json_invalid", "json_invalid");
    }
    for content_type in ["text/plain", "application/gzip", "application/x-www-form-urlencoded"] {
        let answer = stack.send(Method::POST, "/logs", &[("content-type", content_type)], "[]").await;
        answer.check(answer.json(415)["detail"].is_string(), "a reason");
    }
}

#[tokio::test]
async fn idempotency_key_has_no_effect_on_a_batch() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut one = interaction(&user, "hi");
    one["timestamp"] = json!(NOON);
    for _ in 0..2 {
        let headers = [JSON, ("idempotency-key", "1")];
        let answer = stack.send(Method::POST, "/logs", &headers, json!([one, one]).to_string()).await;
        let ids: BTreeSet<_> = answer.results(2).iter().map(|result| result["log_id"].to_string()).collect();
        answer.check(ids.len() == 2, "an id for each entry");
    }
    eventually("all entries are stored", async || (all_entries(&stack, &user).await.len() == 4).then_some(())).await;
}

#[tokio::test]
async fn response_to_the_worst_batch_fits_lambda() {
    // Each value alone is short enough to be repeated in its error.
    let quotes = "\\\"".repeat(255);
    let fields =
        ["agent_id", "user_id", "detected_signal", "coherence_score_impact", "escalation_flag", "log_id", "timestamp"];
    let fields = fields.map(|field| format!("\"{field}\":\"{quotes}\""));
    let interactions = vec![format!("{{{}}}", fields.join(",")); MAX_ENTRIES];
    let body = format!("[{}]", interactions.join(","));
    assert!(body.len() < MAX_BATCH_BYTES, "{}", body.len());
    let answer = Stack::connect().post("/logs", body).await;
    assert_eq!(statuses(&answer.results(MAX_ENTRIES)), ["invalid"; MAX_ENTRIES]);
    let wrapped = json!(answer.text()).to_string().len();
    answer.check(wrapped < 6_000_000, "less than 6 MB as a string within JSON");
}
