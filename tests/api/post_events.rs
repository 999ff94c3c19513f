//! `POST /events`: a batch, and the outcome of each event.

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::event_set::{Stored, anomalies, listed, mixed, wait_for_anomalies};
use crate::events::{SECOND, at, event, micros};
use crate::keys::key_for;
use crate::stack::{Stack, eventually, eventually_equal, fresh};

const MAX_EVENTS: usize = 500;
const MAX_BATCH_BYTES: usize = 1 << 20;
const MAX_ITEM_BYTES: usize = 65_536;

/// Returns `count` events an hour apart, none of which is an anomaly.
fn calm_events(user: &str, count: usize) -> Vec<Value> {
    (0..count)
        .map(|index| {
            let mut event = event(user, "x", at(3_600 * SECOND * i64::try_from(index).expect("small")));
            event["event_id"] = json!(format!("{index:03}"));
            event
        })
        .collect()
}

fn bodies(user: &str, events: &[Stored]) -> Vec<Value> {
    events.iter().map(|event| event.body(user)).collect()
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["status"].as_str().unwrap_or_default()).collect()
}

/// Returns the ids of the stored events, oldest first.
async fn stored_ids(stack: &Stack, user: &str) -> Vec<String> {
    let events = stack.all_events(user).await;
    events.iter().rev().map(|event| event["event_id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Posts the result of `batch` for a fresh user and returns the user and the response.
///
/// A busy stack queues events, which is correct but not the behaviour under test: the next attempt uses another user.
async fn unqueued(stack: &Stack, batch: impl AsyncFn(&str) -> Vec<Value>) -> (String, Answer) {
    eventually("a batch of which no event is queued", async || {
        let user = fresh("user");
        let batch = batch(&user).await;
        let answer = stack.post_events(&batch).await;
        let is_queued = statuses(&answer.results(batch.len())).contains(&"queued");
        (!is_queued).then_some((user, answer))
    })
    .await
}

#[tokio::test]
async fn batch_returns_a_result_for_each_event_in_order() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (index, result) in stack.store_events(&calm_events(&user, 50)).await.iter().enumerate() {
        let mut fields: Vec<_> = result.as_object().expect("an object").keys().cloned().collect();
        fields.sort();
        assert_eq!(fields, ["anomaly", "event_id", "received_at", "status"], "{result}");
        assert_eq!(
            (&result["event_id"], &result["anomaly"]),
            (&json!(format!("{index:03}")), &Value::Null),
            "{result}"
        );
        assert!(micros(&result["received_at"]) > 0, "{result}");
    }
    let expected: Vec<_> = (0..50).map(|index| format!("{index:03}")).collect();
    assert_eq!(stored_ids(&stack, &user).await, expected);
}

#[tokio::test]
async fn events_without_an_id_are_each_given_one() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let results = stack.store_events(&vec![event(&user, "x", at(0)); 3]).await;
    let mut ids: Vec<_> = results.iter().map(|result| result["event_id"].clone()).collect();
    for id in &ids {
        let id = Uuid::parse_str(id.as_str().unwrap_or_default());
        assert!(id.is_ok_and(|id| id.get_version_num() == 7), "a UUIDv7 for an event id: {results:?}");
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "{results:?}");
    assert_eq!(stack.get_events(&user).await.list().len(), 3);
}

#[tokio::test]
async fn a_value_a_line_is_a_batch_too() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events = calm_events(&user, 3);
    let mut lines: Vec<String> = events.iter().map(Value::to_string).collect();
    lines.insert(1, "  ".to_owned());
    let answer = stack.post_lines(lines.join("\r\n") + "\n\n").await;
    stack.settled_results(&answer, &events).await;
    assert_eq!(stored_ids(&stack, &user).await, ["000", "001", "002"]);
}

