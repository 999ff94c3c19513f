//! Accepts events and interactions and stores them later, through a queue, if a store fails.
//!
//! An outage of a store does not reject an event or an interaction: it is enqueued with all its data, and the consumer
//! stores it with the same code as a newly received one. Events that cannot be evaluated are queued too, so that they
//! do not block others.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::aws::StoreError;
use crate::deadline::Deadline;
use crate::ids::{SignalType, UserId};
use crate::integrity::event::{Dedup, TimeSource};
use crate::integrity::key::EventKey;
use crate::integrity::payload::Payload;
use crate::integrity::pipeline::{EventPipeline, IngestOutcome};
use crate::integrity::{AnomalyTable, EventTable, ReceivedEvent};
use crate::logging::writer::{LogObject, WriteOutcome};
use crate::logging::{Entry, IdSource, LogBucket, writer};
use crate::queue::{Failure, Message, Queue};
use crate::time::Timestamp;

/// Maximum time for storing and evaluating before the queue is used.
const STORE_BUDGET: Duration = Duration::from_secs(7);
/// Time that the stores reserve for the queue: a call to SQS with all its attempts.
const QUEUE_RESERVE: Duration = Duration::from_secs(2);
/// Time that the queue reserves for the response.
const RESPONSE_RESERVE: Duration = Duration::from_millis(250);
const DYNAMODB: &str = "dynamodb";
const S3: &str = "s3";
const SQS: &str = "sqs";
/// Length in bytes of the hash that identifies the user of a message.
const GROUP_BYTES: usize = 16;
/// Users evaluated, or entries stored, concurrently.
const PARALLEL_RETRIES: usize = 10;
/// Version of the message format.
const VERSION: u32 = 1;

/// Stores events now or queues them.
#[derive(Clone, Debug)]
pub struct EventIntake {
    /// Stores and evaluates events.
    pub pipeline: EventPipeline<EventTable, AnomalyTable>,
    /// Queue for failed events.
    pub queue: Queue,
}

impl EventIntake {
    /// Stores and evaluates `event`. Queues the event if a table fails.
    ///
    /// # Errors
    /// When table and queue both fail before `deadline`, or the table fails permanently.
    pub async fn accept(&self, event: ReceivedEvent, deadline: Deadline) -> Result<IngestOutcome, StoreError> {
        let failure = match store(DYNAMODB, deadline, self.pipeline.ingest(event.clone())).await {
            Ok(outcome) => return Ok(outcome),
            Err(failure) => failure,
        };
        or_queue(&self.queue, deadline, failure, IngestOutcome::Queued, || RetryMessage::Event(event).message()).await
    }

    /// Does the same as [`Self::accept`] for each of `events`, with few requests for all. Returns the outcomes in the
    /// order of the events.
    pub async fn accept_all(
        &self,
        events: Vec<ReceivedEvent>,
        deadline: Deadline,
    ) -> Vec<Result<IngestOutcome, StoreError>> {
        let all = async { Ok(self.pipeline.ingest_all(events.clone()).await) };
        let ingested = match store(DYNAMODB, deadline, all).await {
            Ok(ingested) => ingested,
            Err(failure) => vec![Err(failure); events.len()],
        };
        let waits =
            |result: &Result<IngestOutcome, StoreError>| result.as_ref().is_err_and(|failure| failure.is_transient);
        let waiting: Vec<_> =
            events.into_iter().zip(&ingested).filter(|(_, result)| waits(result)).map(|(event, _)| event).collect();
        let mut queued = self.enqueue_all(waiting, deadline).await.into_iter();
        let or_queued = |result: Result<IngestOutcome, StoreError>| match result {
            Ok(outcome) => Ok(outcome),
            Err(failure) if failure.is_transient => match queued.next() {
                Some(Ok(())) => Ok(IngestOutcome::Queued),
                _ => Err(failure),
            },
            Err(failure) => Err(failure),
        };
        ingested.into_iter().map(or_queued).collect()
    }

    /// Queues `event` without trying to store it, early enough to store the event before `deadline` if the queue fails.
    ///
    /// # Errors
    /// When the queue does not accept the event in time. The queue may still contain the event.
    pub async fn defer(&self, event: ReceivedEvent, deadline: Deadline) -> Result<(), StoreError> {
        send(&self.queue, deadline.within(QUEUE_RESERVE + RESPONSE_RESERVE), &RetryMessage::Event(event).message()?)
            .await
    }

