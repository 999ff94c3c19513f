//! Interactions that are retried after a fault.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{self, StreamExt};
use local::queues::Sqs;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::faulty::{Faulty, eventually};
use crate::proxy::Fate;
use crate::traffic::scatter;

/// The number of entries that are sent in overlapping batches.
const ENTRIES: usize = 300;
/// The number of entries in a batch.
const BATCH: usize = 20;
/// The number of entries from the beginning of a batch to that of the next.
const STEP: usize = 12;
const USERS: usize = 3;
const PARALLEL_REQUESTS: usize = 24;

/// Returns an interaction with a client-generated id.
fn interaction(number: u32, text: &str) -> Value {
    let log_id = format!("019b796d-d6{number:02x}-7c2a-8a53-5d1c54f1a6c1");
    json!({
        "agent_id": "a", "user_id": "u", "user_input": text, "agent_output": "Sure.", "metadata": { "number": number },
        "log_id": log_id,
    })
}

async fn post(faulty: &Faulty, interaction: &Value) -> (u16, Value) {
    let (status, answer) = faulty.post("/log", interaction).await.expect("an answer");
    (status.as_u16(), answer)
}

/// Waits until the retry queue has no messages, neither visible nor in flight.
async fn drained(faulty: &Faulty) {
    let sqs = Sqs::of(&faulty.stack.description().environment).expect("SQS");
    let url = &faulty.stack.description().environment["SIGNALS_RETRY_QUEUE"];
    eventually("the queue is empty", async || (sqs.depth(url).await.ok()? == 0).then_some(())).await;
}

#[tokio::test]
async fn interaction_sent_again_after_a_fault_is_in_the_log_once() {
    let faulty = Faulty::start(2).await;
    assert_eq!(post(&faulty, &interaction(0, "thanks")).await.0, 200);

    // S3 stores the object, but every response is lost: the function queues an entry that is already stored.
    faulty.s3.decide_by(|operation| if operation == "PUT" { Fate::LoseAnswer } else { Fate::Pass });
    let (status, queued) = post(&faulty, &interaction(1, "thanks")).await;
    assert_eq!((status, &queued["status"]), (202, &json!("queued")), "{queued}");
    faulty.s3.heal();
    let (status, again) = post(&faulty, &interaction(1, "thanks")).await;
    assert_eq!((status, &again["duplicate"], &again["logged"]), (200, &json!(true), &queued["logged"]), "{again}");

    // One lost response: the SDK's own retry finds the object.
    let mut is_first = true;
    faulty.s3.decide_by(move |operation| {
        let is_lost = operation == "PUT" && std::mem::take(&mut is_first);
        if is_lost { Fate::LoseAnswer } else { Fate::Pass }
    });
    assert_eq!(post(&faulty, &interaction(2, "thanks")).await.0, 200);

    // Both attempts are queued; a third is stored directly.
    faulty.s3.decide_by(|_| Fate::Fail);
    for _ in 0..2 {
        assert_eq!(post(&faulty, &interaction(3, "thanks")).await.0, 202);
    }
    faulty.s3.heal();
    assert_eq!(post(&faulty, &interaction(3, "thanks")).await.0, 200);

    // Neither S3 nor the queue accepts the interaction.
    faulty.s3.decide_by(|_| Fate::Fail);
    faulty.sqs.decide_by(|_| Fate::Fail);
    assert_eq!(post(&faulty, &interaction(4, "thanks")).await.0, 503);
    faulty.s3.heal();
    faulty.sqs.heal();
    assert_eq!(post(&faulty, &interaction(4, "thanks")).await.0, 200);

    // Two interactions with one id are queued in an outage: one is stored and one is dropped. An interaction that is
    // queued after another is stored is dropped too.
    faulty.s3.decide_by(|_| Fate::Fail);
    for text in ["thanks", "I am angry"] {
        assert_eq!(post(&faulty, &interaction(5, text)).await.0, 202);
        assert_eq!(post(&faulty, &interaction(0, text)).await.0, 202);
    }
    faulty.s3.heal();
    eventually("the queue's are in the log", async || (faulty.list("/logs/a/u").await.len() == 6).then_some(())).await;
    drained(&faulty).await;

    let logs = faulty.list("/logs/a/u").await;
    let ids: Vec<_> = logs.iter().map(|entry| entry["log_id"].clone()).collect();
    let expected: Vec<_> = (0..6).map(|number| interaction(number, "")["log_id"].clone()).collect();
    assert_eq!(ids, expected);
    assert!(logs[..5].iter().all(|entry| entry["user_input"] == "thanks"), "{logs:?}");
    let is_whole = |(number, entry): (usize, &Value)| {
        entry["agent_output"] == "Sure." && entry["metadata"] == json!({ "number": number })
    };
    assert!(logs.iter().enumerate().all(is_whole), "{logs:?}");
    faulty.stop().await;
}

