//! Events as sent and as stored.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::key::EventKey;
use super::payload::Payload;
use crate::auth::{NamesAgent, Unauthorized};
use crate::config::{Clock, Detection};
use crate::datetime;
use crate::ids::{AgentId, EventId, SignalType, UserId};
use crate::json::Json;
use crate::time::Timestamp;
use crate::unknown::UnknownNames;
use crate::validation::{FieldError, Fields, Violation, parse_object, string};

/// An event as sent by a caller.
#[derive(Clone, Debug)]
pub struct Event {
    /// User who caused the event.
    pub user_id: UserId,
    /// Agent that reports the event.
    pub agent_id: AgentId,
    /// Kind of the event, which selects the threshold.
    pub signal_type: SignalType,
    /// Time of the event by the caller's clock.
    pub timestamp: Timestamp,
    /// Time of sending by the caller's clock, which reveals the error of that clock.
    pub sent_at: Option<Timestamp>,
    /// Identifies a resend of the same event.
    pub event_id: Option<EventId>,
    /// JSON object defined by the caller.
    pub payload: Payload,
    /// Unknown fields, which are not stored.
    pub ignored: UnknownNames,
}

impl Event {
    /// Parses the body of `POST /event`.
    ///
    /// # Errors
    /// All invalid fields together.
    pub fn parse(body: &[u8]) -> Result<Unauthorized<Self>, Vec<FieldError>> {
        let object = parse_object(body).map_err(|error| vec![error])?;
        let mut fields = Fields::new(&object);
        let user_id = fields.required("user_id", string);
        let agent_id = fields.required("agent_id", string);
        let signal_type = fields.required("signal_type", string);
        let timestamp = fields.required("timestamp", datetime::parse);
        let sent_at = fields.optional("sent_at", datetime::parse);
        let event_id = fields.optional("event_id", string);
        let payload = fields.or_default("payload", Payload::default(), payload);
        let event = || {
            Some(Self {
                user_id: user_id?,
                agent_id: agent_id?,
                signal_type: signal_type?,
                timestamp: timestamp?,
                sent_at: sent_at?,
                event_id: event_id?,
                payload: payload?,
                ignored: fields.unknown(),
            })
        };
        event().map(Unauthorized::new).ok_or_else(|| fields.into_errors())
    }
}

impl NamesAgent for Event {
    fn agent_id(&self) -> &AgentId {
        &self.agent_id
    }
}

fn payload(value: Json<'_>) -> Result<Payload, Violation> {
    Payload::new(value).ok_or_else(|| Violation::new("dict_type", "Input should be a valid dictionary"))
}

/// Source of the time used to evaluate an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum TimeSource {
    /// The caller's `timestamp`.
    Client,
    /// The caller's `timestamp`, corrected by its `sent_at`.
    Corrected,
    /// The time of receipt, because the caller's clock was too far ahead or the configuration trusts no caller's clock.
    Received,
}

/// Method of detecting duplicates of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dedup {
    /// Not at all: the server generated the id.
    #[serde(rename = "minted")]
    None,
    /// By the key: id and time come from the caller.
    #[serde(rename = "keyed")]
    ByKey,
    /// By an idempotency record under the event's id, because a resend may get a different time.
    #[serde(rename = "marked")]
    ByRecord,
}

/// An event that the server has received, with its final time and id. Its JSON form is part of queue messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReceivedEvent {
    /// User who caused the event.
    pub user_id: UserId,
    /// Position among the user's events.
    #[serde(rename = "sk")]
    pub key: EventKey,
    /// Kind of the event, which selects the threshold.
    pub signal_type: SignalType,
    /// JSON object defined by the caller.
    pub payload: Payload,
    /// Method of detecting duplicates.
    #[serde(rename = "identity")]
    pub dedup: Dedup,
    /// Time by the caller's clock.
    pub timestamp: Timestamp,
    /// Source of the time in the key.
    pub time_source: TimeSource,
    /// Time of receipt.
    pub received_at: Timestamp,
    /// Random number drawn at receipt. Distinguishes two receipts of the same event in the same instant.
    #[serde(rename = "receipt")]
    pub nonce: u64,
}

impl ReceivedEvent {
    /// Creates a received event from `event`, received at `received_at`. Generates an id if the event has none.
    pub fn new(event: Event, received_at: Timestamp, detection: &Detection) -> Self {
        let (time, time_source) = event_time(event.timestamp, event.sent_at, received_at, detection);
        // A timestamp ahead of the clock now may have been too far ahead, and replaced, on an earlier attempt.
        let is_settled = time_source == TimeSource::Client && event.timestamp <= received_at;
        let dedup = match event.event_id {
            None => Dedup::None,
            Some(_) if is_settled => Dedup::ByKey,
            Some(_) => Dedup::ByRecord,
        };
        Self {
            user_id: event.user_id,
            key: EventKey {
                time,
                agent_id: event.agent_id,
                event_id: event.event_id.unwrap_or_else(EventId::generate),
            },
            signal_type: event.signal_type,
            payload: event.payload,
            dedup,
            timestamp: event.timestamp,
            time_source,
            received_at,
            // Without randomness, the time of receipt still distinguishes most receipts.
            nonce: getrandom::u64().unwrap_or(0),
        }
    }

    /// Returns how far the caller's `timestamp` lies behind the server's clock at receipt, in milliseconds.
    pub fn skew_millis(&self) -> i64 {
        self.received_at.millis() - self.timestamp.millis()
    }
}

