//! Entry ids, which contain the time of the entry.

use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::{NoContext, Uuid, Variant};

use super::entry::Interaction;
use crate::ids::{EventId, uuid_v7};
use crate::json::{Echo, Json};
use crate::time::Timestamp;
use crate::validation::{FieldError, Location, Violation};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The id of an entry: a UUIDv7, whose time is the time of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryId {
    /// The id.
    pub log_id: Uuid,
    /// Source of the id.
    pub source: IdSource,
}

/// The id of an entry as named in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogId(pub Uuid);

impl TryFrom<String> for LogId {
    type Error = Violation;

    /// Does the same as [`parse`] for a text.
    fn try_from(text: String) -> Result<Self, Violation> {
        parse_text(&text).map(Self)
    }
}

/// Source of an entry's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdSource {
    /// The server: no other request has the same id.
    Generated,
    /// The request: a retry has the same id.
    Caller,
}

impl EntryId {
    /// Determines the id of `interaction`, received at `now` with the header `Idempotency-Key`, if any.
    ///
    /// # Errors
    /// When the time of the entry is before 1970 or more than `max_future` after `now`, when `log_id` and `timestamp`
    /// disagree, or when the header comes without the `timestamp` that it needs.
    pub fn determine(
        interaction: &Interaction,
        idempotency_key: Option<&EventId>,
        now: Timestamp,
        max_future: Duration,
    ) -> Result<Self, FieldError> {
        let latest = now.after(max_future);
        let timestamp = interaction.timestamp;
        if let Some(timestamp) = timestamp {
            check_time(timestamp, latest).map_err(|violation| at_timestamp(timestamp, violation))?;
        }
        if let Some(log_id) = interaction.log_id {
            return Self::given(log_id, timestamp, latest);
        }
        match (idempotency_key, timestamp) {
            (Some(key), Some(timestamp)) => {
                Ok(Self { log_id: derive(interaction, key, timestamp), source: IdSource::Caller })
            }
            (Some(key), None) => {
                let violation = Violation::value_error(
                    "needs the field timestamp in the body: send the same timestamp with every attempt, or a log_id instead",
                );
                let input = Echo::of(&key.to_string());
                Err(FieldError::new("header", Location::Name(IDEMPOTENCY_KEY), violation, input))
            }
            (None, Some(timestamp)) => Ok(Self { log_id: generate_at(timestamp), source: IdSource::Generated }),
            (None, None) => Ok(Self { log_id: Uuid::now_v7(), source: IdSource::Generated }),
        }
    }

    fn given(log_id: Uuid, timestamp: Option<Timestamp>, latest: Timestamp) -> Result<Self, FieldError> {
        let at_log_id =
            |violation| FieldError::new("body", Location::Name("log_id"), violation, Echo::of(&log_id.to_string()));
        let time = time_of(&log_id).ok_or_else(|| at_log_id(out_of_range()))?;
        check_time(time, latest).map_err(at_log_id)?;
        match timestamp {
            Some(timestamp) if timestamp.millis() != time.millis() => {
                let rule = format!("must be the time in log_id, {}, or be omitted", time.to_rfc3339_millis());
                Err(at_timestamp(timestamp, Violation::value_error(rule)))
            }
            _ => Ok(Self { log_id, source: IdSource::Caller }),
        }
    }
}

/// Parses the field `log_id`.
///
/// # Errors
/// `uuid_type`, `uuid_parsing` or `uuid_version`, with the same distinction as Pydantic.
pub fn parse(value: Json<'_>) -> Result<Uuid, Violation> {
    let Some(text) = value.as_str() else {
        return Err(Violation::new("uuid_type", "UUID input should be a string, bytes or UUID object"));
    };
    parse_text(&text)
}

fn parse_text(text: &str) -> Result<Uuid, Violation> {
    let id = Uuid::try_parse(text)
        .map_err(|error| Violation::new("uuid_parsing", format!("Input should be a valid UUID, {error}")))?;
    let is_v7 = id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122;
    if is_v7 { Ok(id) } else { Err(Violation::new("uuid_version", "UUID version 7 expected")) }
}

/// Returns the time contained in a UUIDv7.
pub fn time_of(log_id: &Uuid) -> Option<Timestamp> {
    let (seconds, nanos) = log_id.get_timestamp()?.to_unix();
    let millis = i64::try_from(seconds).ok()?.checked_mul(1_000)?.checked_add(i64::from(nanos / 1_000_000))?;
    Timestamp::from_millis(millis)
}

fn check_time(time: Timestamp, latest: Timestamp) -> Result<(), Violation> {
    if time.micros() < 0 || time > latest { Err(out_of_range()) } else { Ok(()) }
}

fn out_of_range() -> Violation {
    Violation::value_error(
        "must not be before 1970, nor further ahead of the server's clock than window.max_future_seconds",
    )
}

fn at_timestamp(timestamp: Timestamp, violation: Violation) -> FieldError {
    FieldError::new("body", Location::Name("timestamp"), violation, Echo::of(&timestamp.to_string()))
}

/// Returns a new id for an entry of `timestamp`, which is not before 1970.
fn generate_at(timestamp: Timestamp) -> Uuid {
    let millis = timestamp.millis().unsigned_abs();
    let nanos = u32::try_from(millis % 1_000).unwrap_or_default() * 1_000_000;
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, millis / 1_000, nanos))
}