#[tokio::test]
async fn interaction_is_in_the_log_once_when_its_function_is_killed() {
    let faulty = Arc::new(Faulty::start(1).await);
    assert_eq!(post(&faulty, &interaction(0, "thanks")).await.0, 200);
    // The object is in transit when the function dies, and is stored after the caller has retried.
    let (tell_held, mut held) = mpsc::unbounded_channel();
    let mut is_first = true;
    faulty.s3.decide_by(move |operation| {
        if operation == "PUT" && std::mem::take(&mut is_first) {
            let (release, released) = oneshot::channel();
            let _taken = tell_held.send(release);
            return Fate::Hold(released);
        }
        Fate::Pass
    });
    let caller = Arc::clone(&faulty);
    let request = tokio::spawn(async move { caller.post("/log", &interaction(1, "thanks")).await });
    let release = held.recv().await.expect("a put that is held");
    assert_eq!(faulty.kill("post-log"), 1);
    let answer = request.await.expect("a caller");
    assert!(answer.is_none_or(|(status, _)| status.is_server_error()), "nobody was left to answer");
    eventually("post-log runs again", async || (!faulty.processes("post-log").is_empty()).then_some(())).await;
    let again = eventually("an answer", async || {
        let (status, answer) = faulty.post("/log", &interaction(1, "thanks")).await?;
        status.is_success().then_some(answer)
    })
    .await;
    drop(release);
    faulty.s3.heal();
    let logs = faulty.list("/logs/a/u").await;
    assert_eq!((logs.len(), &logs[1]), (2, &again["logged"]));
    let (status, third) = post(&faulty, &interaction(1, "thanks")).await;
    assert_eq!((status, &third["duplicate"]), (200, &json!(true)), "{third}");
    Arc::into_inner(faulty).expect("nobody else has it").stop().await;
}

/// Returns the user and the id of an entry that is sent in batches. The entries are of two hours.
fn user_and_id(number: usize) -> (String, String) {
    let millis = 0x019b_796d_d600 + scatter(number) % 7_200_000;
    (
        format!("user {}", number % USERS),
        format!("{:08x}-{:04x}-7c2a-8a53-{number:012x}", millis >> 16, millis & 0xffff),
    )
}

fn batch_entry(number: usize) -> Value {
    let (user, log_id) = user_and_id(number);
    json!({ "agent_id": "a", "user_id": user, "user_input": format!("message {number}"), "log_id": log_id })
}

/// Sends the entries `numbers` until each is accepted, as callers would. Returns the number of entries that were queued.
async fn send_batch(faulty: &Faulty, mut numbers: Vec<usize>) -> usize {
    let mut queued = 0;
    while !numbers.is_empty() {
        let body = Value::from(numbers.iter().map(|number| batch_entry(*number)).collect::<Vec<_>>());
        let Some((status, answer)) = faulty.post("/logs", &body).await else { continue };
        match status.as_u16() {
            207 => {}
            500 | 503 => continue,
            _ => panic!("{status}: {answer}"),
        }
        let results = answer["results"].as_array().expect("results");
        assert_eq!(results.len(), numbers.len(), "{answer}");
        let mut statuses = results.iter().map(|result| result["status"].as_str().unwrap_or_default());
        numbers.retain(|number| match statuses.next() {
            Some("ok" | "duplicate") => false,
            Some("queued") => {
                queued += 1;
                false
            }
            Some("unavailable") => true,
            other => panic!("{number}: {other:?}"),
        });
    }
    queued
}

/// Sends all entries in overlapping batches over several connections while S3 fails now and then, a fifth of the batches
/// twice, and waits until all are stored.
async fn send_overlapping_batches(faulty: &Faulty) {
    let mut calls = 0;
    faulty.s3.decide_by(move |_| {
        calls += 1;
        match scatter(calls) % 100 {
            0..2 => Fate::Fail,
            2 => Fate::Lose,
            3..5 => Fate::LoseAnswer,
            _ => Fate::Pass,
        }
    });
    let batches = (0..ENTRIES).step_by(STEP).map(|from| (from..(from + BATCH).min(ENTRIES)).collect::<Vec<_>>());
    let batches: Vec<_> = batches.collect();
    let mut sent: Vec<_> = batches.iter().chain(batches.iter().step_by(5)).cloned().enumerate().collect();
    sent.sort_by_key(|(index, _)| scatter(*index));
    let queued = AtomicUsize::new(0);
    stream::iter(sent)
        .for_each_concurrent(PARALLEL_REQUESTS, |(_, batch)| async {
            queued.fetch_add(send_batch(faulty, batch).await, Ordering::Relaxed);
        })
        .await;
    eprintln!("{} entries were queued", queued.load(Ordering::Relaxed));
    faulty.s3.heal();
    drained(faulty).await;
}

#[tokio::test]
async fn no_entry_of_overlapping_batches_is_lost_by_faults() {
    let faulty = Faulty::start(2).await;
    send_overlapping_batches(&faulty).await;
    stream::iter(0..ENTRIES)
        .for_each_concurrent(PARALLEL_REQUESTS, |number| {
            let faulty = &faulty;
            async move {
                let (user, log_id) = user_and_id(number);
                let path = format!("/logs/a/{}/{log_id}", user.replace(' ', "%20"));
                let (status, entry) = faulty.get_available(&path).await;
                assert_eq!(status.as_u16(), 200, "{number}: {entry}");
                assert_eq!(entry["user_input"], format!("message {number}"));
            }
        })
        .await;
    faulty.stop().await;
}