#[tokio::test]
async fn a_line_that_is_not_json_is_invalid_and_the_others_are_stored() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events = calm_events(&user, 2);
    let answer = stack.post_lines(format!("{}\nnot JSON\n[]\n{}", events[0], events[1])).await;
    let results = answer.results(4);
    for (result, event) in [(&results[0], &events[0]), (&results[3], &events[1])] {
        answer.check(result["status"] == "ingested" || result["status"] == "queued", "valid events to be accepted");
        stack.wait_until_stored(event, &event["event_id"]).await;
    }
    assert_eq!(statuses(&results[1..3]), ["invalid", "invalid"], "{answer}");
    let faults = answer.faults_of(&results[1]);
    answer.check(faults[0].0.starts_with("body.1") && faults[0].1 == "json_invalid", "json_invalid in the second line");
    assert_eq!(answer.faults_of(&results[2]), [("body.2".to_owned(), "model_attributes_type".to_owned())], "{answer}");
    assert_eq!(stored_ids(&stack, &user).await, ["000", "001"]);
}

#[tokio::test]
async fn outcomes_keep_event_order_and_valid_events_are_stored() {
    let stack = Stack::connect();
    let limited = stack.with_key(key_for(&["agent"]).await);
    let (user, answer) = unqueued(&limited, async |user| {
        let mut batch = calm_events(user, 7);
        limited.ingest(&batch[1]).await;
        stack.ingest(&batch[2]).await;
        batch[2]["payload"] = json!({"other": true});
        batch[3].as_object_mut().expect("an object").remove("user_id");
        batch[3]["payload"] = json!([]);
        batch[4]["agent_id"] = json!("another agent");
        batch[5] = json!("no event");
        batch
    })
    .await;
    let first = stack.wait_until_stored(&json!({"user_id": user}), &json!("001")).await;
    let results = answer.results(7);
    let expected = ["ingested", "duplicate", "conflict", "invalid", "forbidden", "invalid", "ingested"];
    assert_eq!(statuses(&results), expected, "{answer}");
    assert_eq!(results[1]["received_at"], first["received_at"], "{answer}");
    answer.check(results[2]["detail"].is_string(), "a reason for the conflict");
    let mut faults = answer.faults_of(&results[3]);
    faults.sort();
    let expected = [("body.3.payload", "dict_type"), ("body.3.user_id", "missing")];
    assert_eq!(faults, expected.map(|(loc, kind)| (loc.to_owned(), kind.to_owned())), "{answer}");
    assert_eq!(results[3]["detail"][0]["loc"][1], json!(3), "the index is a number: {answer}");
    assert_eq!(results[4], json!({"status": "forbidden", "detail": "Forbidden"}), "{answer}");
    assert_eq!(answer.faults_of(&results[5]), [("body.5".to_owned(), "model_attributes_type".to_owned())], "{answer}");
    assert_eq!(stored_ids(&stack, &user).await, ["000", "001", "002", "006"]);
    let payloads: Vec<_> = stack.get_events(&user).await.list().iter().map(|event| event["payload"].clone()).collect();
    assert_eq!(payloads, vec![json!({}); 4], "the conflict changed nothing");
}

#[tokio::test]
async fn five_hundred_events_are_a_batch_and_one_more_is_too_long() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events = calm_events(&user, MAX_EVENTS + 1);
    stack.post_events(&events).await.expect_faults(&[("body", "too_long")]);
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    stack.post_lines(lines.join("\n")).await.expect_faults(&[("body", "too_long")]);
    stack.get_events(&user).await.expect(200, &json!([]));
    let answer = stack.post_events(&events[..MAX_EVENTS]).await;
    let results = answer.results(MAX_EVENTS);
    let is_accepted = |result: &Value| result["status"] == "ingested" || result["status"] == "queued";
    answer.check(results.iter().all(is_accepted), "every event to be accepted");
    let expected: Vec<_> = (0..MAX_EVENTS).map(|index| format!("{index:03}")).collect();
    eventually_equal("the stored events", &expected, async || stored_ids(&stack, &user).await).await;
}

#[tokio::test]
async fn batch_of_a_mebibyte_is_accepted_and_a_larger_one_is_rejected() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut events = calm_events(&user, 20);
    for event in &mut events {
        event["payload"] = json!({"text": "x".repeat(50_000)});
    }
    let text = Value::from(&*events).to_string();
    let padded = |bytes: usize| format!("{text}{}", " ".repeat(bytes - text.len()));
    let answer = stack.post("/events", padded(MAX_BATCH_BYTES + 1)).await;
    answer.check(answer.json(413)["detail"].to_string().contains("1048576"), "the limit to be named");
    stack.get_events(&user).await.expect(200, &json!([]));
    let answer = stack.post("/events", padded(MAX_BATCH_BYTES)).await;
    stack.settled_results(&answer, &events).await;
}