/// An event as stored. Its JSON form is shown to callers.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// User who caused the event.
    pub user_id: UserId,
    /// Position among the user's events.
    pub key: EventKey,
    /// Kind of the event.
    pub signal_type: SignalType,
    /// JSON object defined by the caller, as text.
    pub payload: String,
    /// Time by the caller's clock.
    pub timestamp: Timestamp,
    /// Source of the time in the key.
    pub time_source: TimeSource,
    /// See [`ReceivedEvent::skew_millis`].
    pub skew_millis: i64,
    /// Time of receipt.
    pub received_at: Timestamp,
}

impl Serialize for StoredEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct EventView<'a> {
            event_id: &'a EventId,
            user_id: &'a UserId,
            agent_id: &'a AgentId,
            signal_type: &'a SignalType,
            timestamp: Timestamp,
            event_time: Timestamp,
            time_source: TimeSource,
            skew_ms: i64,
            received_at: Timestamp,
            payload: &'a RawValue,
        }
        let view = EventView {
            event_id: &self.key.event_id,
            user_id: &self.user_id,
            agent_id: &self.key.agent_id,
            signal_type: &self.signal_type,
            timestamp: self.timestamp,
            event_time: self.key.time,
            time_source: self.time_source,
            skew_ms: self.skew_millis,
            received_at: self.received_at,
            payload: serde_json::from_str(&self.payload).map_err(serde::ser::Error::custom)?,
        };
        view.serialize(serializer)
    }
}

fn event_time(
    timestamp: Timestamp,
    sent_at: Option<Timestamp>,
    received_at: Timestamp,
    detection: &Detection,
) -> (Timestamp, TimeSource) {
    let (time, source) = match sent_at {
        Some(sent_at) => (received_at.offset(timestamp.micros_since(sent_at)), TimeSource::Corrected),
        None => (timestamp, TimeSource::Client),
    };
    if detection.clock == Clock::Received || time > received_at.after(detection.max_future) {
        (received_at, TimeSource::Received)
    } else {
        (time, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use serde_json::json;

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("RFC 3339")
    }

    fn received(timestamp: &str, sent_at: Option<&str>, clock: Clock) -> (String, TimeSource) {
        let detection = Detection { clock, ..Config::load().expect("valid").detection };
        let body = json!({
            "user_id": "u", "agent_id": "a", "signal_type": "x", "timestamp": timestamp, "sent_at": sent_at
        });
        let event = Event::parse(body.to_string().as_bytes()).expect("valid").into_unchecked();
        let event = ReceivedEvent::new(event, at(NOW), &detection);
        (event.key.time.to_rfc3339_millis(), event.time_source)
    }

    #[test]
    fn parse_reports_all_invalid_fields() {
        let body = json!({
            "user_id": "", "signal_type": 5, "timestamp": "2026-02-30", "payload": [], "event_id": "a#b", "sent_at": true
        });
        let errors = json!(Event::parse(body.to_string().as_bytes()).expect_err("invalid"));
        let found: Vec<_> = errors
            .as_array()
            .expect("a list")
            .iter()
            .map(|error| (error["loc"][1].as_str().unwrap_or_default(), error["type"].as_str().unwrap_or_default()))
            .collect();
        assert_eq!(
            found,
            [
                ("user_id", "string_too_short"),
                ("agent_id", "missing"),
                ("signal_type", "string_type"),
                ("timestamp", "datetime_from_date_parsing"),
                ("sent_at", "datetime_type"),
                ("event_id", "value_error"),
                ("payload", "dict_type"),
            ]
        );
    }

    #[test]
    fn payload_is_kept_as_written() {
        let text = r#"{"n": 12345678901234567890123, "b":1, "a": 1.10}"#;
        let body = format!(r#"{{"user_id":"u","agent_id":"a","signal_type":"x","timestamp":0,"payload":{text}}}"#);
        assert_eq!(Event::parse(body.as_bytes()).expect("valid").into_unchecked().payload.text(), text);
    }

    #[test]
    fn last_of_two_payloads_counts() {
        let body =
            br#"{"user_id":"u","agent_id":"a","signal_type":"x","timestamp":0,"payload":{"a":1},"payload":{"a":2}}"#;
        assert_eq!(Event::parse(body).expect("valid").into_unchecked().payload.text(), r#"{"a":2}"#);
    }

    #[test]
    fn timestamp_is_used_up_to_five_minutes_ahead() {
        assert_eq!(
            received("2026-01-02T03:09:05Z", None, Clock::Event),
            ("2026-01-02T03:09:05.000Z".into(), TimeSource::Client)
        );
        assert_eq!(
            received("2026-01-02T03:09:05.000001Z", None, Clock::Event),
            ("2026-01-02T03:04:05.000Z".into(), TimeSource::Received)
        );
    }

    #[test]
    fn sent_at_corrects_a_wrong_clock() {
        assert_eq!(
            received("1999-01-01T00:00:00Z", Some("1999-01-01T00:00:02Z"), Clock::Event),
            ("2026-01-02T03:04:03.000Z".into(), TimeSource::Corrected)
        );
    }

    #[test]
    fn received_clock_ignores_timestamps() {
        assert_eq!(
            received("2026-01-02T03:04:00Z", None, Clock::Received),
            ("2026-01-02T03:04:05.000Z".into(), TimeSource::Received)
        );
    }
}