#[tokio::test]
async fn entries_of_overlapping_batches_are_counted_once_after_faults() {
    let faulty = Faulty::start(2).await;
    send_overlapping_batches(&faulty).await;
    for user in 0..USERS {
        let entries = faulty.list(&format!("/logs/a/user%20{user}")).await;
        let found: BTreeSet<_> = entries.iter().map(|entry| entry["log_id"].to_string()).collect();
        let expected = (0..ENTRIES).filter(|number| number % USERS == user);
        let expected: BTreeSet<_> = expected.map(|number| json!(user_and_id(number).1).to_string()).collect();
        assert_eq!(found, expected, "user {user}");
        assert_eq!(entries.len(), expected.len(), "user {user}: every entry is shown once");
        let (status, counts) = faulty.get_available(&format!("/summary/a/user%20{user}")).await;
        assert_eq!((status.as_u16(), counts), (200, json!({ "neutral": ENTRIES / USERS })), "user {user}");
    }
    faulty.stop().await;
}

#[tokio::test]
async fn batch_sent_in_an_outage_is_stored_once_after_it() {
    let faulty = Faulty::start(1).await;
    let entry = |number: usize| {
        let mut entry = batch_entry(number * USERS);
        // Too much for one message.
        entry["agent_output"] = json!("x".repeat(20_000));
        entry
    };
    let batch = Value::from((0..40).map(entry).collect::<Vec<_>>());
    // A busy queue does not accept everything at the first attempt.
    let until_all_are = async |expected: &str| {
        eventually(&format!("every entry is {expected}"), async || {
            let (status, answer) = faulty.post("/logs", &batch).await?;
            let results = (status.as_u16() == 207).then(|| answer["results"].as_array())??;
            (results.len() == 40 && results.iter().all(|result| result["status"] == expected)).then_some(())
        })
        .await;
    };
    faulty.s3.decide_by(|_| Fate::Fail);
    for _ in 0..2 {
        until_all_are("queued").await;
    }
    faulty.sqs.decide_by(|_| Fate::Fail);
    let (status, answer) = faulty.post("/logs", &batch).await.expect("an answer");
    assert_eq!(status.as_u16(), 503, "{answer}");
    faulty.sqs.heal();
    faulty.s3.heal();
    drained(&faulty).await;
    let entries = faulty.list("/logs/a/user%200").await;
    let found: BTreeSet<_> = entries.iter().map(|entry| entry["log_id"].to_string()).collect();
    assert_eq!((entries.len(), found.len()), (40, 40));
    assert!(entries.iter().all(|entry| entry["agent_output"].as_str().is_some_and(|text| text.len() == 20_000)));
    // The whole batch has keys of its own. Once it is stored there too, it is a duplicate.
    until_all_are("duplicate").await;
    assert_eq!(faulty.list("/logs/a/user%200").await.len(), 40);
    faulty.stop().await;
}

#[tokio::test]
async fn export_sent_in_an_outage_is_recorded_once_after_it() {
    let faulty = Faulty::start(1).await;
    let call = |turn: u32| {
        let messages = json!([{ "role": "user", "parts": [{ "type": "text", "content": format!("message {turn}") }] }]);
        json!({
            "traceId": format!("{turn:032x}"), "spanId": format!("{turn:016x}"),
            // From 2026-01-01T12:00:00Z on.
            "startTimeUnixNano": (1_767_268_800_000_000_000 + u64::from(turn) * 1_000_000).to_string(),
            "attributes": [
                { "key": "gen_ai.operation.name", "value": { "stringValue": "chat" } },
                { "key": "gen_ai.agent.name", "value": { "stringValue": "a" } },
                { "key": "user.id", "value": { "stringValue": "exports" } },
                { "key": "gen_ai.input.messages", "value": { "stringValue": messages.to_string() } },
            ],
        })
    };
    let spans: Vec<_> = (1..=20).map(call).collect();
    let export = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] });
    let send = async || {
        let (status, answer) = faulty.post("/v1/traces", &export).await.expect("an answer");
        (status.as_u16(), answer)
    };
    faulty.s3.decide_by(|_| Fate::Fail);
    faulty.sqs.decide_by(|_| Fate::Fail);
    let (status, answer) = send().await;
    assert_eq!((status, &answer["code"]), (503, &json!(14)), "{answer}");
    faulty.sqs.heal();
    assert_eq!(send().await, (200, json!({})), "the queue has the turns");
    faulty.s3.heal();
    drained(&faulty).await;
    for _ in 0..2 {
        assert_eq!(send().await, (200, json!({})));
    }
    let texts: Vec<_> = faulty.list("/logs/a/exports").await.iter().map(|entry| entry["user_input"].clone()).collect();
    let found: BTreeSet<_> = texts.iter().map(Value::to_string).collect();
    assert_eq!((texts.len(), found.len()), (20, 20), "{texts:?}");
    faulty.stop().await;
}
