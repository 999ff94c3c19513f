//! Feedback: the signals that people say entries should have. An entry and its counts do not change.

pub mod table;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entry::Conversation;
use super::recorded::RecordedEntry;
use super::store::ListObjects;
use crate::aws::{S3, StoreError};
use crate::config;
use crate::ids::{AgentId, Signal, UserId};
use crate::time::Timestamp;
use crate::unknown::UnknownNames;
use crate::validation::{FieldError, Fields, parse_object, string};

/// Separator between the parts of a cursor. Names do not contain it.
const SEPARATOR: char = '#';

/// Signals that people gave, by the ids of the entries.
pub type GivenSignals = HashMap<Uuid, Signal>;

/// A person's statement about an entry, as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Signal that the entry should have. `None` withdraws earlier feedback.
    pub signal: Option<Signal>,
    /// Unknown fields, which are not stored.
    pub ignored: UnknownNames,
}

impl Statement {
    /// Parses the body of `POST /logs/{agent_id}/{user_id}/{log_id}/feedback`.
    ///
    /// # Errors
    /// All invalid fields together. `signal` is required, and may be null.
    pub fn parse(body: &[u8]) -> Result<Self, Vec<FieldError>> {
        let object = parse_object(body).map_err(|error| vec![error])?;
        let mut fields = Fields::new(&object);
        let signal =
            fields.required("signal", |value| if value.is_null() { Ok(None) } else { string(value).map(Some) });
        match signal {
            Some(signal) => Ok(Self { signal, ignored: fields.unknown() }),
            None => Err(fields.into_errors()),
        }
    }
}

/// Feedback on an entry. An entry has one at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feedback {
    /// The agent of the entry.
    pub agent_id: AgentId,
    /// The user of the entry.
    pub user_id: UserId,
    /// Id of the entry.
    pub log_id: Uuid,
    /// Text of the user, so that a classifier can be measured without reading the entry.
    pub user_input: String,
    /// Signal under which the entry is counted.
    pub detected_signal: Signal,
    /// Signal that the entry should have.
    pub signal: Signal,
    /// Time at which the signal was given first.
    pub given_at: Timestamp,
    /// Name of the API key with which the signal was given.
    pub given_by: String,
}

/// The field of a line that feedback repeats.
#[derive(Deserialize)]
struct Line {
    user_input: String,
}

impl Feedback {
    /// Creates feedback on `entry` of `conversation`, given at `given_at` with the key named `given_by`.
    ///
    /// # Errors
    /// When the stored entry has no text.
    pub fn of(
        conversation: Conversation,
        entry: &RecordedEntry,
        signal: Signal,
        given_at: Timestamp,
        given_by: &str,
    ) -> Result<Self, StoreError> {
        let line: Line = serde_json::from_str(entry.json.get())
            .map_err(|_| StoreError::corrupt(S3, "GetObject", "text of a log entry"))?;
        Ok(Self {
            agent_id: conversation.agent_id,
            user_id: conversation.user_id,
            log_id: entry.order.1,
            user_input: line.user_input,
            detected_signal: entry.signal.clone(),
            signal,
            given_at,
            given_by: given_by.to_owned(),
        })
    }
}

/// Returns the Unix second at which S3 deletes the object under `key`, and with it the entry: `log_days` after the object
/// was written. `None` if objects are kept.
///
/// The time of the entry is not used, because imported entries are older than their objects.
///
/// # Errors
/// When S3 fails.
pub async fn expiry<S: ListObjects>(store: &S, key: &str, log_days: u32) -> Result<Option<i64>, StoreError> {
    if log_days == 0 {
        return Ok(None);
    }
    let listed = store.objects(key, None).await?;
    let modified = listed.objects.into_iter().find(|object| object.key == key).map(|object| object.modified);
    // Compaction may just have replaced the object.
    Ok(config::expiry(log_days, modified.unwrap_or_else(Timestamp::now)))
}

/// Numbers of feedback on one signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Entries that should have the signal.
    pub given: u32,
    /// Entries that have the signal.
    pub detected: u32,
    /// Entries that have the signal and should have it.
    pub agreed: u32,
}

/// Counts how often the given and the detected signals agree, by signal.
pub fn agreement<'a>(feedback: impl IntoIterator<Item = &'a Feedback>) -> BTreeMap<Signal, Agreement> {
    let mut signals = BTreeMap::<Signal, Agreement>::new();
    for Feedback { signal, detected_signal, .. } in feedback {
        let given = signals.entry(signal.clone()).or_default();
        given.given += 1;
        given.agreed += u32::from(signal == detected_signal);
        signals.entry(detected_signal.clone()).or_default().detected += 1;
    }
    signals
}

/// Query for the feedback on an agent's entries.
#[derive(Clone, Debug)]
pub struct FeedbackQuery {
    /// Earliest time at which the feedback was given.
    pub since: Timestamp,
    /// Latest time at which the feedback was given.
    pub until: Timestamp,
    /// End of the previous page.
    pub cursor: Option<FeedbackCursor>,
    /// Maximum number to return.
    pub limit: usize,
}

/// A page of feedback.
#[derive(Clone, Debug)]
pub struct FeedbackPage {
    /// Feedback, newest first.
    pub feedback: Vec<Feedback>,
    /// End of the page, if there may be more.
    pub next: Option<FeedbackCursor>,
}

/// A position among the feedback on an agent's entries: after the last one that a page read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackCursor {
    given_at: Timestamp,
    log_id: Uuid,
    user_id: UserId,
}

impl FeedbackCursor {
    /// Creates a cursor after `feedback`.
    fn after(feedback: &Feedback) -> Self {
        Self { given_at: feedback.given_at, log_id: feedback.log_id, user_id: feedback.user_id.clone() }
    }

