//! Messages of the retry queue.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::aws::{SQS, StoreError};
use crate::ids::UserId;
use crate::integrity::ReceivedEvent;
use crate::integrity::key::EventKey;
use crate::logging::LogObject;
use crate::queue::Message;

/// Version of the message format.
const VERSION: u32 = 1;
/// Length in bytes of the hash that identifies the user of a message.
const GROUP_BYTES: usize = 16;
/// Maximum length in bytes of a message with several entries of a log: SQS's limit until August 2025, which emulators
/// may still have. A message with one entry has its own limit, that of a body.
const MAX_LOG_BYTES: usize = 262_144;

/// Content of a queued message. Times, ids and keys are fixed, so that storing it later has the same result as storing
/// it at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryMessage {
    /// An event to store and evaluate.
    Event(ReceivedEvent),
    /// Stored events to evaluate.
    #[serde(rename = "judgement")]
    Evaluation {
        /// User who caused the events.
        user_id: UserId,
        /// Keys of the events.
        #[serde(rename = "sks")]
        keys: Vec<EventKey>,
    },
    /// An object to add to a log.
    Log(LogObject),
}

/// Message format: the version, and the content in a field named after its kind.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u32,
    #[serde(flatten)]
    content: T,
}

impl RetryMessage {
    /// Encodes the message for the queue.
    pub fn encode(&self) -> Result<Message, StoreError> {
        let body = serde_json::to_string(&Envelope { v: VERSION, content: self })
            .map_err(|error| StoreError::encode(SQS, "SendMessage", &format!("message: {error}")))?;
        Ok(Message { body, group: self.group() })
    }

    /// Encodes `object`. An object that is too large for a message is split by its lines, and each part becomes an object
    /// with its own key. Returns the messages in the order of the lines, each with its number of lines.
    pub fn encode_log(object: &LogObject) -> Result<Vec<(Message, usize)>, StoreError> {
        let lines = object.line_count();
        let message = Self::Log(object.clone()).encode()?;
        if lines < 2 || message.sent_len() <= MAX_LOG_BYTES {
            return Ok(vec![(message, lines)]);
        }
        let positions: Vec<usize> = (0..lines).collect();
        let (older, newer) = positions.split_at(lines / 2);
        let mut messages = Self::encode_log(&object.with_lines(older)?)?;
        messages.extend(Self::encode_log(&object.with_lines(newer)?)?);
        Ok(messages)
    }

    /// Returns the message group: the user or the log of the message, hashed because SQS accepts only ASCII.
    pub fn group(&self) -> String {
        let owner = match self {
            Self::Event(event) => event.user_id.as_str(),
            Self::Evaluation { user_id, .. } => user_id.as_str(),
            Self::Log(object) => object.key.rsplit_once('/').map_or(object.key.as_str(), |(log, _)| log),
        };
        hex::encode(&Sha256::digest(owner)[..GROUP_BYTES])
    }

