//! Turns a row of a file into an interaction that can be sent, or explains why this is not possible.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Context, Result};
use ring::digest::{Context as Sha256, SHA256};
use serde::Serialize;
use serde_json::Number;
use shared::config::Config;
use shared::ids::{AgentId, Signal, UserId, uuid_v7};
use shared::json::Json;
use shared::logging::{LogId, Metadata, entry_id};
use shared::time::Timestamp;
use shared::validation::Violation;
use uuid::Uuid;

use super::mapping::{CLASSIFICATION, Field, Mapping, Source};
use super::value::{Record, Value};

const MILLIS_PER_HOUR: i64 = 3_600_000;

/// The position of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// The index of the file.
    pub file: u32,
    /// The line at which the row begins, from 1.
    pub line: u64,
}

/// An interaction or an event that can be sent.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub origin: Origin,
    pub agent_id: AgentId,
    pub user_id: UserId,
    /// Unix milliseconds.
    pub millis: i64,
    /// The id in the body.
    pub log_id: Uuid,
    /// The body of `POST /log` or `POST /event`.
    pub body: String,
}

impl Entry {
    /// Returns the UTC hour of the entry, counted from 1970.
    pub fn hour(&self) -> i64 {
        self.millis.div_euclid(MILLIS_PER_HOUR)
    }
}

/// The reasons why a row is not an interaction.
#[derive(Clone, Debug)]
pub(super) struct Invalid {
    pub origin: Origin,
    pub reasons: Vec<String>,
    /// The fields without a value for which no column is named.
    pub unnamed: Vec<Field>,
}

impl Invalid {
    /// Creates an invalid row with one reason.
    pub fn new(origin: Origin, reason: impl Into<String>) -> Self {
        Self { origin, reasons: vec![reason.into()], unnamed: Vec::new() }
    }
}

/// The fields of an interaction without its id and time. Fields with their default value are left out.
///
/// Ids are derived from this text, so changing the order or the form of the fields changes the ids.
#[derive(Serialize)]
struct Fields {
    agent_id: AgentId,
    user_id: UserId,
    user_input: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detected_signal: Option<Signal>,
    #[serde(skip_serializing_if = "String::is_empty")]
    response_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    coherence_score_impact: Option<Number>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    escalation_flag: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata>,
}

/// The source of an entry's id.
enum Identity {
    /// The row has an id that can be kept.
    Own(Uuid),
    /// The row has another id.
    Foreign(String),
    /// The row has no id.
    Content,
}

/// The rules by which rows become interactions.
#[derive(Debug)]
pub(super) struct Rules {
    mapping: Mapping,
    /// `true` to leave out the signals of the file, so that the classifier determines them.
    reclassify: bool,
    max_body_bytes: usize,
    /// The latest time that the stack accepts.
    latest: Timestamp,
}

