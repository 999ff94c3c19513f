//! Entries as they are stored: lines of JSON.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::{self, RawValue};
use uuid::Uuid;

use super::entry::{Entry, EntryOrder};
use crate::aws::{S3, StoreError};
use crate::ids::Signal;
use crate::time::Timestamp;

/// A line of a segment, with the values that the segment's key contains.
#[derive(Clone, Debug)]
pub struct RecordedEntry {
    /// Sort key of the entry.
    pub order: EntryOrder,
    /// Signal under which the entry is counted.
    pub signal: Signal,
    /// JSON of the entry with all fields of its version.
    pub json: Box<RawValue>,
}

/// Fields of a line that a reader needs.
#[derive(Deserialize)]
struct Fields<'a> {
    log_id: Uuid,
    timestamp: &'a str,
    detected_signal: Signal,
    /// Absent from entries of early versions, null if the caller gave the signal.
    classification: Option<Classification>,
}

#[derive(Deserialize)]
struct Classification {
    /// Null if the classifier could not read the text.
    score: Option<IgnoredAny>,
}

impl RecordedEntry {
    /// Encodes `entry`.
    ///
    /// # Errors
    /// When the entry is not JSON.
    pub fn of(entry: &Entry) -> Result<Self, StoreError> {
        let json = value::to_raw_value(entry)
            .map_err(|error| StoreError::encode(S3, "PutObject", &format!("entry: {error}")))?;
        Ok(Self { order: (entry.timestamp.millis(), entry.log_id), signal: entry.counted_signal(), json })
    }

    /// Parses a line. Returns `None` if the line is not an entry.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let json: &RawValue = serde_json::from_slice(line).ok()?;
        let fields: Fields<'_> = serde_json::from_str(json.get()).ok()?;
        let is_classified = fields.classification.is_none_or(|classification| classification.score.is_some());
        Some(Self {
            order: (Timestamp::parse_rfc3339(fields.timestamp)?.millis(), fields.log_id),
            signal: if is_classified { fields.detected_signal } else { Signal::unclassified() },
            json: json.to_owned(),
        })
    }

    /// Returns the JSON of the entry with the signal that a person gave, in the additional field `feedback`.
    ///
    /// # Errors
    /// When the line is not an object.
    pub fn with_feedback(&self, signal: &Signal) -> serde_json::Result<Box<RawValue>> {
        let json = self.json.get().trim_end();
        let fields = json.strip_suffix('}').unwrap_or(json);
        RawValue::from_string(format!("{fields},\"feedback\":{}}}", serde_json::to_string(signal)?))
    }

    /// Parses the lines of the object `body`.
    ///
    /// # Errors
    /// When a line is not an entry.
    pub fn parse_all(body: &[u8]) -> impl Iterator<Item = Result<Self, StoreError>> {
        let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| Self::parse(line).ok_or_else(|| StoreError::corrupt(S3, "GetObject", "log entry")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::logging::{Classifier, Interaction};
    use serde_json::json;

    #[test]
    fn entry_reads_back_from_its_line() {
        let classifier = Classifier::new(&Config::load().expect("valid").classifier);
        for (text, signal, counted) in
            [("thanks", None, "positive"), ("Где мой заказ?", None, "unclassified"), ("x\n\u{2028}\"", Some("é"), "é")]
        {
            let body = json!({ "agent_id": "a", "user_id": "u", "user_input": text, "detected_signal": signal });
            let interaction = Interaction::parse(body.to_string().as_bytes()).expect("an interaction");
            let entry = Entry::record(interaction.into_unchecked(), Uuid::now_v7(), &classifier);
            let written = RecordedEntry::of(&entry).expect("JSON");
            let read = RecordedEntry::parse(written.json.get().as_bytes()).expect("an entry");
            assert_eq!(written.signal.as_str(), counted, "{text}");
            assert_eq!((read.order, read.signal, read.json.get()), (written.order, written.signal, written.json.get()));
        }
        assert!(RecordedEntry::parse(b"{}").is_none());
    }

    #[test]
    fn feedback_is_added_after_the_fields_of_the_line() {
        let line = |end: &str| {
            let fields = "\"log_id\":\"00000000-0000-0000-0000-000000000000\",\"timestamp\":\"2026-01-01T00:00:00Z\"";
            format!("{{{fields},\"detected_signal\":\"neutral\",\"metadata\":{{\"a\":{{}}{end}")
        };
        for end in ["}}", "}, \"x\": \"}\" } "] {
            let entry = RecordedEntry::parse(line(end).as_bytes()).expect("an entry");
            let shown = entry.with_feedback(&Signal::try_from("\u{e9}\"").expect("a signal")).expect("JSON");
            let mut expected: serde_json::Value = serde_json::from_str(&line(end)).expect("JSON");
            expected["feedback"] = json!("\u{e9}\"");
            assert_eq!(serde_json::from_str::<serde_json::Value>(shown.get()).expect("JSON"), expected);
        }
    }

    #[test]
    fn classification_of_an_early_or_given_signal_is_not_required() {
        let line = |classification: &str| {
            let id = Uuid::nil();
            format!(
                "{{\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"log_id\":\"{id}\",\"detected_signal\":\"neutral\"{classification}}}"
            )
        };
        let signal_of =
            |classification: &str| RecordedEntry::parse(line(classification).as_bytes()).expect("an entry").signal;
        let early = ",\"classification\":{\"score\":0.9,\"matched\":[],\"version\":\"en-1\"}";
        for classification in ["", ",\"classification\":null", early] {
            assert_eq!(signal_of(classification), Signal::neutral(), "{classification}");
        }
        let unread = ",\"classification\":{\"score\":null,\"language\":null,\"matched\":[],\"version\":\"all-1\"}";
        assert_eq!(signal_of(unread), Signal::unclassified());
    }
}
