//! Events to post, and their timestamps.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::time::Timestamp;

use crate::answer::Answer;
use crate::pages::follow;
use crate::stack::{Stack, eventually};

/// The agent of events in tests that do not depend on the agent.
pub const AGENT: &str = "agent";
/// The number of events of a batch that are sent again at a time, so that a busy stack has time to evaluate them.
const RESENT: usize = 10;
/// A second in microseconds, the unit of [`at`].
pub const SECOND: i64 = 1_000_000;
/// 2026-01-02T12:00:00Z, long ago: events are evaluated by their own time, not by the current time.
const NOON_MICROS: i64 = 1_767_355_200 * SECOND;

/// Returns the instant `micros` microseconds after a fixed noon, in the format of the API.
pub fn at(micros: i64) -> String {
    Timestamp::from_micros(NOON_MICROS + micros).expect("an instant").to_string()
}

/// Returns the microseconds from that noon to `timestamp`, which is RFC 3339.
pub fn micros(timestamp: &Value) -> i64 {
    let text = timestamp.as_str().unwrap_or_default();
    let instant = Timestamp::parse_rfc3339(text).unwrap_or_else(|| panic!("{timestamp} is no RFC 3339 instant"));
    instant.micros() - NOON_MICROS
}

/// Returns an event with only the required fields.
pub fn event(user: &str, signal_type: &str, timestamp: impl Into<Value>) -> Value {
    json!({"user_id": user, "agent_id": AGENT, "signal_type": signal_type, "timestamp": timestamp.into()})
}

impl Stack {
    /// Posts `count` equal events in sequence and returns the anomaly of each response.
    pub async fn post_alike(&self, event: &Value, count: usize) -> Vec<Value> {
        let mut anomalies = Vec::new();
        for _ in 0..count {
            anomalies.push(self.ingest(event).await);
        }
        anomalies
    }

    /// Posts an event that must be accepted and returns the anomaly of the response.
    pub async fn ingest(&self, event: &Value) -> Value {
        self.store_event(event).await["anomaly"].clone()
    }

    /// Posts an event for the first time and returns the response of a stack that stores the event at once.
    ///
    /// If the stack is busy and queues the event, waits until the event has left the queue and returns the later
    /// response. If the stack is too busy to respond, sends the event again, provided that it has an id.
    pub async fn store_event(&self, event: &Value) -> Value {
        let (first, was_sent_again) = self.post_until_answered(std::slice::from_ref(event), false).await;
        let was_queued = first.status() == 202;
        let answer = self.settled(first, event).await;
        let mut json = answer.ok();
        answer.check(json["status"] == "ingested", "the status ingested");
        answer.check(json.get("anomaly").is_some(), "an anomaly or null");
        let duplicate = json.as_object_mut().and_then(|fields| fields.remove("duplicate"));
        let may_be_duplicate = was_queued || was_sent_again;
        answer
            .check(duplicate.is_none() || may_be_duplicate, "no duplicate, unless the event was queued or sent again");
        json
    }

    /// Posts one event, or a batch, until the stack responds. Returns the response and whether the events were sent
    /// again.
    ///
    /// A busy stack may respond with 503 and `Retry-After`, or API Gateway with 500. Both ask for a retry, which is
    /// safe for events with ids.
    async fn post_until_answered(&self, events: &[Value], is_batch: bool) -> (Answer, bool) {
        let are_named = events.iter().all(|event| event.get("event_id").is_some_and(Value::is_string));
        let mut tries = 0;
        let answer = eventually("events are accepted", async || {
            tries += 1;
            let answer = if is_batch { self.post_events(events).await } else { self.post_event(&events[0]).await };
            (!(are_named && answer.asks_for_another_try())).then_some(answer)
        })
        .await;
        (answer, tries > 1)
    }

    /// Posts an event under an id that is already stored and returns the response of a stack that is not too busy.
    pub async fn post_again(&self, event: &Value) -> Answer {
        let (answer, _) = self.post_until_answered(std::slice::from_ref(event), false).await;
        self.settled(answer, event).await
    }

    /// Posts a batch of valid events for the first time and returns a result for each, all of them `ingested`.
    ///
    /// If the stack is busy and queues events, their results are the ones after they have left the queue.
    pub async fn store_events(&self, events: &[Value]) -> Vec<Value> {
        let (answer, was_sent_again) = self.post_until_answered(events, true).await;
        self.settle_results(&answer, events, was_sent_again).await
    }

    /// Returns the results of a batch of valid events that is posted for the first time, as [`Self::store_events`]
    /// does.
    pub async fn settled_results(&self, answer: &Answer, events: &[Value]) -> Vec<Value> {
        self.settle_results(answer, events, false).await
    }