    /// Parses a cursor as displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, SEPARATOR);
        let given_at = Timestamp::parse_rfc3339(parts.next()?)?;
        let log_id = Uuid::try_parse(parts.next()?).ok()?;
        Some(Self { given_at, log_id, user_id: UserId::try_from(parts.next()?).ok()? })
    }
}

impl fmt::Display for FeedbackCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given_at, log_id, user_id } = self;
        write!(out, "{given_at}{SEPARATOR}{}{SEPARATOR}{user_id}", log_id.simple())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::store::{ObjectPage, StoredObject};
    use serde_json::json;

    fn signal(name: &str) -> Signal {
        Signal::try_from(name).expect("a signal")
    }

    fn feedback(detected: &str, given: &str) -> Feedback {
        Feedback {
            agent_id: AgentId::try_from("a").expect("an agent"),
            user_id: UserId::try_from("u*~ é").expect("a user"),
            log_id: Uuid::now_v7(),
            user_input: "hi".to_owned(),
            detected_signal: signal(detected),
            signal: signal(given),
            given_at: Timestamp::now(),
            given_by: "ci".to_owned(),
        }
    }

    #[test]
    fn statement_has_a_signal_or_null() {
        let parse =
            |body: &str| Statement::parse(body.as_bytes()).map(|statement| (statement.signal, statement.ignored));
        assert_eq!(parse(r#"{"signal":"neutral"}"#), Ok((Some(signal("neutral")), UnknownNames::default())));
        assert_eq!(parse(r#"{"signal":null}"#), Ok((None, UnknownNames::default())));
        let (_, ignored) = parse(r#"{"signal":"a","why":"x"}"#).expect("valid");
        assert_eq!(json!(ignored), json!(["why"]));
    }

    #[test]
    fn statement_follows_the_rules_of_a_signal() {
        for (body, kind) in [
            ("{}", "missing"),
            (r#"{"signal":1}"#, "string_type"),
            (r#"{"signal":""}"#, "string_too_short"),
            (r#"{"signal":"a/b"}"#, "value_error"),
            (r#"{"signal":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#, "string_too_long"),
            ("[]", "model_attributes_type"),
            ("", "missing"),
        ] {
            let errors = json!(Statement::parse(body.as_bytes()).expect_err(body));
            assert_eq!((errors.as_array().map(Vec::len), &errors[0]["type"]), (Some(1), &json!(kind)), "{body}");
        }
    }

    #[test]
    fn feedback_repeats_text_and_counted_signal_of_its_entry() {
        let id = Uuid::now_v7();
        let classification = json!({ "score": null, "matched": [], "version": "all-1" });
        let line = json!({
            "log_id": id, "timestamp": "2026-01-01T00:00:00.000Z", "user_input": "\u{0}\"日", "detected_signal": "neutral",
            "classification": classification,
        });
        let entry = RecordedEntry::parse(line.to_string().as_bytes()).expect("an entry");
        let conversation = Conversation {
            agent_id: AgentId::try_from("a").expect("an agent"),
            user_id: UserId::try_from("u").expect("a user"),
        };
        let given = Feedback::of(conversation, &entry, signal("stressed"), Timestamp::MAX, "ci").expect("a text");
        assert_eq!((given.log_id, given.user_input.as_str()), (id, "\u{0}\"日"));
        assert_eq!((given.detected_signal, given.signal), (Signal::unclassified(), signal("stressed")));
    }

    #[test]
    fn agreement_counts_both_directions_by_signal() {
        let given = [
            feedback("stressed", "stressed"),
            feedback("stressed", "neutral"),
            feedback("neutral", "neutral"),
            feedback("unclassified", "neutral"),
        ];
        let expected = json!({
            "neutral": { "given": 3, "detected": 1, "agreed": 1 },
            "stressed": { "given": 1, "detected": 2, "agreed": 1 },
            "unclassified": { "given": 0, "detected": 1, "agreed": 0 },
        });
        assert_eq!(json!(agreement(&given)), expected);
        assert_eq!(json!(agreement(&[])), json!({}));
    }

    #[test]
    fn cursor_reads_back_and_other_text_is_refused() {
        let cursor = FeedbackCursor::after(&feedback("a", "b"));
        assert_eq!(FeedbackCursor::parse(&cursor.to_string()), Some(cursor));
        let id = Uuid::nil().simple();
        for text in ["", "x", "2026-01-01T00:00:00Z", &format!("2026-01-01T00:00:00Z#{id}"), &format!("x#{id}#u")] {
            assert_eq!(FeedbackCursor::parse(text), None, "{text}");
        }
        for user in ["", "a#b", ".."] {
            assert_eq!(FeedbackCursor::parse(&format!("2026-01-01T00:00:00Z#{id}#{user}")), None, "{user}");
        }
    }

    /// A bucket with an object written at this time.
    struct Bucket(Option<Timestamp>);

    impl ListObjects for Bucket {
        async fn objects(&self, prefix: &str, _: Option<&str>) -> Result<ObjectPage, StoreError> {
            let object = |modified| StoredObject { key: prefix.to_owned(), modified, bytes: 1 };
            Ok(ObjectPage { objects: self.0.map(object).into_iter().collect(), more: false })
        }
    }

    #[tokio::test]
    async fn feedback_expires_with_the_object_of_its_entry() {
        let written = Timestamp::from_millis(1_000).expect("in range");
        let expiry = async |bucket: Bucket, days| expiry(&bucket, "logs/x", days).await.expect("a bucket");
        assert_eq!(expiry(Bucket(Some(written)), 0).await, None);
        assert_eq!(expiry(Bucket(Some(written)), 2).await, Some(1 + 2 * 86_400));
        assert!(expiry(Bucket(None), 1).await.expect("an expiry") > Timestamp::now().seconds());
    }
}