    /// Does the same as [`Self::defer`] for each of `events`. Returns the results in the order of the events.
    pub async fn defer_all(&self, events: Vec<ReceivedEvent>, deadline: Deadline) -> Vec<Result<(), StoreError>> {
        self.enqueue_all(events, deadline.within(QUEUE_RESERVE + RESPONSE_RESERVE)).await
    }

    /// Queues each of `events`. Returns the results in the order of the events; at `deadline` all of them fail
    /// together.
    async fn enqueue_all(&self, events: Vec<ReceivedEvent>, deadline: Deadline) -> Vec<Result<(), StoreError>> {
        let count = events.len();
        let messages: Result<Vec<_>, _> =
            events.into_iter().map(|event| RetryMessage::Event(event).message()).collect();
        let sent = match messages {
            Ok(messages) => deadline.leaving(RESPONSE_RESERVE).bound(self.queue.send_all(&messages)).await,
            Err(failure) => return vec![Err(failure); count],
        };
        sent.unwrap_or_else(|_| vec![Err(StoreError::overdue(SQS, "SendMessageBatch")); count])
    }
}

/// Adds entries to logs now or queues them.
#[derive(Clone, Debug)]
pub struct LogIntake {
    /// Interval of the logs.
    pub log: LogBucket,
    /// Queue for failed entries.
    pub queue: Queue,
}

impl LogIntake {
    /// Adds `entry`, whose id comes from `id_source`, to its log. Queues the entry if S3 fails.
    ///
    /// # Errors
    /// When S3 and the queue both fail before `deadline`, or S3 fails permanently.
    pub async fn accept(
        &self,
        entry: &Entry,
        id_source: IdSource,
        deadline: Deadline,
    ) -> Result<WriteOutcome, StoreError> {
        let object = LogObject::of(entry, id_source)?;
        let failure = match store(S3, deadline, writer::write(&self.log, &object)).await {
            Ok(outcome) => return Ok(outcome),
            Err(failure) => failure,
        };
        or_queue(&self.queue, deadline, failure, WriteOutcome::Queued, || RetryMessage::Log(object).message()).await
    }
}

/// Evaluates stored events now or queues them.
#[derive(Clone, Debug)]
pub struct StreamEvaluator {
    /// Evaluates events.
    pub pipeline: EventPipeline<EventTable, AnomalyTable>,
    /// Queue for failed evaluations.
    pub queue: Queue,
}

impl StreamEvaluator {
    /// Evaluates the stored events of `user` under `keys`. Queues them if the evaluation fails for any reason.
    ///
    /// # Errors
    /// When the queue also fails before `deadline`.
    pub async fn evaluate(&self, user: &UserId, keys: &[EventKey], deadline: Deadline) -> Result<(), StoreError> {
        let evaluated = store(DYNAMODB, deadline, self.pipeline.evaluate(user, keys)).await;
        let Err(failure) = evaluated else { return Ok(()) };
        tracing::warn!(cause = %failure, events = keys.len(), "queued events of a user after evaluation failure");
        let message = RetryMessage::Evaluation { user_id: user.clone(), keys: keys.to_vec() };
        send(&self.queue, deadline, &message.message()?).await
    }
}

/// Runs `work` on a store, leaving time for the queue before `deadline`.
async fn store<T>(
    store: &'static str,
    deadline: Deadline,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let deadline = deadline.leaving(QUEUE_RESERVE + RESPONSE_RESERVE).within(STORE_BUDGET);
    deadline.bound(work).await.unwrap_or_else(|_| Err(StoreError::overdue(store, "all calls together")))
}

/// Sends `message`, leaving time for a response before `deadline`.
async fn send(queue: &Queue, deadline: Deadline, message: &Message) -> Result<(), StoreError> {
    let sent = deadline.leaving(RESPONSE_RESERVE).bound(queue.send_grouped(message)).await;
    sent.unwrap_or_else(|_| Err(StoreError::overdue(SQS, "SendMessage")))
}

/// Queues the data that could not be stored because of `failure`. Returns `failure` if the queue also fails.
async fn or_queue<T>(
    queue: &Queue,
    deadline: Deadline,
    failure: StoreError,
    queued: T,
    message: impl FnOnce() -> Result<Message, StoreError>,
) -> Result<T, StoreError> {
    if !failure.is_transient {
        return Err(failure);
    }
    match send(queue, deadline, &message()?).await {
        Ok(()) => {
            tracing::warn!(cause = %failure, "queued after store failure");
            Ok(queued)
        }
        Err(refusal) => {
            tracing::error!(cause = %refusal, "failed to enqueue after store failure");
            Err(failure)
        }
    }
}