impl Rules {
    /// Creates rules with the limits in `signals.toml`.
    ///
    /// # Errors
    /// Fails if the configuration is not valid.
    pub fn new(mapping: Mapping, reclassify: bool) -> Result<Self> {
        let config = Config::load().context("cannot read the limits")?;
        let max_body_bytes = config.limits.max_body_bytes.bytes;
        let latest = Timestamp::now().after(config.detection.max_future);
        Ok(Self { mapping, reclassify, max_body_bytes, latest })
    }

    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Returns the interaction in `record`.
    ///
    /// # Errors
    /// All reasons why the row is invalid.
    pub fn entry(&self, record: &Record<'_>, origin: Origin, ordinals: &mut Ordinals) -> Result<Entry, Invalid> {
        let mut reader = Reader { mapping: &self.mapping, record, reasons: Vec::new(), unnamed: Vec::new() };
        let agent_id = reader.required(Field::AgentId, name);
        let user_id = reader.required(Field::UserId, name);
        let user_input = reader.required(Field::UserInput, |value| Ok(value.text()?.into_owned()));
        let text = |value: Value<'_>| Ok(value.text()?.into_owned());
        let agent_output = reader.optional(Field::AgentOutput, text);
        let detected_signal =
            if self.is_classified(record) { Some(None) } else { reader.optional(Field::DetectedSignal, name) };
        let response_type = reader.optional(Field::ResponseType, text);
        let coherence_score_impact = reader.optional(Field::CoherenceScoreImpact, Value::number);
        let escalation_flag = reader.optional(Field::EscalationFlag, Value::flag);
        let session_id = reader.optional(Field::SessionId, text);
        let metadata = reader.metadata();
        let when = self.identity(&mut reader);
        let Reader { reasons, unnamed, .. } = reader;
        let fields = || {
            Some(Fields {
                agent_id: agent_id?,
                user_id: user_id?,
                user_input: user_input?,
                agent_output: agent_output?,
                detected_signal: detected_signal?,
                response_type: response_type?.unwrap_or_default(),
                coherence_score_impact: coherence_score_impact?,
                escalation_flag: escalation_flag?.unwrap_or_default(),
                session_id: session_id?,
                metadata: metadata?,
            })
        };
        let (Some(fields), Some((millis, identity))) = (fields(), when) else {
            return Err(Invalid { origin, reasons, unnamed });
        };
        let content = serde_json::to_string(&fields).unwrap_or_default();
        let log_id = match identity {
            Identity::Own(log_id) => log_id,
            Identity::Foreign(id) => {
                let [agent, user] = [fields.agent_id.as_str(), fields.user_id.as_str()];
                uuid_v7(millis.unsigned_abs(), &hash([b"id", agent.as_bytes(), user.as_bytes(), id.as_bytes()], millis))
            }
            Identity::Content => ordinals.id(millis, &hash([b"content", content.as_bytes(), b"", b""], millis)),
        };
        // The content is an object that has members.
        let body = format!("{{\"log_id\":\"{log_id}\",{}", content.get(1..).unwrap_or_default());
        if body.len() > self.max_body_bytes {
            let (size, limit) = (body.len(), self.max_body_bytes);
            let reason =
                format!("the interaction has {size} bytes of JSON, more than limits.max_body_bytes, which is {limit}");
            return Err(Invalid::new(origin, reason));
        }
        Ok(Entry { origin, agent_id: fields.agent_id, user_id: fields.user_id, millis, log_id, body })
    }

    /// Returns whether the signal of `record`, if any, is left to the classifier: an exported entry has a classification if
    /// the classifier determined the signal.
    fn is_classified(&self, record: &Record<'_>) -> bool {
        let is_by_name = *self.mapping.source(Field::DetectedSignal) == Source::OwnName;
        let classification = record.get(CLASSIFICATION).filter(|value| !value.is_null() && !value.is_empty_cell());
        self.reclassify || (is_by_name && classification.is_some())
    }

    /// Returns the time of the row, in Unix milliseconds, and the source of its id.
    fn identity(&self, reader: &mut Reader<'_>) -> Option<(i64, Identity)> {
        let timestamp = reader.optional(Field::Timestamp, Value::time);
        let id = reader.optional(Field::LogId, |value| Ok(value.text()?.into_owned()));
        let (timestamp, id) = (timestamp?, id?.filter(|id| !id.is_empty()));
        let own = id.as_deref().and_then(|id| LogId::try_from(id.trim().to_owned()).ok());
        let own = own.and_then(|LogId(id)| Some((entry_id::time_of(&id)?, id)));
        let (field, time, identity) = match (timestamp, own, id) {
            (None, Some((time, id)), _) => (Field::LogId, time, Identity::Own(id)),
            (Some(timestamp), Some((time, id)), _) if timestamp.millis() == time.millis() => {
                (Field::LogId, time, Identity::Own(id))
            }
            (Some(timestamp), _, Some(id)) => (Field::Timestamp, timestamp, Identity::Foreign(id)),
            (Some(timestamp), _, None) => (Field::Timestamp, timestamp, Identity::Content),
            (None, None, _) => {
                reader.missing(Field::Timestamp);
                return None;
            }
        };
        if time.micros() < 0 || time > self.latest {
            let rule = "is before 1970, or further ahead of this machine's clock than window.max_future_seconds";
            reader.refuse(field, &format!("{} {rule}", time.to_rfc3339_millis()));
            return None;
        }
        Some((time.millis(), identity))
    }
}

