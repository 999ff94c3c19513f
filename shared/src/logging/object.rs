//! Objects to be added to a log: lines of JSON under a key that counts them.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::{Entry, EntryOrder};
use super::entry_id::{self, IdSource};
use super::segment::{Segment, SegmentError};
use crate::aws::{S3, StoreError};
use crate::ids::Signal;

/// An entry as a line of an object, with the values that the object's key contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Sort key of the entry.
    pub order: EntryOrder,
    /// Signal under which the entry is counted.
    pub signal: Signal,
    /// JSON of the entry, without a line end.
    pub json: String,
}

impl Line {
    /// Encodes `entry`.
    pub fn of(entry: &Entry) -> Result<Self, StoreError> {
        let json = serde_json::to_string(entry)
            .map_err(|error| StoreError::encode(S3, "PutObject", &format!("entry: {error}")))?;
        Ok(Self { order: (entry.timestamp.millis(), entry.log_id), signal: entry.counted_signal(), json })
    }

    /// Parses a line of an object. Returns `None` if the line is not an entry.
    fn parse(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields {
            log_id: Uuid,
            detected_signal: Signal,
            /// Null if the caller gave the signal.
            classification: Option<Classification>,
        }
        #[derive(Deserialize)]
        struct Classification {
            /// Null if the classifier could not read the text.
            score: Option<IgnoredAny>,
        }
        let fields: Fields = serde_json::from_str(json).ok()?;
        let is_classified = fields.classification.is_none_or(|classification| classification.score.is_some());
        Some(Self {
            order: (entry_id::time_of(&fields.log_id)?.millis(), fields.log_id),
            signal: if is_classified { fields.detected_signal } else { Signal::unclassified() },
            json: json.to_owned(),
        })
    }
}

/// A segment to be added to its log. Its key is fixed, so writing it twice has the same effect as writing it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogObject {
    /// S3 key.
    pub key: String,
    /// Lines of the segment.
    #[serde(rename = "lines")]
    pub body: String,
    /// Whether the caller determined the ids of the entries.
    #[serde(rename = "has_callers_id", default, skip_serializing_if = "std::ops::Not::not")]
    pub has_caller_id: bool,
}

impl LogObject {
    /// Creates the object that holds only `entry`.
    pub fn of(entry: &Entry, id_source: IdSource) -> Result<Self, StoreError> {
        let Line { mut json, .. } = Line::of(entry)?;
        json.push('\n');
        Ok(Self {
            key: Segment::of_one(entry).key(&entry.conversation()),
            body: json,
            has_caller_id: id_source == IdSource::Caller,
        })
    }

    /// Creates the object that holds `lines`, oldest first, in the log whose keys begin with `folder`.
    ///
    /// # Errors
    /// When several lines cannot share a segment.
    pub fn of_lines<'a>(
        folder: &str,
        lines: impl IntoIterator<Item = &'a Line>,
        id_source: IdSource,
    ) -> Result<Self, SegmentError> {
        let (mut entries, mut body) = (Vec::new(), String::new());
        for line in lines {
            entries.push((line.order, line.signal.clone()));
            body.push_str(&line.json);
            body.push('\n');
        }
        let segment = match entries.as_slice() {
            [(order, signal)] => Segment::single_entry(*order, signal.clone()),
            entries => Segment::of(entries)?,
        };
        Ok(Self { key: segment.key_in(folder), body, has_caller_id: id_source == IdSource::Caller })
    }

    /// Returns the lines of the segment, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.body.split_terminator('\n')
    }

    /// Returns the number of lines.
    pub fn line_count(&self) -> usize {
        self.lines().count()
    }

    /// Returns the prefix of the keys of the log, up to the last slash.
    fn folder(&self) -> &str {
        self.key.rfind('/').map_or("", |slash| &self.key[..=slash])
    }

    /// Returns the object that holds only the lines at `positions`, in ascending order. The object has a key of its own.
    ///
    /// # Errors
    /// When a line is not an entry.
    pub fn with_lines(&self, positions: &[usize]) -> Result<Self, StoreError> {
        let lines: Vec<&str> = self.lines().collect();
        if positions.len() == lines.len() {
            return Ok(self.clone());
        }
        let error = |what: &str| StoreError::encode(S3, "PutObject", what);
        let kept = positions.iter().map(|position| lines.get(*position).and_then(|line| Line::parse(line)));
        let kept =
            kept.collect::<Option<Vec<_>>>().ok_or_else(|| error("a part of a segment: a line is not an entry"))?;
        let id_source = if self.has_caller_id { IdSource::Caller } else { IdSource::Generated };
        Self::of_lines(self.folder(), &kept, id_source).map_err(|reason| error(&reason.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::logging::{Classifier, Interaction};
    use serde_json::json;

    fn entry(id: u128, text: &str, signal: Option<&str>) -> Entry {
        let body = json!({ "agent_id": "a ", "user_id": "u", "user_input": text, "detected_signal": signal });
        let interaction = Interaction::parse(body.to_string().as_bytes()).expect("an interaction").into_unchecked();
        let id = Uuid::from_u128(0x019b_796d_d600_7c2a_8a53_5d1c_54f1_a6c1 + id);
        Entry::record(interaction, id, &Classifier::new(&Config::load().expect("valid").classifier))
    }

    #[test]
    fn line_reads_back_from_its_json() {
        for (text, signal, counted) in
            [("thanks", None, "positive"), ("Где мой заказ?", None, "unclassified"), ("x\n\u{2028}\"", Some("é"), "é")]
        {
            let line = Line::of(&entry(0, text, signal)).expect("JSON");
            assert_eq!((line.signal.as_str(), Line::parse(&line.json)), (counted, Some(line.clone())), "{text}");
        }
        assert_eq!(Line::parse("{}"), None);
    }

    #[test]
    fn object_of_one_line_is_that_of_its_entry() {
        let entry = entry(0, "thanks", None);
        let line = Line::of(&entry).expect("JSON");
        let object = LogObject::of(&entry, IdSource::Caller).expect("JSON");
        assert_eq!(LogObject::of_lines(object.folder(), [&line], IdSource::Caller), Ok(object));
    }

    #[test]
    fn part_of_an_object_has_its_own_key() {
        let lines: Vec<_> = (0..3)
            .map(|id| Line::of(&entry(id, "thanks\r\n", Some(["a", "b", "c"][id as usize]))).expect("JSON"))
            .collect();
        let folder = "logs/agent_id=a%20/user_id=u/";
        let object = LogObject::of_lines(folder, &lines, IdSource::Generated).expect("a segment");
        assert_eq!(object.line_count(), 3);
        for (positions, expected) in [(&[0, 1, 2][..], &lines[..]), (&[1, 2], &lines[1..]), (&[1], &lines[1..2])] {
            let part = object.with_lines(positions).expect("entries");
            assert_eq!(Ok(part), LogObject::of_lines(folder, expected, IdSource::Generated));
        }
    }
}