/// Stores the contents of queued messages.
#[derive(Clone, Debug)]
pub struct RetryWorker {
    /// Stores and evaluates events.
    pub pipeline: EventPipeline<EventTable, AnomalyTable>,
    /// Interval of the logs.
    pub log: LogBucket,
}

impl RetryWorker {
    /// Stores the contents of `messages` and evaluates the events of each user together. Returns the results in the
    /// order of the messages. Messages that are not stored before `deadline` fail transiently. Storing a message again
    /// is harmless.
    pub async fn store_all(&self, messages: &[String], deadline: Deadline) -> Vec<Result<(), Failure>> {
        let mut results = BTreeMap::new();
        let mut logs = Vec::new();
        let mut users: BTreeMap<UserId, UserWork> = BTreeMap::new();
        for (position, message) in messages.iter().enumerate() {
            match RetryMessage::parse(message) {
                Ok(RetryMessage::Event(event)) => {
                    users.entry(event.user_id.clone()).or_default().events.push((position, event));
                }
                Ok(RetryMessage::Evaluation { user_id, keys }) => {
                    let work = users.entry(user_id).or_default();
                    work.evaluations.push(position);
                    work.keys.extend(keys);
                }
                Ok(RetryMessage::Log(object)) => logs.push((position, object)),
                Err(reason) => {
                    results.insert(position, Err(Failure::Permanent { reason }));
                }
            }
        }
        let users = stream::iter(users).map(|(user, work)| self.store_user(user, work, deadline));
        let logs =
            stream::iter(logs).map(|(position, object)| async move { (position, self.write(&object, deadline).await) });
        let (users, logs) = futures_util::join!(
            users.buffer_unordered(PARALLEL_RETRIES).collect::<Vec<_>>(),
            logs.buffer_unordered(PARALLEL_RETRIES).collect::<Vec<_>>(),
        );
        let stored = users.into_iter().flatten().chain(logs);
        results.extend(stored.map(|(position, result)| (position, result.map_err(Failure::from))));
        results.into_values().collect()
    }

    /// Stores and evaluates the part of a batch that belongs to one user. A user whose events take too long does not
    /// delay other users.
    async fn store_user(
        &self,
        user: UserId,
        work: UserWork,
        deadline: Deadline,
    ) -> Vec<(usize, Result<(), StoreError>)> {
        let UserWork { events, evaluations, keys } = work;
        let (positions, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        let store = async {
            let ingested = if events.is_empty() { Vec::new() } else { self.pipeline.ingest_all(events).await };
            ingested.into_iter().map(stored).collect::<Vec<_>>()
        };
        let evaluate =
            async { if keys.is_empty() { Ok(()) } else { self.pipeline.evaluate(&user, &keys).await.map(drop) } };
        let overdue = || StoreError::overdue(DYNAMODB, "all calls of a batch together");
        let (stored, evaluated) = futures_util::join!(deadline.bound(store), deadline.bound(evaluate));
        let stored = stored.unwrap_or_else(|_| vec![Err(overdue()); positions.len()]);
        let evaluated = evaluated.unwrap_or_else(|_| Err(overdue()));
        positions
            .into_iter()
            .zip(stored)
            .chain(evaluations.into_iter().map(|position| (position, evaluated.clone())))
            .collect()
    }

    async fn write(&self, object: &LogObject, deadline: Deadline) -> Result<(), StoreError> {
        let written = deadline.bound(writer::write(&self.log, object)).await;
        if let WriteOutcome::Conflict =
            written.unwrap_or_else(|_| Err(StoreError::overdue(S3, "all calls together")))?
        {
            tracing::warn!("dropped a queued log entry: another interaction is stored under its id");
        }
        Ok(())
    }
}

/// The part of a batch of messages that belongs to one user. Messages are identified by their position in the batch.
#[derive(Default)]
struct UserWork {
    events: Vec<(usize, ReceivedEvent)>,
    /// Messages that request an evaluation of `keys`.
    evaluations: Vec<usize>,
    keys: Vec<EventKey>,
}

fn stored(ingested: Result<IngestOutcome, StoreError>) -> Result<(), StoreError> {
    if let IngestOutcome::Conflict = ingested? {
        tracing::warn!("dropped a queued event: another event is stored under its id and time");
    }
    Ok(())
}

impl From<StoreError> for Failure {
    fn from(failure: StoreError) -> Self {
        let cause = failure.to_string();
        if failure.is_transient { Self::Transient { cause, after: None } } else { Self::Permanent { reason: cause } }
    }
}

/// Content of a queued message. Times, ids and keys are fixed, so that storing it later has the same result as storing
/// it at once.
#[derive(Clone, Debug)]
enum RetryMessage {
    /// An event to store and evaluate.
    Event(ReceivedEvent),
    /// Stored events to evaluate.
    Evaluation { user_id: UserId, keys: Vec<EventKey> },
    /// An entry to store.
    Log(LogObject),
}

/// Message format. Exactly one of the three fields is present.
#[derive(Serialize, Deserialize)]
struct MessageJson {
    v: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<EventJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "judgement")]
    evaluation: Option<EvaluationJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<LogJson>,
}

