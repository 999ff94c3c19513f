//! Objects to be added to a log: lines of JSON under a key that counts them.

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::entry_id::IdSource;
use super::recorded::RecordedEntry;
use super::segment::{self, Segment, SegmentError};
use crate::aws::{S3, StoreError};

/// A segment to be added to its log. Its key is fixed, so writing it twice has the same effect as writing it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogObject {
    /// S3 key.
    pub key: String,
    /// Lines of the segment.
    #[serde(rename = "lines")]
    pub body: String,
    /// `true` if the caller determined the ids of the entries.
    #[serde(rename = "has_callers_id", default, skip_serializing_if = "std::ops::Not::not")]
    pub has_caller_id: bool,
}

impl LogObject {
    /// Creates the object that holds only `entry`.
    pub fn of(entry: &Entry, id_source: IdSource) -> Result<Self, StoreError> {
        let RecordedEntry { order, signal, json } = RecordedEntry::of(entry)?;
        Ok(Self {
            key: Segment::of_one(order, signal).key(&entry.conversation()),
            body: format!("{json}\n"),
            has_caller_id: id_source == IdSource::Caller,
        })
    }

    /// Creates the object that holds `lines`, oldest first, in the log whose keys begin with `folder`.
    ///
    /// # Errors
    /// When several lines cannot share a segment.
    pub fn of_lines<'a>(
        folder: &str,
        lines: impl IntoIterator<Item = &'a RecordedEntry>,
        id_source: IdSource,
    ) -> Result<Self, SegmentError> {
        let (mut entries, mut body) = (Vec::new(), String::new());
        for line in lines {
            entries.push((line.order, line.signal.clone()));
            body.push_str(line.json.get());
            body.push('\n');
        }
        let segment = match entries.as_slice() {
            [(order, signal)] => Segment::of_one(*order, signal.clone()),
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
        let kept = positions
            .iter()
            .map(|position| lines.get(*position).and_then(|line| RecordedEntry::parse(line.as_bytes())));
        let kept =
            kept.collect::<Option<Vec<_>>>().ok_or_else(|| error("a part of a segment: a line is not an entry"))?;
        let id_source = if self.has_caller_id { IdSource::Caller } else { IdSource::Generated };
        Self::of_lines(segment::folder_of(&self.key), &kept, id_source).map_err(|reason| error(&reason.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::logging::{Classifier, Interaction};
    use serde_json::json;
    use uuid::Uuid;

    fn entry(id: u128, text: &str, signal: Option<&str>) -> Entry {
        let body = json!({ "agent_id": "a ", "user_id": "u", "user_input": text, "detected_signal": signal });
        let interaction = Interaction::parse(body.to_string().as_bytes()).expect("an interaction").into_unchecked();
        let id = Uuid::from_u128(0x019b_796d_d600_7c2a_8a53_5d1c_54f1_a6c1 + id);
        Entry::record(interaction, id, &Classifier::new(&Config::load().expect("valid").classifier))
    }

    #[test]
    fn object_of_one_line_is_that_of_its_entry() {
        let entry = entry(0, "thanks", None);
        let line = RecordedEntry::of(&entry).expect("JSON");
        let object = LogObject::of(&entry, IdSource::Caller).expect("JSON");
        assert_eq!(LogObject::of_lines(segment::folder_of(&object.key), [&line], IdSource::Caller), Ok(object));
    }

    #[test]
    fn part_of_an_object_has_its_own_key() {
        let lines: Vec<_> = (0..3)
            .map(|id| RecordedEntry::of(&entry(id, "thanks\r\n", Some(["a", "b", "c"][id as usize]))).expect("JSON"))
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