#[tokio::test]
async fn oversized_event_is_invalid_and_the_others_are_stored() {
    let stack = Stack::connect();
    let (user, answer) = unqueued(&stack, async |user| {
        let mut events = calm_events(user, 3);
        for (event, too_many) in events[..2].iter_mut().zip([0, 1]) {
            event["payload"] = json!({"text": ""});
            let room = MAX_ITEM_BYTES - event.to_string().len();
            event["payload"]["text"] = json!("x".repeat(room + too_many));
        }
        events
    })
    .await;
    let results = answer.results(3);
    assert_eq!(statuses(&results), ["ingested", "invalid", "ingested"], "{answer}");
    assert_eq!(answer.faults_of(&results[1])[0].0, "body.1", "{answer}");
    assert_eq!(stored_ids(&stack, &user).await, ["000", "002"]);
}

#[tokio::test]
async fn an_empty_batch_has_no_results() {
    let stack = Stack::connect();
    for body in ["[]", " [ ] "] {
        stack.post("/events", body).await.expect(207, &json!({"results": []}));
    }
}

#[tokio::test]
async fn what_is_no_list_of_json_is_refused() {
    let stack = Stack::connect();
    for body in ["{}", "{\"results\": []}", "\"text\"", "1", "null", "true"] {
        stack.post("/events", body).await.expect_faults(&[("body", "list_type")]);
    }
    for body in ["[", "[{}", "not JSON", "[] []", "[{},]", "[{\"a\": NaN}]"] {
        let answer = stack.post("/events", body).await;
        let faults = answer.faults();
        answer.check(faults.len() == 1 && faults[0].1 == "json_invalid", "json_invalid");
    }
    for content_type in ["text/plain", "text/csv", "application/x-www-form-urlencoded"] {
        let answer = stack.send(Method::POST, "/events", &[("content-type", content_type)], "[]").await;
        answer.check(answer.json(415)["detail"].is_string(), "a reason");
    }
}

#[tokio::test]
async fn the_same_event_twice_in_one_batch_is_stored_and_counted_once() {
    let stack = Stack::connect();
    let events: Vec<_> = (0..10).map(|index| Stored::new(format!("{index}"), "x", 0)).collect();
    let twice = async |user: &str| [bodies(user, &events), bodies(user, &events)].concat();
    let (user, answer) = unqueued(&stack, twice).await;
    let results = answer.results(20);
    for (first, second) in results[..10].iter().zip(&results[10..]) {
        assert_eq!((&first["status"], &second["status"]), (&json!("ingested"), &json!("duplicate")), "{answer}");
        assert_eq!(first["event_id"], second["event_id"], "{answer}");
        assert_eq!(first["received_at"], second["received_at"], "{answer}");
        assert_eq!((&first["anomaly"], &second["anomaly"]), (&Value::Null, &Value::Null), "{answer}");
    }
    assert_eq!(stored_ids(&stack, &user).await.len(), 10);
    stack.get_anomalies(&user).await.expect(200, &json!([]));
}

#[tokio::test]
async fn same_id_within_a_batch_is_a_conflict_and_first_is_stored() {
    let stack = Stack::connect();
    for sent_at in [json!(null), json!(at(SECOND))] {
        let (user, answer) = unqueued(&stack, async |user| {
            let mut first = event(user, "x", at(0));
            first["event_id"] = json!("1");
            first["sent_at"] = sent_at.clone();
            first["payload"] = json!({"a": 1});
            let mut second = first.clone();
            second["payload"] = json!({"a": 2});
            let mut third = first.clone();
            third["signal_type"] = json!("y");
            vec![first, second, third]
        })
        .await;
        assert_eq!(statuses(&answer.results(3)), ["ingested", "conflict", "conflict"], "{answer}");
        let stored = stack.get_events_where(&user, "limit=1").await.list();
        assert_eq!((&stored[0]["payload"], &stored[0]["signal_type"]), (&json!({"a": 1}), &json!("x")), "{stored:?}");
    }
}