#[derive(Serialize, Deserialize)]
struct EventJson {
    user_id: String,
    sk: String,
    signal_type: String,
    payload: String,
    identity: String,
    timestamp: String,
    time_source: String,
    received_at: String,
    receipt: u64,
}

#[derive(Serialize, Deserialize)]
struct EvaluationJson {
    user_id: String,
    sks: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct LogJson {
    key: String,
    lines: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    has_callers_id: bool,
}

impl RetryMessage {
    fn message(&self) -> Result<Message, StoreError> {
        Ok(Message { body: self.body()?, group: self.group() })
    }

    /// Returns the user or the log of the message, hashed because SQS accepts only ASCII.
    fn group(&self) -> String {
        let whose = match self {
            Self::Event(event) => event.user_id.as_str(),
            Self::Evaluation { user_id, .. } => user_id.as_str(),
            Self::Log(object) => object.key.rsplit_once('/').map_or(object.key.as_str(), |(log, _)| log),
        };
        hex::encode(&Sha256::digest(whose)[..GROUP_BYTES])
    }

    fn body(&self) -> Result<String, StoreError> {
        let encode = |error: String| StoreError::encode("sqs", "SendMessage", &format!("message: {error}"));
        let empty = MessageJson { v: VERSION, event: None, evaluation: None, log: None };
        let form = match self {
            Self::Event(event) => MessageJson { event: Some(EventJson::of(event)), ..empty },
            Self::Evaluation { user_id, keys } => {
                let sks = keys.iter().map(EventKey::to_string).collect();
                MessageJson { evaluation: Some(EvaluationJson { user_id: user_id.to_string(), sks }), ..empty }
            }
            Self::Log(LogObject { key, body, id_source }) => {
                let lines = String::from_utf8(body.clone()).map_err(|error| encode(error.to_string()))?;
                let has_callers_id = *id_source == IdSource::Caller;
                MessageJson { log: Some(LogJson { key: key.clone(), lines, has_callers_id }), ..empty }
            }
        };
        serde_json::to_string(&form).map_err(|error| encode(error.to_string()))
    }

    /// Parses a message, or returns the reason why it is invalid.
    fn parse(message: &str) -> Result<Self, String> {
        // A message contains user content, and serde's error text may repeat it.
        let form: MessageJson = serde_json::from_str(message)
            .map_err(|error| format!("cannot parse message at line {} column {}", error.line(), error.column()))?;
        let corrupt = |what: &str| format!("cannot read {what}");
        match form {
            MessageJson { v, .. } if v != VERSION => {
                Err(format!("cannot read message of version {v}, expected version {VERSION}"))
            }
            MessageJson { event: Some(event), evaluation: None, log: None, .. } => {
                event.read().map(Self::Event).ok_or_else(|| corrupt("event"))
            }
            MessageJson { event: None, evaluation: Some(evaluation), log: None, .. } => {
                evaluation.read().ok_or_else(|| corrupt("evaluation"))
            }
            MessageJson {
                event: None, evaluation: None, log: Some(LogJson { key, lines, has_callers_id }), ..
            } => {
                let id_source = if has_callers_id { IdSource::Caller } else { IdSource::Generated };
                Ok(Self::Log(LogObject { key, body: lines.into_bytes(), id_source }))
            }
            _ => Err("expected exactly one of event, judgement and log".to_owned()),
        }
    }
}

impl EvaluationJson {
    fn read(self) -> Option<RetryMessage> {
        let keys = self.sks.iter().map(|sk| EventKey::parse(sk)).collect::<Option<_>>()?;
        Some(RetryMessage::Evaluation { user_id: UserId::try_from(self.user_id).ok()?, keys })
    }
}

impl EventJson {
    fn of(event: &ReceivedEvent) -> Self {
        Self {
            user_id: event.user_id.to_string(),
            sk: event.key.to_string(),
            signal_type: event.signal_type.to_string(),
            payload: event.payload.text().to_owned(),
            identity: event.dedup.name().to_owned(),
            timestamp: event.timestamp.to_string(),
            time_source: event.time_source.name().to_owned(),
            received_at: event.received_at.to_string(),
            receipt: event.nonce,
        }
    }

