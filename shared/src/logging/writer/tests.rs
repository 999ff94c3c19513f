//! Tests the writer on an in-memory store: retries, conflicts and races.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::super::reader;
use super::super::recorded::RecordedEntry;
use super::super::store::KeyPage;
use super::*;
use crate::config::Config;
use crate::logging::{Classifier, Entry, IdSource, Interaction};

#[derive(Default)]
struct Memory {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// An object that another request stores right after the next listing.
    race: Mutex<Option<LogObject>>,
    calls: Mutex<Vec<&'static str>>,
}

impl Memory {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self, operation: &'static str) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    /// Returns and resets the calls so far.
    fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn before_the_next_put(&self, object: &LogObject) {
        *self.race.lock().unwrap_or_else(PoisonError::into_inner) = Some(object.clone());
    }
}

impl PutLog for Memory {
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<PutResult, StoreError> {
        self.called("put");
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Ok(PutResult::Existing(()));
        }
        objects.insert(key.to_owned(), body);
        Ok(PutResult::Stored)
    }
}

impl ListLogs for Memory {
    async fn list(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<KeyPage, StoreError> {
        self.called("list");
        let start = start_after.unwrap_or_default();
        let max_keys = usize::try_from(max_keys).expect("positive");
        let mut objects = self.objects();
        let found = objects.keys().filter(|key| key.starts_with(prefix) && key.as_str() > start);
        let keys: Vec<_> = found.take(max_keys).cloned().collect();
        if let Some(other) = self.race.lock().unwrap_or_else(PoisonError::into_inner).take() {
            objects.insert(other.key, other.body.into_bytes());
        }
        Ok(KeyPage { keys, more: false })
    }
}

impl GetLog for Memory {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.called("get");
        Ok(self.objects().get(key).cloned())
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Creates the interaction of one id, with `more` fields, as labelled by this classifier.
fn entry(more: &Value) -> Entry {
    let mut body = json!({ "agent_id": "a", "user_id": "u", "user_input": "thanks" });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let interaction = Interaction::parse(body.to_string().as_bytes()).expect("an interaction").into_unchecked();
    let id = "019b796d-d600-7c2a-8a53-5d1c54f1a6c1".parse().expect("an id");
    Entry::record(interaction, id, &Classifier::new(&Config::load().expect("valid").classifier))
}

fn object(more: &Value) -> LogObject {
    LogObject::of(&entry(more), IdSource::Caller).expect("JSON")
}

/// Creates the same interaction as labelled by another classifier.
fn reclassified(more: &Value, signal: &str) -> LogObject {
    let mut entry = entry(more);
    assert!(entry.classification.is_some() && entry.detected_signal.as_str() != signal);
    entry.detected_signal = signal.try_into().expect("a signal");
    LogObject::of(&entry, IdSource::Caller).expect("JSON")
}

fn is_duplicate_of(written: &WriteOutcome, first: &LogObject) -> bool {
    matches!(written, WriteOutcome::Duplicate(entry) if entry.get() == first.body.trim_ascii_end())
}

#[test]
fn generated_id_is_one_put_whatever_is_there() {
    let (store, mut object) = (Memory::default(), object(&json!({})));
    object.has_caller_id = false;
    // The second time simulates a retry after a lost response.
    for _ in 0..2 {
        assert!(matches!(block_on(write(&store, &object)), Ok(WriteOutcome::Stored)));
        assert_eq!(store.calls(), ["put"]);
    }
}

#[test]
fn retry_is_a_duplicate_and_stored_once() {
    let (store, first) = (Memory::default(), object(&json!({ "coherence_score_impact": 0.1 })));
    assert!(matches!(block_on(write(&store, &first)), Ok(WriteOutcome::Stored)));
    assert_eq!(store.calls(), ["list", "put"]);
    assert!(is_duplicate_of(&block_on(write(&store, &first)).expect("written"), &first));
    assert_eq!(store.calls(), ["list", "get"]);
    assert_eq!(store.objects().len(), 1);
}

#[test]
fn retry_is_a_duplicate_after_the_classifier_changed() {
    let (store, first) = (Memory::default(), object(&json!({})));
    assert!(matches!(block_on(write(&store, &first)), Ok(WriteOutcome::Stored)));
    for signal in ["neutral", "a", "z"] {
        let again = reclassified(&json!({}), signal);
        assert_ne!(again.key, first.key);
        assert!(is_duplicate_of(&block_on(write(&store, &again)).expect("written"), &first), "{signal}");
    }
    assert_eq!(store.objects().len(), 1);
}

#[test]
fn other_interaction_under_the_same_id_is_a_conflict() {
    let given = json!({ "detected_signal": "stressed" });
    for (first, other) in [
        (json!({}), json!({ "user_input": "thanks!" })),
        (json!({}), json!({ "response_type": "x" })),
        (json!({}), json!({ "coherence_score_impact": 0 })),
        (json!({}), json!({ "escalation_flag": true })),
        (json!({ "session_id": "1" }), json!({ "session_id": "2" })),
        (json!({ "session_id": "1" }), json!({})),
        (json!({}), json!({ "agent_output": "" })),
        (json!({ "agent_output": "Sure." }), json!({})),
        (json!({ "agent_output": "Sure." }), json!({ "agent_output": "sure." })),
        (json!({}), json!({ "metadata": {} })),
        (json!({ "metadata": { "a": 1 } }), json!({})),
        (json!({ "metadata": { "a": 1 } }), json!({ "metadata": { "a": "1" } })),
        (json!({ "metadata": { "a": 1 } }), json!({ "metadata": { "a": 1, "b": true } })),
        // A signal given by the caller is part of the sent data, even if the classifier finds the same.
        (given.clone(), json!({ "detected_signal": "neutral" })),
        (json!({}), json!({ "detected_signal": "positive" })),
        (json!({ "detected_signal": "positive" }), json!({})),
    ] {
        let store = Memory::default();
        assert!(matches!(block_on(write(&store, &object(&first))), Ok(WriteOutcome::Stored)));
        let written = block_on(write(&store, &object(&other)));
        assert!(matches!(written, Ok(WriteOutcome::Conflict)), "{first} {other} {written:?}");
        assert_eq!(store.objects().len(), 1);
    }
    let store = Memory::default();
    assert!(matches!(block_on(write(&store, &object(&given))), Ok(WriteOutcome::Stored)));
    assert!(is_duplicate_of(&block_on(write(&store, &object(&given))).expect("written"), &object(&given)));
}

#[test]
fn retry_with_reply_and_metadata_is_a_duplicate() {
    for (first, again) in [
        (json!({ "agent_output": "Sure. 日" }), json!({ "agent_output": "Sure. 日" })),
        (json!({ "metadata": { "a": 0.1, "b": "x" } }), json!({ "metadata": { "b": "x", "a": 0.1 } })),
        (json!({ "agent_output": null, "metadata": null }), json!({})),
    ] {
        let (store, first, again) = (Memory::default(), object(&first), object(&again));
        assert!(matches!(block_on(write(&store, &first)), Ok(WriteOutcome::Stored)));
        assert!(is_duplicate_of(&block_on(write(&store, &again)).expect("written"), &first));
    }
}

#[test]
fn largest_entry_fits_a_queue_message() {
    // The maximum body that the configuration allows, of characters that take most space in a message.
    let text = |bytes: usize| "\"\\".repeat(bytes / 4);
    let metadata = json!({ "a": text(2_000) });
    let body = object(&json!({ "user_input": text(59_000), "agent_output": text(58_500), "metadata": metadata })).body;
    assert!((119_000..121_000).contains(&body.len()), "{}", body.len());
    let lines = json!(body).to_string();
    // SQS's limit until August 2025, less the key and the other fields of a message.
    assert!(lines.len() < 262_144 - 4_096, "{}", lines.len());
}

/// serde_json's `Value` would read the text under this key as JSON and fail, or take different texts for equal.
#[test]
fn metadata_with_the_private_key_is_compared_as_text() {
    let with = |text: &str| object(&json!({ "metadata": { "$serde_json::private::RawValue": text } }));
    for text in ["not JSON", "[1]"] {
        let store = Memory::default();
        assert!(matches!(block_on(write(&store, &with(text))), Ok(WriteOutcome::Stored)));
        assert!(is_duplicate_of(&block_on(write(&store, &with(text))).expect("written"), &with(text)));
        assert!(matches!(block_on(write(&store, &with(&format!("{text} ")))), Ok(WriteOutcome::Conflict)));
    }
}

#[test]
fn entry_of_an_older_version_equals_one_without_new_fields() {
    let sent = object(&json!({}));
    let mut stored: Value = serde_json::from_str(&sent.body).expect("JSON");
    for field in ["agent_output", "metadata"] {
        assert!(stored.as_object_mut().expect("an object").remove(field).is_some_and(|value| value.is_null()));
    }
    let store = Memory::default();
    store.objects().insert(sent.key.clone(), stored.to_string().into_bytes());
    assert!(matches!(block_on(write(&store, &sent)), Ok(WriteOutcome::Duplicate(_))));
    let other = object(&json!({ "agent_output": "Sure." }));
    assert!(matches!(block_on(write(&store, &other)), Ok(WriteOutcome::Conflict)));
}

#[test]
fn fields_of_other_versions_do_not_make_a_conflict() {
    let (store, sent) = (Memory::default(), object(&json!({})));
    let mut stored: Value = serde_json::from_str(&sent.body).expect("JSON");
    stored["v"] = json!(2);
    stored["later"] = json!("x");
    stored.as_object_mut().expect("an object").remove("session_id");
    store.objects().insert(sent.key.clone(), stored.to_string().into_bytes());
    assert!(matches!(block_on(write(&store, &sent)), Ok(WriteOutcome::Duplicate(_))));
}

#[test]
fn concurrent_attempts_with_one_key_are_one_entry() {
    let first = object(&json!({}));
    for (other, is_same) in [(first.clone(), true), (object(&json!({ "user_input": "thanks a lot" })), false)] {
        assert_eq!(other.key, first.key);
        let store = Memory::default();
        store.before_the_next_put(&first);
        let written = block_on(write(&store, &other)).expect("written");
        assert_eq!(is_duplicate_of(&written, &first), is_same);
        assert!(is_same || matches!(written, WriteOutcome::Conflict));
        assert_eq!(store.calls(), ["list", "put", "list", "get"]);
        assert_eq!(store.objects().len(), 1);
    }
}

#[test]
fn concurrent_attempts_with_two_signals_are_read_as_one_entry() {
    let first = object(&json!({}));
    for signal in ["neutral", "zen"] {
        let (store, other) = (Memory::default(), reclassified(&json!({}), signal));
        store.before_the_next_put(&first);
        assert!(matches!(block_on(write(&store, &other)), Ok(WriteOutcome::Stored)));
        assert_eq!(store.objects().len(), 2);
        let summary = block_on(reader::summarise(&store, &entry(&json!({})).conversation())).expect("read");
        let counts: Vec<_> = summary.in_order().into_iter().map(|(signal, count)| (signal.as_str(), count)).collect();
        assert_eq!(counts, [("positive".min(signal), 1)]);
        // Every later attempt finds the entry that readers use.
        let shown = if signal < "positive" { &other } else { &first };
        for again in [&first, &other] {
            assert!(is_duplicate_of(&block_on(write(&store, again)).expect("written"), shown));
        }
    }
}

#[test]
fn neighbouring_ids_and_times_are_not_found() {
    let (store, sent) = (Memory::default(), object(&json!({})));
    let mut near = entry(&json!({ "user_input": "other" }));
    near.log_id = uuid::Uuid::from_u128(near.log_id.as_u128() + 1);
    let near = LogObject::of(&near, IdSource::Caller).expect("JSON");
    for object in [&near, &sent] {
        assert!(matches!(block_on(write(&store, object)), Ok(WriteOutcome::Stored)));
    }
}

/// Creates the object of several interactions: of each its number, which determines the id, and its `more` fields. All
/// are of one millisecond.
fn batch(interactions: &[(u128, Value)]) -> LogObject {
    let lines: Vec<_> = interactions
        .iter()
        .map(|(number, more)| {
            let entry = entry(more);
            let log_id = uuid::Uuid::from_u128(entry.log_id.as_u128() + number);
            RecordedEntry::of(&Entry { log_id, ..entry }).expect("JSON")
        })
        .collect();
    LogObject::of_lines(&segment::prefix(&entry(&json!({})).conversation()), &lines, IdSource::Caller)
        .expect("a segment")
}

/// Writes `object` and returns the outcomes in one letter each: stored, duplicate, conflict, failed.
fn write_all(store: &Memory, object: &LogObject) -> String {
    let outcomes = block_on(write_several(store, object));
    let letter = |outcome| match outcome {
        Ok(WriteOutcome::Stored) => 's',
        Ok(WriteOutcome::Duplicate(_)) => 'd',
        Ok(WriteOutcome::Conflict) => 'c',
        Ok(WriteOutcome::Queued) => 'q',
        Err(StoreError { .. }) => 'f',
    };
    outcomes.into_iter().map(letter).collect()
}

#[test]
fn batch_is_one_put_and_its_retry_finds_duplicates() {
    let (store, object) = (Memory::default(), batch(&[(1, json!({})), (2, json!({})), (5, json!({}))]));
    assert_eq!(write_all(&store, &object), "sss");
    assert_eq!(store.calls(), ["put"]);
    assert_eq!(write_all(&store, &object), "ddd");
    assert_eq!(store.calls(), ["put", "get"]);
    assert_eq!(store.objects().len(), 1);
}

#[test]
fn batch_of_generated_ids_is_one_put_whatever_is_there() {
    let (store, mut object) = (Memory::default(), batch(&[(1, json!({})), (2, json!({}))]));
    object.has_caller_id = false;
    for _ in 0..2 {
        assert_eq!(write_all(&store, &object), "ss");
        assert_eq!(store.calls(), ["put"]);
    }
}

#[test]
fn batch_finds_conflicts_line_by_line() {
    let store = Memory::default();
    assert_eq!(write_all(&store, &batch(&[(1, json!({})), (2, json!({})), (5, json!({}))])), "sss");
    let other = json!({ "session_id": "other" });
    let again = batch(&[(1, json!({})), (2, other.clone()), (5, other)]);
    assert_eq!(write_all(&store, &again), "dcc");
    assert_eq!(store.objects().len(), 1);
}

#[test]
fn batch_with_the_key_of_another_stores_the_rest_apart() {
    let store = Memory::default();
    let (first, second) = (
        batch(&[(1, json!({})), (2, json!({})), (3, json!({})), (9, json!({}))]),
        batch(&[(1, json!({})), (4, json!({})), (5, json!({})), (9, json!({}))]),
    );
    assert_eq!(first.key, second.key);
    assert_eq!(write_all(&store, &first), "ssss");
    assert_eq!(write_all(&store, &second), "dssd");
    assert_eq!(store.calls(), ["put", "put", "get", "put"]);
    assert_eq!(write_all(&store, &second), "dddd");
    assert_eq!(store.calls(), ["put", "get", "put", "get"]);
    let rest = batch(&[(4, json!({})), (5, json!({}))]);
    assert!(store.objects().len() == 2 && store.objects().contains_key(&rest.key));
    // Another with the same key: its second entry is stored, under a key that this one does not lead to.
    let third = batch(&[(3, json!({})), (5, json!({})), (2, json!({})), (9, json!({}))]);
    assert_eq!((&third.key, write_all(&store, &third).as_str()), (&first.key, "dsdd"));
}

#[test]
fn foreign_object_under_the_key_of_a_batch_is_an_error() {
    let object = batch(&[(1, json!({})), (2, json!({}))]);
    for foreign in ["not JSON\n", "{}\n", "", &batch(&[(3, json!({})), (4, json!({}))]).body] {
        let store = Memory::default();
        store.objects().insert(object.key.clone(), foreign.as_bytes().to_vec());
        assert_eq!(write_all(&store, &object), "ff", "{foreign}");
        assert_eq!(store.objects().len(), 1);
    }
}
