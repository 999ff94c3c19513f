//! Events of many users, sent until they are accepted, with their expected results.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{self, StreamExt};
use local::queues::Sqs;
use serde_json::{Value, json};
use shared::time::Timestamp;

use crate::faulty::{Faulty, NOON_MILLIS, event, eventually};

/// The number of concurrent requests.
const PARALLEL_REQUESTS: usize = 24;
/// The number of events in a batch.
const BATCH: usize = 25;
/// The number of events per user within half a minute: enough for anomalies.
const EVENTS_OF_A_USER: usize = 100;
const WINDOW_MILLIS: i64 = 5_000;
/// The maximum number of events of a window that are counted: `window.max_items`.
const MAX_ITEMS: usize = 100;
const SIGNAL_TYPES: [&str; 3] = ["x", "stressed", "neutral"];
const ASYNC: [(&str, &str); 1] = [("prefer", "respond-async")];

/// Returns pseudo-random numbers that are the same in every run: splitmix64, <https://prng.di.unimi.it/splitmix64.c>.
pub fn scatter(seed: usize) -> usize {
    let mut mixed = (seed as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) as usize >> 1
}

/// An event to be sent.
#[derive(Clone, Debug)]
struct Sent {
    user: String,
    id: String,
    signal_type: &'static str,
    millis: i64,
}

impl Sent {
    fn body(&self) -> Value {
        event(&self.user, &self.id, self.signal_type, self.millis)
    }

    fn threshold(&self) -> usize {
        match self.signal_type {
            "stressed" => 8,
            "neutral" => 20,
            _ => 10,
        }
    }
}

/// The contents of one request.
enum Request {
    One(Sent),
    Async(Sent),
    Batch(Vec<Sent>),
}

/// The responses to the requests.
#[derive(Debug, Default)]
pub struct Answers {
    pub accepted: AtomicUsize,
    pub queued: AtomicUsize,
    pub refused: AtomicUsize,
    pub unanswered: AtomicUsize,
}

/// A set of events, and the progress of sending them.
pub struct Traffic {
    users: Vec<String>,
    events: Vec<Sent>,
    requests: Vec<Request>,
    pub answers: Answers,
}

impl Traffic {
    /// Creates `count` events of several users within half a minute, sent individually, in batches and asynchronously.
    /// Every fifth event is sent twice, and all are shuffled.
    pub fn of(count: usize) -> Self {
        Self::of_users("user", count)
    }

    /// Does the same as [`Self::of`] for users whose names begin with `prefix`.
    pub fn of_users(prefix: &str, count: usize) -> Self {
        let users: Vec<_> = (0..count / EVENTS_OF_A_USER).map(|user| format!("{prefix} {user:02}")).collect();
        let event = |index: usize| Sent {
            user: users[index % users.len()].clone(),
            id: format!("{index:05}"),
            signal_type: SIGNAL_TYPES[scatter(index) % 3],
            millis: i64::try_from(scatter(index + count) % 120).expect("small") * 250,
        };
        let events = (0..count).map(event).collect();
        Self::sending(users, events)
    }

    /// Creates `count` events of `user` at the same instant, sent like those of [`Self::of`].
    pub fn flood(user: &str, count: usize) -> Self {
        let event = |index: usize| Sent {
            user: user.to_owned(),
            id: format!("{index:05}"),
            signal_type: SIGNAL_TYPES[scatter(index) % 3],
            millis: 0,
        };
        Self::sending(vec![user.to_owned()], (0..count).map(event).collect())
    }

    fn sending(users: Vec<String>, events: Vec<Sent>) -> Self {
        let count = events.len();
        let mut sent: Vec<_> = events.iter().chain(events.iter().step_by(5)).cloned().collect();
        sent.sort_by_key(|sent| scatter(sent.id.parse::<usize>().expect("a number") + 2 * count));
        let (mut requests, mut batch) = (Vec::new(), Vec::new());
        for (index, sent) in sent.into_iter().enumerate() {
            match index % 4 {
                0 => batch.push(sent),
                1 => requests.push(Request::Async(sent)),
                _ => requests.push(Request::One(sent)),
            }
            if batch.len() == BATCH {
                requests.push(Request::Batch(std::mem::take(&mut batch)));
            }
        }
        requests.push(Request::Batch(batch));
        Self { users, events, requests, answers: Answers::default() }
    }

    /// Sends every event until it is accepted, as callers would: rejected events are sent again.
    pub async fn send(&self, faulty: &Faulty) {
        stream::iter(&self.requests)
            .for_each_concurrent(PARALLEL_REQUESTS, |request| async move {
                match request {
                    Request::One(sent) => self.send_one(faulty, sent, &[]).await,
                    Request::Async(sent) => self.send_one(faulty, sent, &ASYNC).await,
                    Request::Batch(batch) => self.send_batch(faulty, batch.clone()).await,
                }
            })
            .await;
    }