    /// Parses the body of a message.
    ///
    /// # Errors
    /// The reason why the message is invalid, without its content.
    pub fn parse(body: &str) -> Result<Self, String> {
        // A message contains user content, and serde's error text may repeat it.
        let Envelope { v, content } = serde_json::from_str(body)
            .map_err(|error| format!("cannot parse message at line {} column {}", error.line(), error.column()))?;
        if v == VERSION { Ok(content) } else { Err(format!("cannot read message of version {v}, expected {VERSION}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::integrity::Event;
    use crate::logging::{Classifier, Entry, IdSource, Interaction, RecordedEntry};
    use crate::time::Timestamp;
    use serde_json::{Value, json};
    use uuid::Uuid;

    fn event(body: &Value) -> ReceivedEvent {
        let event = Event::parse(body.to_string().as_bytes()).expect("an event").into_unchecked();
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
            let message = RetryMessage::Event(before.clone()).encode().expect("a message").body;
            let Ok(RetryMessage::Event(after)) = RetryMessage::parse(&message) else { panic!("{message}") };
            assert_eq!(format!("{before:?}"), format!("{after:?}"));
        }
    }

    #[test]
    fn parse_refuses_other_text_without_repeating_it() {
        let message = RetryMessage::Event(event(&json!({
            "user_id": "secret", "agent_id": "a", "signal_type": "x", "timestamp": 0
        })));
        let message: Value = serde_json::from_str(&message.encode().expect("a message").body).expect("JSON");
        let mut wrong_key = message.clone();
        wrong_key["event"]["sk"] = "e#secret".into();
        let mut from_the_future = message.clone();
        from_the_future["v"] = 2.into();
        for text in ["secret", "{}", r#"{"v":1}"#, &wrong_key.to_string(), &from_the_future.to_string()] {
            let reason = RetryMessage::parse(text).expect_err("no message");
            assert!(!reason.is_empty() && !reason.contains("secret"), "{reason}");
        }
    }

    /// Messages in the queue outlive a deployment: another version must read and write the same format.
    #[test]
    fn message_has_its_documented_format() {
        let event = ReceivedEvent {
            nonce: 7,
            ..event(&json!({
                "user_id": "u", "agent_id": "a", "signal_type": "x", "timestamp": 0, "event_id": "1",
                "payload": { "n": 1 },
            }))
        };
        let sk = "e#1970-01-01T00:00:00.000000Z#a#1";
        let log = |has_caller_id| LogObject { key: "logs/a".to_owned(), body: "{}\n".to_owned(), has_caller_id };
        let evaluation = RetryMessage::Evaluation { user_id: event.user_id.clone(), keys: vec![event.key.clone()] };
        let expected_event = json!({
            "user_id": "u", "sk": sk, "signal_type": "x", "payload": "{\"n\":1}", "identity": "keyed",
            "timestamp": "1970-01-01T00:00:00.000000Z", "time_source": "client",
            "received_at": "2026-01-02T03:04:05.678901Z", "receipt": 7,
        });
        for (message, expected) in [
            (RetryMessage::Event(event), json!({ "v": 1, "event": expected_event })),
            (evaluation, json!({ "v": 1, "judgement": { "user_id": "u", "sks": [sk] } })),
            (RetryMessage::Log(log(false)), json!({ "v": 1, "log": { "key": "logs/a", "lines": "{}\n" } })),
            (
                RetryMessage::Log(log(true)),
                json!({ "v": 1, "log": { "key": "logs/a", "lines": "{}\n", "has_callers_id": true } }),
            ),
        ] {
            let body = message.encode().expect("a message").body;
            assert_eq!(serde_json::from_str::<Value>(&body).expect("JSON"), expected);
            let parsed = RetryMessage::parse(&expected.to_string()).expect("a message");
            assert_eq!(format!("{parsed:?}"), format!("{message:?}"));
        }
    }

    #[test]
    fn large_object_is_split_into_messages_by_its_lines() {
        let classifier = Classifier::new(&Config::load().expect("valid").classifier);
        let line = |text: &str| {
            let body = json!({ "agent_id": "a", "user_id": "u", "user_input": text, "detected_signal": "x" });
            let interaction = Interaction::parse(body.to_string().as_bytes()).expect("valid").into_unchecked();
            let id = "019b796d-d600-7c2a-8a53-5d1c54f1a6c1".parse().expect("an id");
            RecordedEntry::of(&Entry::record(interaction, id, &classifier)).expect("JSON")
        };
        // SQS does not accept the second character as it is, and it takes twice the bytes as an escape.
        for (text, count, parts) in [("x", 9, 1), ("x", 10, 2), ("\u{ffff}", 8, 2)] {
            let text = text.repeat(28_000 / text.len());
            let lines: Vec<_> = (0..count).map(|n| RecordedEntry { order: (n, Uuid::nil()), ..line(&text) }).collect();
            let object = LogObject::of_lines("logs/a/u/", &lines, IdSource::Caller).expect("a segment");
            let messages = RetryMessage::encode_log(&object).expect("messages");
            assert_eq!(messages.len(), parts, "{count}");
            let mut read = String::new();
            for (message, lines) in &messages {
                assert!(message.sent_len() <= MAX_LOG_BYTES && message.group == messages[0].0.group);
                let Ok(RetryMessage::Log(part)) = RetryMessage::parse(&message.body) else { panic!("no log") };
                assert!(part.has_caller_id && part.line_count() == *lines && part.key.starts_with("logs/a/u/"));
                read.push_str(&part.body);
            }
            assert_eq!(read, object.body);
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
        let message = RetryMessage::Event(event(&body)).encode().expect("a message").body;
        // SQS's limit until August 2025.
        assert!(message.len() < 262_144, "{}", message.len());
    }
}