/// Reads the fields of a row and collects the reasons why they are invalid.
struct Reader<'a> {
    mapping: &'a Mapping,
    record: &'a Record<'a>,
    reasons: Vec<String>,
    unnamed: Vec<Field>,
}

impl<'a> Reader<'a> {
    fn required<T>(&mut self, field: Field, parse: impl Fn(Value<'a>) -> Result<T, Violation>) -> Option<T> {
        match self.mapping.value(self.record, field) {
            Some(value) => self.parsed(field, value, parse),
            None => {
                self.missing(field);
                None
            }
        }
    }

    /// Returns `Some(None)` for a field that is absent. An empty cell is absent.
    fn optional<T>(&mut self, field: Field, parse: impl Fn(Value<'a>) -> Result<T, Violation>) -> Option<Option<T>> {
        match self.mapping.value(self.record, field).filter(|value| !value.is_empty_cell()) {
            Some(value) => self.parsed(field, value, parse).map(Some),
            None => Some(None),
        }
    }

    fn metadata(&mut self) -> Option<Option<Metadata>> {
        let whole = self.mapping.value(self.record, Field::Metadata).filter(|value| !value.is_empty_cell());
        let mut members: Vec<String> = Vec::new();
        if let Some(value) = whole {
            let text = match value {
                Value::Json(json) => json.as_str().unwrap_or_else(|| json.text().into()),
                Value::Text(text) | Value::Escaped(text) => text.into(),
            };
            let Some(object) = Json::parse(text.as_bytes()).ok().and_then(Json::as_object) else {
                self.refuse(Field::Metadata, "should be a JSON object");
                return None;
            };
            members.extend(object.iter().map(|(key, value)| member(key, value.text())));
        }
        let own_keys = self.mapping.metadata_values(self.record).filter(|(_, value)| !value.is_empty_cell());
        members.extend(own_keys.map(|(key, value)| member(key, &value.to_json())));
        if members.is_empty() && whole.is_none() {
            return Some(None);
        }
        let text = format!("{{{}}}", members.join(","));
        let json = Json::parse(text.as_bytes()).map_err(|error| error.to_string());
        match json.and_then(|json| Metadata::parse(json).map_err(|violation| violation.to_string())) {
            Ok(metadata) => Some(Some(metadata)),
            Err(reason) => {
                self.refuse(Field::Metadata, &reason);
                None
            }
        }
    }

    fn parsed<T>(
        &mut self,
        field: Field,
        value: Value<'a>,
        parse: impl Fn(Value<'a>) -> Result<T, Violation>,
    ) -> Option<T> {
        parse(value).map_err(|violation| self.refuse(field, &violation.to_string())).ok()
    }

    fn missing(&mut self, field: Field) {
        self.reasons.push(match self.mapping.source(field) {
            Source::Column(column) => format!("{}: there is no {column:?}", field.name()),
            _ => {
                self.unnamed.push(field);
                format!("{}: missing", field.name())
            }
        });
    }

    fn refuse(&mut self, field: Field, reason: &str) {
        // The API's messages are Pydantic's.
        let reason = reason.trim_start_matches("Value error, ");
        self.reasons.push(format!("{}: {reason}", field.name()));
    }
}

fn name<T: TryFrom<String, Error = Violation>>(value: Value<'_>) -> Result<T, Violation> {
    T::try_from(value.text()?.into_owned())
}

fn member(key: &str, json: &str) -> String {
    format!("{}:{json}", serde_json::Value::from(key))
}

/// A SHA-256 digest.
type Hash = [u8; 32];

/// Hashes `parts` at `millis`. Parts cannot run into each other.
fn hash(parts: [&[u8]; 4], millis: i64) -> Hash {
    let mut hash = Sha256::new(&SHA256);
    hash.update(&millis.to_be_bytes());
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    finished(hash)
}

fn finished(hash: Sha256) -> Hash {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    bytes
}

/// Counts equal rows of a file. Equal rows of the same millisecond are different interactions; each gets an id of its
/// own, which is the same in every import of the file.
///
/// Takes about 20 bytes for each row without an id.
#[derive(Debug, Default)]
pub(super) struct Ordinals(HashMap<u64, u32>);

impl Ordinals {
    /// Returns the id of the next row at `millis` whose content has `hash`.
    fn id(&mut self, millis: i64, hash: &Hash) -> Uuid {
        let mut key = [0; 8];
        key.copy_from_slice(&hash[..8]);
        // Two contents with one key are numbered together: their ids still differ, and stay the same.
        let ordinal = self.0.entry(u64::from_be_bytes(key)).or_default();
        let id = match *ordinal {
            0 => uuid_v7(millis.unsigned_abs(), hash),
            repeated => {
                let mut again = Sha256::new(&SHA256);
                again.update(hash);
                again.update(&repeated.to_be_bytes());
                uuid_v7(millis.unsigned_abs(), &finished(again))
            }
        };
        *ordinal = ordinal.saturating_add(1);
        id
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.reasons.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Parsed, json};

    use super::super::mapping::Columns;
    use super::*;

    const NOON: &str = "2026-01-01T12:00:00Z";
    const LOG_ID: &str = "019b796d-d600-7c2a-8a53-5d1c54f1a6c1";

    fn rules(columns: &Columns) -> Rules {
        Rules::new(Mapping::of(columns).expect("a mapping"), false).expect("rules")
    }

    fn entry_by(rules: &Rules, row: &Parsed, ordinals: &mut Ordinals) -> Result<Entry, String> {
        let text = row.to_string();
        let object = Json::parse(text.as_bytes()).expect("JSON").as_object().expect("an object");
        let origin = Origin { file: 0, line: 1 };
        rules.entry(&Record::Json(object), origin, ordinals).map_err(|invalid| invalid.to_string())
    }

    fn entry(row: &Parsed) -> Result<Entry, String> {
        entry_by(&rules(&Columns::default()), row, &mut Ordinals::default())
    }

    fn with(more: Parsed) -> Parsed {
        let mut row = json!({ "agent_id": "a", "user_id": "u", "user_input": "hi", "timestamp": NOON });
        row.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        row
    }

    fn id(row: &Parsed) -> Uuid {
        entry(row).expect("valid").log_id
    }

    #[test]
    fn row_becomes_the_body_of_a_request() {
        let entry = entry(&with(json!({
            "agent_output": "hello", "metadata": { "b": 1, "a": "x" }, "escalation_flag": true, "session_id": 7,
            "coherence_score_impact": -0.5, "detected_signal": "urgent", "response_type": "", "other": 1,
        })))
        .expect("valid");
        let body: Parsed = serde_json::from_str(&entry.body).expect("JSON");
        let expected = json!({
            "log_id": entry.log_id, "agent_id": "a", "user_id": "u", "user_input": "hi", "agent_output": "hello",
            "metadata": { "a": "x", "b": 1 }, "escalation_flag": true, "session_id": "7",
            "coherence_score_impact": -0.5, "detected_signal": "urgent",
        });
        assert_eq!(body, expected);
        assert_eq!(entry.millis, 1_767_268_800_000);
        assert_eq!(entry.hour(), 490_908);
        let interaction = shared::logging::Interaction::parse(entry.body.as_bytes()).expect("the API accepts the body");
        assert!(interaction.into_unchecked().ignored.is_empty());
    }

    #[test]
    fn own_id_is_kept_if_it_is_a_uuid_v7_of_the_time() {
        let own = |more: Parsed| id(&with(more)).to_string();
        assert_eq!(own(json!({ "log_id": LOG_ID })), LOG_ID);
        assert_eq!(own(json!({ "log_id": LOG_ID.to_uppercase(), "timestamp": null })), LOG_ID);
        // Another time, another version, and no UUID at all.
        for foreign in [json!(LOG_ID.replace("019b", "019a")), json!("019b796d-d600-4c2a-8a53-5d1c54f1a6c1"), json!(17)]
        {
            let derived = own(json!({ "log_id": foreign }));
            assert!(derived.starts_with("019b796d-d600-7") && derived != LOG_ID, "{derived}");
        }
    }

    #[test]
    fn foreign_id_alone_identifies_a_row() {
        let mut ordinals = Ordinals::default();
        let rules = rules(&Columns::default());
        let mut id = |more: Parsed| entry_by(&rules, &with(more), &mut ordinals).expect("valid").log_id;
        let first = id(json!({ "log_id": "m-1" }));
        assert_eq!(id(json!({ "log_id": "m-1" })), first);
        assert_eq!(id(json!({ "log_id": "m-1", "user_input": "other" })), first);
        for other in [
            json!({ "log_id": "m-2" }),
            json!({ "log_id": "m-1", "user_id": "v" }),
            json!({ "log_id": "m-1", "agent_id": "b" }),
            json!({ "log_id": "m-1", "timestamp": "2026-01-01T12:00:00.001Z" }),
        ] {
            assert_ne!(id(other.clone()), first, "{other}");
        }
    }

    #[test]
    fn ids_of_rows_depend_on_their_content_and_ordinal() {
        // Ids are stored data: another version must derive the same ids.
        assert_eq!(id(&with(json!({}))).to_string(), EXPECTED_CONTENT);
        assert_eq!(id(&with(json!({ "log_id": "m-1" }))).to_string(), EXPECTED_FOREIGN);
        // Defaults, the form of the text and a time within the millisecond do not matter.
        let same = json!({
            "agent_output": null, "response_type": "", "escalation_flag": false, "metadata": null,
            "timestamp": "2026-01-01T13:00:00.000999+01:00",
        });
        assert_eq!(id(&with(same)), id(&with(json!({}))));
        let mut ids: Vec<_> = [
            json!({}),
            json!({ "user_input": "ho" }),
            json!({ "agent_id": "b" }),
            json!({ "user_id": "v" }),
            json!({ "session_id": "s" }),
            json!({ "agent_output": "" }),
            json!({ "metadata": {} }),
            json!({ "timestamp": "2026-01-01T12:00:00.001Z" }),
        ]
        .map(|more| id(&with(more)))
        .into();
        let mut ordinals = Ordinals::default();
        let rules = rules(&Columns::default());
        let repeated: Vec<_> =
            (0..3).map(|_| entry_by(&rules, &with(json!({})), &mut ordinals).expect("valid").log_id).collect();
        assert_eq!(repeated[0], ids[0]);
        ids.extend(&repeated[1..]);
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(ids.iter().all(|id| LogId::try_from(id.to_string()).is_ok()));
    }

    #[test]
    fn invalid_row_names_every_invalid_field() {
        let reasons = entry(
            &json!({ "user_id": "a/b", "user_input": [], "metadata": { "x": [] }, "escalation_flag": "perhaps" }),
        )
        .expect_err("invalid");
        assert_eq!(
            reasons.split("; ").collect::<Vec<_>>(),
            [
                "agent_id: missing",
                "user_id: must not contain '/'",
                "user_input: should be a text or a number",
                "escalation_flag: should be true or false",
                "metadata: must have a string, a number or a boolean under \"x\"",
                "timestamp: missing",
            ]
        );
        let mapped = Columns { user_id: Some("customer.id".to_owned()), ..Columns::default() };
        let reason = entry_by(&rules(&mapped), &with(json!({})), &mut Ordinals::default()).expect_err("invalid");
        assert_eq!(reason, "user_id: there is no \"customer.id\"");
    }

    #[test]
    fn times_out_of_range_are_invalid() {
        for time in ["1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z"] {
            let reason = entry(&with(json!({ "timestamp": time }))).expect_err("invalid");
            assert!(reason.starts_with("timestamp: ") && reason.contains("before 1970"), "{reason}");
        }
        let reason = entry(&with(json!({ "timestamp": null, "log_id": "1d88829b-b400-7fff-bfff-ffffffffffff" })));
        assert!(reason.expect_err("invalid").starts_with("log_id: "));
        assert!(entry(&with(json!({ "timestamp": 0 }))).is_ok());
    }

    #[test]
    fn oversized_interactions_are_invalid() {
        let reason = entry(&with(json!({ "user_input": "x".repeat(66_000) }))).expect_err("invalid");
        assert!(reason.contains("limits.max_body_bytes, which is 65536"), "{reason}");
    }

    #[test]
    fn metadata_is_an_object_a_text_or_single_columns() {
        let metadata = |columns: &Columns, more: Parsed| {
            let entry = entry_by(&rules(columns), &with(more), &mut Ordinals::default())?;
            Ok::<_, String>(serde_json::from_str::<Parsed>(&entry.body).expect("JSON")["metadata"].clone())
        };
        let default = Columns::default();
        assert_eq!(metadata(&default, json!({ "metadata": "{\"a\":1}" })), Ok(json!({ "a": 1 })));
        assert_eq!(metadata(&default, json!({ "metadata": {} })), Ok(json!({})));
        assert!(metadata(&default, json!({ "metadata": "a" })).expect_err("invalid").contains("a JSON object"));
        let keys = Columns { metadata: ["m=llm.model", "n=n", "llm"].map(str::to_owned).into(), ..default };
        let row = json!({ "llm": { "model": "m-1", "m": 0 }, "n": null });
        assert_eq!(metadata(&keys, row), Ok(json!({ "model": "m-1", "m": "m-1" })));
        assert_eq!(metadata(&keys, json!({})), Ok(json!(null)));
    }

    #[test]
    fn signals_of_the_classifier_are_determined_again() {
        let signal = |rules: &Rules, more: Parsed| {
            let entry = entry_by(rules, &with(more), &mut Ordinals::default()).expect("valid");
            serde_json::from_str::<Parsed>(&entry.body).expect("JSON")["detected_signal"].clone()
        };
        let rules = rules(&Columns::default());
        assert_eq!(signal(&rules, json!({ "detected_signal": "neutral" })), "neutral");
        assert_eq!(signal(&rules, json!({ "detected_signal": "neutral", "classification": null })), "neutral");
        assert_eq!(signal(&rules, json!({ "detected_signal": "neutral", "classification": {} })), json!(null));
        let again = Rules { reclassify: true, ..rules };
        assert_eq!(signal(&again, json!({ "detected_signal": "neutral" })), json!(null));
    }

    #[test]
    fn log_of_the_fastapi_service_is_imported_as_it_is() {
        let line = json!({
            "agent_id": "support", "user_id": "maria", "user_input": "Thanks!", "detected_signal": "positive",
            "response_type": "", "coherence_score_impact": null, "escalation_flag": false, "session_id": null,
            "log_id": "7f3a1c9e-4b2d-4c8e-9f10-2a6b7c8d9e0f", "timestamp": "2025-03-04T05:06:07.089123+00:00",
        });
        let entry = entry(&line).expect("valid");
        assert_eq!(entry.millis, Timestamp::parse_rfc3339("2025-03-04T05:06:07.089Z").expect("a time").millis());
        assert!(LogId::try_from(entry.log_id.to_string()).is_ok());
        let body: Parsed = serde_json::from_str(&entry.body).expect("JSON");
        assert_eq!((&body["detected_signal"], &body["session_id"]), (&json!("positive"), &json!(null)));
    }

    const EXPECTED_CONTENT: &str = "019b796d-d600-7668-b077-688241e93c29";
    const EXPECTED_FOREIGN: &str = "019b796d-d600-737a-b620-bb7b2d137f9c";
}