    async fn send_one(&self, faulty: &Faulty, sent: &Sent, headers: &[(&str, &str)]) {
        loop {
            let answer = faulty.post_with("/event", &sent.body(), headers).await;
            match answer.as_ref().map(|(status, _)| status.as_u16()) {
                Some(200) => return self.count(&self.answers.accepted),
                Some(202) => return self.count(&self.answers.queued),
                Some(500 | 503) => self.count(&self.answers.refused),
                None => self.count(&self.answers.unanswered),
                Some(_) => panic!("{sent:?}: {answer:?}"),
            }
        }
    }

    async fn send_batch(&self, faulty: &Faulty, mut batch: Vec<Sent>) {
        while !batch.is_empty() {
            let body = Value::from(batch.iter().map(Sent::body).collect::<Vec<_>>());
            let Some((status, answer)) = faulty.post("/events", &body).await else {
                self.count(&self.answers.unanswered);
                continue;
            };
            match status.as_u16() {
                207 => {}
                500 | 503 => {
                    self.count(&self.answers.refused);
                    continue;
                }
                _ => panic!("{status}: {answer}"),
            }
            let results = answer["results"].as_array().expect("results");
            assert_eq!(results.len(), batch.len(), "{answer}");
            let mut statuses = results.iter().map(|result| result["status"].as_str().unwrap_or_default());
            batch.retain(|sent| match statuses.next() {
                Some("ingested" | "duplicate") => {
                    self.count(&self.answers.accepted);
                    false
                }
                Some("queued") => {
                    self.count(&self.answers.queued);
                    false
                }
                Some("unavailable") => true,
                other => panic!("{sent:?}: {other:?}"),
            });
        }
    }

    fn count(&self, answers: &AtomicUsize) {
        answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of events accepted so far. Events sent twice count twice.
    pub fn accepted(&self) -> usize {
        self.answers.accepted.load(Ordering::Relaxed) + self.answers.queued.load(Ordering::Relaxed)
    }

    /// Checks that every event is stored once, that the anomalies match the definition without repetitions, and that
    /// the queues are empty. Waits until the stack reaches this state by itself.
    pub async fn check(&self, faulty: &Faulty) {
        let sqs = Sqs::of(&faulty.stack.description().environment).expect("SQS");
        let url = |name: &str| faulty.stack.description().environment[name].clone();
        let (queue, dead_letters) = (url("SIGNALS_RETRY_QUEUE"), url("SIGNALS_DEAD_RETRIES_QUEUE"));
        eventually("the queue is empty", async || (sqs.depth(&queue).await.ok()? == 0).then_some(())).await;
        assert_eq!(sqs.depth(&dead_letters).await.expect("a depth"), 0, "nothing is given up");
        for user in &self.users {
            let path = user.replace(' ', "%20");
            let events: Vec<_> = self.events.iter().filter(|sent| sent.user == *user).collect();
            let mut stored: Vec<_> = faulty.list(&format!("/events/{path}")).await.iter().map(id).collect();
            stored.sort();
            let mut expected: Vec<_> = events.iter().map(|sent| sent.id.clone()).collect();
            expected.sort();
            assert_eq!(stored, expected, "{user}: every event is stored once");

            let expected = anomalies(&events);
            assert!(!expected.is_empty());
            let found = async || {
                let listed = faulty.list(&format!("/anomalies/{path}")).await;
                let found: BTreeMap<_, _> = listed.iter().map(|anomaly| (id(anomaly), verdict(anomaly))).collect();
                assert_eq!(found.len(), listed.len(), "{user}: every anomaly is there once");
                found
            };
            eventually(&format!("the anomalies of {user} are those of the definition"), async || {
                (found().await == expected).then_some(())
            })
            .await;
        }
    }
}

fn id(item: &Value) -> String {
    item["event_id"].as_str().expect("an event_id").to_owned()
}

/// Returns the contents of an anomaly without its id.
fn verdict(anomaly: &Value) -> Value {
    let start = anomaly["window_start"].as_str().and_then(Timestamp::parse_rfc3339).expect("a time");
    json!([anomaly["count"], anomaly["severity"], start.millis() - NOON_MILLIS])
}

/// Returns the anomalies among the events of one user, following the definition literally and slowly.
fn anomalies(events: &[&Sent]) -> BTreeMap<String, Value> {
    let evaluated = events.iter().filter_map(|sent| {
        let is_in_window = |other: &&&Sent| {
            other.millis > sent.millis - WINDOW_MILLIS && (other.millis, &other.id) <= (sent.millis, &sent.id)
        };
        let mut window: Vec<_> = events.iter().filter(is_in_window).map(|other| (other.millis, &other.id)).collect();
        window.sort_unstable();
        let counted = &window[window.len().saturating_sub(MAX_ITEMS)..];
        let (count, threshold) = (counted.len(), sent.threshold());
        let severity = if 2 * count > 3 * threshold { "critical" } else { "warning" };
        let start = counted.first().map(|(millis, _)| *millis);
        (count > threshold).then(|| (sent.id.clone(), json!([count, severity, start])))
    });
    evaluated.collect()
}