#[tokio::test]
async fn the_same_batch_again_is_all_duplicates() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events = bodies(&user, &mixed(7, 40));
    let first = stack.store_events(&events).await;
    let anomalies = stack.get_anomalies(&user).await.list();
    let again = eventually("a batch of which no event is queued", async || {
        let results = stack.post_events(&events).await.results(40);
        (!statuses(&results).contains(&"queued")).then_some(results)
    })
    .await;
    for (result, first) in again.iter().zip(&first) {
        assert_eq!(result["status"], "duplicate", "{result}");
        for field in ["event_id", "received_at", "anomaly"] {
            assert_eq!(result[field], first[field], "{field} of {result}");
        }
    }
    stack.get_anomalies(&user).await.expect(200, &json!(anomalies));
}

#[tokio::test]
async fn the_anomalies_of_a_batch_are_those_of_the_set_of_its_events() {
    let stack = Stack::connect();
    for seed in 11..=13 {
        let user = fresh("user");
        let events = mixed(seed, 80);
        let results = stack.store_events(&bodies(&user, &events)).await;
        let expected = anomalies(&user, &events);
        assert!(!expected.is_empty(), "seed {seed} tests nothing");
        wait_for_anomalies(&stack, &user, &events).await;
        let found = stack.get_anomalies(&user).await.list();
        for result in results {
            let own = found.iter().find(|anomaly| anomaly["event_id"] == result["event_id"]);
            if let Some(own) = own {
                assert_eq!(result["anomaly"], *own, "seed {seed}");
            }
        }
    }
}

#[tokio::test]
async fn batches_and_single_events_are_counted_together() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let events = mixed(21, 90);
    for event in &events[..30] {
        stack.ingest(&event.body(&user)).await;
    }
    stack.store_events(&bodies(&user, &events[30..60])).await;
    stack.store_events(&bodies(&user, &events[60..89])).await;
    stack.ingest(&events[89].body(&user)).await;
    wait_for_anomalies(&stack, &user, &events).await;
}

#[tokio::test]
async fn events_of_many_users_in_one_batch_are_counted_apart() {
    let stack = Stack::connect();
    let users: Vec<_> = (0..12).map(|_| fresh("user")).collect();
    let events: Vec<_> = (0..users.len()).map(|index| mixed(31 + index as u64, 30)).collect();
    let batch: Vec<Value> =
        (0..30).flat_map(|row| users.iter().zip(&events).map(move |(user, events)| events[row].body(user))).collect();
    stack.store_events(&batch).await;
    for (user, events) in users.iter().zip(&events) {
        assert_eq!(listed(&stack.get_anomalies(user).await.list()), anomalies(user, events), "{events:?}");
    }
}

#[tokio::test]
async fn a_batch_of_late_events_raises_the_anomalies_after_them() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut events: Vec<_> = (0..12).map(|index| Stored::new(format!("{index:02}"), "x", 2 * SECOND)).collect();
    stack.store_events(&bodies(&user, &events)).await;
    let late: Vec<_> = (0..5).map(|index| Stored::new(format!("late {index}"), "x", index * SECOND / 4)).collect();
    for result in stack.store_events(&bodies(&user, &late)).await {
        let caused = (&result["anomaly"]["event_id"], &result["anomaly"]["count"], &result["anomaly"]["severity"]);
        assert_eq!(caused, (&json!("11"), &json!(17), &json!("critical")), "{result}");
    }
    events.extend(late);
    assert_eq!(listed(&stack.get_anomalies(&user).await.list()), anomalies(&user, &events));
}

#[tokio::test]
async fn batch_of_the_worst_events_has_an_answer_that_lambda_carries() {
    let events = vec![format!("{{\"x\":\"{}\"}}", "\\\"".repeat(1_020)); MAX_EVENTS];
    let body = format!("[{}]", events.join(","));
    assert!(body.len() < MAX_BATCH_BYTES, "{}", body.len());
    let answer = Stack::connect().post("/events", body).await;
    assert_eq!(statuses(&answer.results(MAX_EVENTS)), ["invalid"; MAX_EVENTS]);
    let wrapped = json!(answer.text()).to_string().len();
    answer.check(wrapped < 6_000_000, "less than 6 MB as a string within JSON");
}