    async fn settle_results(&self, answer: &Answer, events: &[Value], was_sent_again: bool) -> Vec<Value> {
        let mut results = answer.results(events.len());
        for result in results.iter_mut().filter(|result| was_sent_again && result["status"] == "duplicate") {
            result["status"] = json!("ingested");
        }
        let queued: Vec<usize> = (0..events.len()).filter(|&index| results[index]["status"] == "queued").collect();
        let named: Vec<Value> = queued.iter().map(|&index| named(&events[index], &results[index])).collect();
        // All are stored before any is evaluated again, so that the results are those of the whole batch.
        self.wait_until_all_stored(&named).await;
        for (indexes, named) in queued.chunks(RESENT).zip(named.chunks(RESENT)) {
            let again = eventually("stored events are evaluated", async || {
                let again = self.post_until_answered(named, true).await.0.results(named.len());
                again.iter().all(|result| result["status"] == "duplicate").then_some(again)
            })
            .await;
            for (&index, result) in indexes.iter().zip(again) {
                results[index] = result;
                results[index]["status"] = json!("ingested");
            }
        }
        answer.check(results.iter().all(|result| result["status"] == "ingested"), "every event to be ingested");
        results
    }

    /// Returns `answer`, or, if `answer` says that `event` is queued, the answer to the same event once it is stored.
    pub async fn settled(&self, answer: Answer, event: &Value) -> Answer {
        match answer.status() {
            202 => self.answer_after_queue(&answer.json(202), event).await,
            _ => answer,
        }
    }

    /// Waits until the queued event is readable, then sends it again, which evaluates it.
    async fn answer_after_queue(&self, queued: &Value, event: &Value) -> Answer {
        let event = named(event, queued);
        self.wait_until_stored(&event, &event["event_id"]).await;
        eventually("a stored event is evaluated", async || {
            let answer = self.post_event(&event).await;
            (answer.status() != 202 && !answer.asks_for_another_try()).then_some(answer)
        })
        .await
    }

    /// Posts an event that must be accepted and returns it as `GET /events` lists it.
    pub async fn stored_event(&self, event: &Value) -> Value {
        let answer = self.post_event(event).await;
        let accepted = answer.json(answer.status());
        answer.check(matches!(answer.status(), 200 | 202), "the event to be accepted");
        self.wait_until_stored(event, &accepted["event_id"]).await
    }

    /// Posts a batch of events that must all be accepted and returns each as `GET /events` lists it.
    pub async fn stored_events(&self, events: &[Value]) -> Vec<Value> {
        let answer = self.post_events(events).await;
        let results = answer.results(events.len());
        let is_accepted = |result: &Value| result["status"] == "ingested" || result["status"] == "queued";
        answer.check(results.iter().all(is_accepted), "every event to be accepted");
        let mut stored = Vec::new();
        for (result, event) in results.iter().zip(events) {
            stored.push(self.wait_until_stored(event, &result["event_id"]).await);
        }
        stored
    }

    /// Waits until `GET /events` lists all `events`, which have ids.
    async fn wait_until_all_stored(&self, events: &[Value]) {
        let mut waiting: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for event in events {
            let field = |name: &str| event[name].as_str().expect("text");
            waiting.entry(field("user_id")).or_default().insert(field("event_id"));
        }
        for (user, ids) in waiting {
            eventually("accepted events are readable", async || {
                let stored = self.all_events(user).await;
                let stored: BTreeSet<_> = stored.iter().filter_map(|event| event["event_id"].as_str()).collect();
                ids.is_subset(&stored).then_some(())
            })
            .await;
        }
    }

    /// Returns all events of `user`, newest first.
    pub async fn all_events(&self, user: &str) -> Vec<Value> {
        follow("limit=100", async |query| self.get_events_where(user, query).await).await.concat()
    }

    /// Waits until `GET /events` lists the user's event with the id `event_id` and returns the listed event.
    pub async fn wait_until_stored(&self, event: &Value, event_id: &Value) -> Value {
        let user = event["user_id"].as_str().expect("a user");
        eventually("an accepted event is readable", async || {
            self.all_events(user).await.into_iter().find(|stored| stored["event_id"] == *event_id)
        })
        .await
    }
}

/// Returns `event` with the id that the stack generated when it queued the event.
///
/// An event with a generated id and `sent_at`, or with a timestamp ahead of the clock, cannot be sent again.
fn named(event: &Value, queued: &Value) -> Value {
    let is_repeatable = event.get("event_id").is_some_and(Value::is_string) || event.get("sent_at").is_none();
    assert!(is_repeatable, "{event} cannot be recognised when it is sent again");
    let mut named = event.clone();
    named["event_id"] = queued["event_id"].clone();
    named
}