/// Returns the id of `key` at `timestamp` in the conversation of `interaction`. The id is always the same.
fn derive(interaction: &Interaction, key: &EventId, timestamp: Timestamp) -> Uuid {
    let conversation = &interaction.conversation;
    let mut hash = Sha256::new();
    for part in [conversation.agent_id.as_str(), conversation.user_id.as_str(), key.as_str()] {
        hash.update(part);
        // Names do not contain control characters.
        hash.update([0]);
    }
    uuid_v7(timestamp.millis().unsigned_abs(), &hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const MAX_FUTURE: Duration = Duration::from_secs(300);
    const NOON: &str = "2026-01-01T12:00:00Z";
    const LOG_ID: &str = "019b796d-d600-7c2a-8a53-5d1c54f1a6c1";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("RFC 3339")
    }

    fn determine(more: &Value, key: Option<&str>) -> Result<EntryId, Value> {
        let mut body = json!({ "agent_id": "a", "user_id": "u", "user_input": "" });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let interaction = Interaction::parse(body.to_string().as_bytes()).map_err(|errors| json!(errors)[0].clone())?;
        let interaction = interaction.into_unchecked();
        let key = key.map(|key| EventId::try_from(key).expect("a key"));
        EntryId::determine(&interaction, key.as_ref(), at(NOON), MAX_FUTURE).map_err(|error| json!(error))
    }

    fn refusal(more: &Value, key: Option<&str>) -> (String, String) {
        let error = determine(more, key).expect_err("refused");
        (
            format!("{}.{}", error["loc"][0], error["loc"][1]).replace('"', ""),
            error["type"].to_string().replace('"', ""),
        )
    }

    #[test]
    fn callers_id_is_kept_and_has_the_time() {
        let id = determine(&json!({ "log_id": LOG_ID }), None).expect("valid");
        assert_eq!(id, EntryId { log_id: LOG_ID.parse().expect("a UUID"), source: IdSource::Caller });
        assert_eq!(time_of(&id.log_id), Some(at(NOON)));
        // The same id in another form, with its time, and with a key that has no effect then.
        let upper = json!({ "log_id": LOG_ID.to_uppercase(), "timestamp": "2026-01-01 13:00:00.000999+01:00" });
        assert_eq!(determine(&upper, Some("key")), Ok(id));
    }

    #[test]
    fn ids_that_are_not_version_7_or_out_of_time_are_refused() {
        for (log_id, kind) in [
            (json!(7), "uuid_type"),
            (json!("x"), "uuid_parsing"),
            (json!("019b796d-d600-4c2a-8a53-5d1c54f1a6c1"), "uuid_version"),
            (json!("019b796d-d600-7c2a-ca53-5d1c54f1a6c1"), "uuid_version"),
            // 301 seconds ahead, and the latest possible time.
            (json!("019b7972-6dc8-7c2a-8a53-5d1c54f1a6c1"), "value_error"),
            (json!("ffffffff-ffff-7fff-bfff-ffffffffffff"), "value_error"),
        ] {
            assert_eq!(refusal(&json!({ "log_id": log_id }), None), ("body.log_id".into(), kind.into()), "{log_id}");
        }
        assert!(determine(&json!({ "log_id": "019b7972-69e0-7c2a-8a53-5d1c54f1a6c1" }), None).is_ok());
        assert!(determine(&json!({ "log_id": "00000000-0000-7000-8000-000000000000" }), None).is_ok());
    }

    #[test]
    fn key_and_timestamp_determine_the_id() {
        let body = json!({ "timestamp": NOON });
        let id = determine(&body, Some("key")).expect("valid");
        assert_eq!((id.source, time_of(&id.log_id)), (IdSource::Caller, Some(at(NOON))));
        let text = json!(id.log_id.to_string()).to_string();
        assert_eq!(parse(Json::parse(text.as_bytes()).expect("JSON")), Ok(id.log_id));
        // Ids are stored data: another version must derive the same id.
        assert_eq!(id.log_id.to_string(), "019b796d-d600-758b-aaf6-fd5ac527fd3c");
        assert_eq!(determine(&json!({ "timestamp": "2026-01-01T13:00:00.000999+01:00" }), Some("key")), Ok(id));
        for (body, key) in [
            (json!({ "timestamp": "2026-01-01T12:00:00.001Z" }), "key"),
            (json!({ "timestamp": NOON, "user_id": "ukey", "agent_id": "a" }), "key"),
            (json!({ "timestamp": NOON, "agent_id": "au", "user_id": "u" }), "key"),
            (body, "other"),
        ] {
            assert_ne!(determine(&body, Some(key)), Ok(id), "{body} {key}");
        }
    }

    #[test]
    fn key_without_timestamp_is_refused() {
        assert_eq!(refusal(&json!({}), Some("key")), ("header.idempotency-key".into(), "value_error".into()));
    }

    #[test]
    fn timestamp_alone_gets_a_new_id_of_that_time() {
        let body = json!({ "timestamp": "2025-06-01T00:00:00.123456Z" });
        let [one, other] = [determine(&body, None), determine(&body, None)].map(|id| id.expect("valid"));
        assert_eq!((one.source, time_of(&one.log_id)), (IdSource::Generated, Some(at("2025-06-01T00:00:00.123Z"))));
        assert_ne!(one, other);
    }

    #[test]
    fn times_out_of_range_are_refused() {
        let error = ("body.timestamp".to_owned(), "value_error".to_owned());
        for timestamp in ["1969-12-31T23:59:59.999999Z", "2026-01-01T12:05:00.000001Z"] {
            assert_eq!(refusal(&json!({ "timestamp": timestamp }), None), error, "{timestamp}");
            assert_eq!(refusal(&json!({ "timestamp": timestamp }), Some("key")), error, "{timestamp}");
        }
        assert!(determine(&json!({ "timestamp": "2026-01-01T12:05:00Z" }), None).is_ok());
        assert!(determine(&json!({ "timestamp": 0 }), None).is_ok());
        assert_eq!(refusal(&json!({ "log_id": LOG_ID, "timestamp": "2026-01-01T12:00:00.001Z" }), None), error);
    }
}