    fn read(self) -> Option<ReceivedEvent> {
        Some(ReceivedEvent {
            user_id: UserId::try_from(self.user_id).ok()?,
            key: EventKey::parse(&self.sk)?,
            signal_type: SignalType::try_from(self.signal_type).ok()?,
            payload: Payload::parse(&self.payload)?,
            dedup: Dedup::from_name(&self.identity)?,
            timestamp: Timestamp::parse_rfc3339(&self.timestamp)?,
            time_source: TimeSource::from_name(&self.time_source)?,
            received_at: Timestamp::parse_rfc3339(&self.received_at)?,
            nonce: self.receipt,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::integrity::Event;
    use serde_json::{Value, json};

    fn event(body: &Value) -> ReceivedEvent {
        let event = Event::parse(body.to_string().as_bytes()).expect("an event");
        let received_at = Timestamp::parse_rfc3339("2026-01-02T03:04:05.678901Z").expect("a time");
        ReceivedEvent::new(event, received_at, &Config::load().expect("a configuration").detection)
    }

    #[test]
    fn event_reads_back_from_its_message() {
        let body = json!({
            "user_id": "日 \u{ffff}", "agent_id": "a~b", "signal_type": "stressed", "timestamp": "2026-01-02T03:04:05.5Z",
            "payload": { "text": "\u{ffff}\"\\\u{1}", "n": 1.10 },
        });
        let with = |field: &str, value: &str| {
            let mut body = body.clone();
            body[field] = value.into();
            body
        };
        let far_ahead = with("timestamp", "2027-01-01T00:00:00Z");
        for body in [body.clone(), with("event_id", "é 1"), with("sent_at", "2026-01-02T03:04:07Z"), far_ahead] {
            let before = event(&body);
            let message = RetryMessage::Event(before.clone()).body().expect("a message");
            let Ok(RetryMessage::Event(after)) = RetryMessage::parse(&message) else { panic!("{message}") };
            assert_eq!(format!("{before:?}"), format!("{after:?}"));
        }
    }

    #[test]
    fn evaluation_and_log_read_back_from_their_message() {
        let event = event(&json!({ "user_id": "u 日", "agent_id": "a", "signal_type": "x", "timestamp": 0.5 }));
        let evaluation = RetryMessage::Evaluation { user_id: event.user_id, keys: vec![event.key.clone(), event.key] };
        let log = |id_source| {
            RetryMessage::Log(LogObject { key: "logs/a".to_owned(), body: "{\"a\":\"日\"}\n".into(), id_source })
        };
        for before in [evaluation, log(IdSource::Generated), log(IdSource::Caller)] {
            let after = RetryMessage::parse(&before.body().expect("a message")).expect("what it was");
            assert_eq!(format!("{before:?}"), format!("{after:?}"));
        }
    }

    #[test]
    fn parse_refuses_other_text_without_repeating_it() {
        let message = RetryMessage::Event(event(&json!({
            "user_id": "secret", "agent_id": "a", "signal_type": "x", "timestamp": 0
        })));
        let message: Value = serde_json::from_str(&message.body().expect("a message")).expect("JSON");
        let mut wrong_key = message.clone();
        wrong_key["event"]["sk"] = "e#secret".into();
        let mut from_the_future = message.clone();
        from_the_future["v"] = 2.into();
        for text in ["secret", "{}", r#"{"v":1}"#, &wrong_key.to_string(), &from_the_future.to_string()] {
            let reason = RetryMessage::parse(text).expect_err("no message");
            assert!(!reason.is_empty() && !reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn largest_event_fits_a_message() {
        let text = "\"\\".repeat(29_900);
        let body = json!({
            "user_id": "u", "agent_id": "a", "signal_type": "x", "timestamp": 0, "payload": { "text": text }
        });
        // The maximum that the configuration allows.
        assert!((119_000..120_000).contains(&body.to_string().len()));
        let message = RetryMessage::Event(event(&body)).body().expect("a message");
        // SQS's limit until August 2025.
        assert!(message.len() < 262_144, "{}", message.len());
    }
}
