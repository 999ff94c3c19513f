//! Interactions as sent and as recorded.

use serde::{Serialize, Serializer};
use serde_json::Number;
use uuid::Uuid;

use super::classifier::{Classification, Classifier};
use super::entry_id;
use super::metadata::Metadata;
use crate::auth::{NamesAgent, Unauthorized};
use crate::datetime;
use crate::ids::{AgentId, Signal, UserId};
use crate::time::Timestamp;
use crate::unknown::UnknownNames;
use crate::validation::{FieldError, Fields, boolean, number, parse_object, string};

/// Version of the entry format.
const ENTRY_VERSION: u32 = 1;

/// The sort key of entries: Unix milliseconds, then the id.
pub type EntryOrder = (i64, Uuid);

/// A user and an agent, who together identify a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The agent.
    pub agent_id: AgentId,
    /// The user.
    pub user_id: UserId,
}

impl NamesAgent for Conversation {
    fn agent_id(&self) -> &AgentId {
        &self.agent_id
    }
}

/// An interaction as sent by a caller.
#[derive(Clone, Debug)]
pub struct Interaction {
    /// Conversation that the interaction belongs to.
    pub conversation: Conversation,
    /// Text of the user.
    pub user_input: String,
    /// Reply of the agent, which is not classified.
    pub agent_output: Option<String>,
    /// Signal, if the caller already knows it.
    pub detected_signal: Option<Signal>,
    /// Kind of the agent's response, in the caller's own terms.
    pub response_type: String,
    /// Effect of the interaction on the caller's measure of coherence.
    pub coherence_score_impact: Option<Number>,
    /// Whether the interaction was escalated to a person.
    pub escalation_flag: bool,
    /// Session id of the caller.
    pub session_id: Option<String>,
    /// Data of the caller.
    pub metadata: Option<Metadata>,
    /// Id of the entry, a UUIDv7, if the caller determines it.
    pub log_id: Option<Uuid>,
    /// Time of the entry, if the caller determines it.
    pub timestamp: Option<Timestamp>,
    /// Unknown fields, which are not stored.
    pub ignored: UnknownNames,
}

impl Interaction {
    /// Parses the body of `POST /log`.
    ///
    /// # Errors
    /// All invalid fields together.
    pub fn parse(body: &[u8]) -> Result<Unauthorized<Self>, Vec<FieldError>> {
        let object = parse_object(body).map_err(|error| vec![error])?;
        let mut fields = Fields::new(&object);
        let agent_id = fields.required("agent_id", string);
        let user_id = fields.required("user_id", string);
        let user_input = fields.required("user_input", string);
        let agent_output = fields.optional("agent_output", string);
        let detected_signal = fields.optional("detected_signal", string);
        let response_type = fields.or_default("response_type", String::new(), string);
        let coherence_score_impact = fields.optional("coherence_score_impact", number);
        let escalation_flag = fields.or_default("escalation_flag", false, boolean);
        let session_id = fields.optional("session_id", string);
        let metadata = fields.optional("metadata", Metadata::parse);
        let log_id = fields.optional("log_id", entry_id::parse);
        let timestamp = fields.optional("timestamp", datetime::parse);
        let interaction = || {
            Some(Self {
                conversation: Conversation { agent_id: agent_id?, user_id: user_id? },
                user_input: user_input?,
                agent_output: agent_output?,
                detected_signal: detected_signal?,
                response_type: response_type?,
                coherence_score_impact: coherence_score_impact?,
                escalation_flag: escalation_flag?,
                session_id: session_id?,
                metadata: metadata?,
                log_id: log_id?,
                timestamp: timestamp?,
                ignored: fields.unknown(),
            })
        };
        interaction().map(Unauthorized::new).ok_or_else(|| fields.into_errors())
    }
}

impl NamesAgent for Interaction {
    fn agent_id(&self) -> &AgentId {
        &self.conversation.agent_id
    }
}

/// An interaction as recorded: one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// UUIDv7. Together with the timestamp it orders entries.
    pub log_id: Uuid,
    /// Time contained in the id, in milliseconds.
    #[serde(serialize_with = "to_millis")]
    pub timestamp: Timestamp,
    /// The agent.
    pub agent_id: AgentId,
    /// The user.
    pub user_id: UserId,
    /// Text of the user.
    pub user_input: String,
    /// Same as in [`Interaction`]. Absent from entries of older versions.
    pub agent_output: Option<String>,
    /// Signal given by the caller, else found by the classifier. Neutral if the classifier cannot read the text; such an
    /// entry is counted as [`Self::counted_signal`].
    pub detected_signal: Signal,
    /// Explanation of the signal, if the caller gave none.
    pub classification: Option<Classification>,
    /// Same as in [`Interaction`].
    pub response_type: String,
    /// Same as in [`Interaction`].
    pub coherence_score_impact: Option<Number>,
    /// Same as in [`Interaction`].
    pub escalation_flag: bool,
    /// Same as in [`Interaction`].
    pub session_id: Option<String>,
    /// Same as in [`Interaction`]. Absent from entries of older versions.
    pub metadata: Option<Metadata>,
    /// Version of the entry format.
    pub v: u32,
}

fn to_millis<S: Serializer>(timestamp: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp.to_rfc3339_millis())
}

impl Entry {
    /// Records `interaction` under `log_id`, labelled by `classifier` if its caller gave no signal.
    pub fn record(interaction: Interaction, log_id: Uuid, classifier: &Classifier) -> Self {
        let (detected_signal, classification) = match interaction.detected_signal {
            Some(signal) => (signal, None),
            None => {
                let (signal, classification) = classifier.classify(&interaction.user_input).into_parts();
                (signal, Some(classification))
            }
        };
        Self {
            log_id,
            // The id and the timestamp sort alike because they come from one clock reading.
            timestamp: entry_id::time_of(&log_id).unwrap_or_else(Timestamp::now),
            agent_id: interaction.conversation.agent_id,
            user_id: interaction.conversation.user_id,
            detected_signal,
            classification,
            user_input: interaction.user_input,
            agent_output: interaction.agent_output,
            response_type: interaction.response_type,
            coherence_score_impact: interaction.coherence_score_impact,
            escalation_flag: interaction.escalation_flag,
            session_id: interaction.session_id,
            metadata: interaction.metadata,
            v: ENTRY_VERSION,
        }
    }

    /// Returns the signal under which the entry is counted: `unclassified` if the classifier could not read its text.
    pub fn counted_signal(&self) -> Signal {
        let is_classified = self.classification.as_ref().is_none_or(|classification| classification.score.is_some());
        if is_classified { self.detected_signal.clone() } else { Signal::unclassified() }
    }

    /// Returns the conversation that the entry belongs to.
    pub fn conversation(&self) -> Conversation {
        Conversation { agent_id: self.agent_id.clone(), user_id: self.user_id.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use serde_json::json;

    fn parse(body: &serde_json::Value) -> Result<Interaction, serde_json::Value> {
        Interaction::parse(body.to_string().as_bytes())
            .map(Unauthorized::into_unchecked)
            .map_err(|errors| json!(errors))
    }

    #[test]
    fn parse_reports_all_invalid_fields() {
        let errors = parse(&json!({
            "agent_id": "a/b", "user_input": 1, "detected_signal": "", "response_type": null,
            "coherence_score_impact": "0.5", "escalation_flag": 1, "session_id": 7,
            "agent_output": [], "metadata": "x", "log_id": "1", "timestamp": true
        }))
        .expect_err("invalid");
        let found: Vec<_> = errors
            .as_array()
            .expect("a list")
            .iter()
            .map(|error| (error["loc"][1].as_str().unwrap_or_default(), error["type"].as_str().unwrap_or_default()))
            .collect();
        assert_eq!(
            found,
            [
                ("agent_id", "value_error"),
                ("user_id", "missing"),
                ("user_input", "string_type"),
                ("agent_output", "string_type"),
                ("detected_signal", "string_too_short"),
                ("response_type", "string_type"),
                ("coherence_score_impact", "float_type"),
                ("escalation_flag", "bool_type"),
                ("session_id", "string_type"),
                ("metadata", "dict_type"),
                ("log_id", "uuid_parsing"),
                ("timestamp", "datetime_type"),
            ]
        );
    }

    #[test]
    fn entry_is_counted_as_unclassified_when_unreadable() {
        let classifier = Classifier::new(&Config::load().expect("valid").classifier);
        let counted = |text: &str, given: Option<&str>| {
            let body = json!({"agent_id": "a", "user_id": "u", "user_input": text, "detected_signal": given});
            let interaction = parse(&body).expect("valid");
            let entry = Entry::record(interaction, Uuid::now_v7(), &classifier);
            (entry.detected_signal.to_string(), entry.counted_signal().to_string())
        };
        let pair = |signal: &str, counted: &str| (signal.to_owned(), counted.to_owned());
        assert_eq!(counted("Где мой заказ?", None), pair("neutral", "unclassified"));
        assert_eq!(counted("Где мой заказ?", Some("neutral")), pair("neutral", "neutral"));
        assert_eq!(counted("荷物はいつ届きますか？", None), pair("neutral", "neutral"));
    }

    #[test]
    fn entry_has_the_defaults_and_the_time_of_its_id() {
        let config = Config::load().expect("valid");
        let interaction =
            parse(&json!({"agent_id": "a", "user_id": "u", "user_input": "so happy", "unknown": 1})).expect("valid");
        let entry = json!(Entry::record(interaction, Uuid::now_v7(), &Classifier::new(&config.classifier)));
        assert_eq!(entry["detected_signal"], "positive");
        assert_eq!(entry["response_type"], "");
        assert_eq!(entry["coherence_score_impact"], json!(null));
        assert_eq!(entry["escalation_flag"], false);
        assert_eq!(entry["session_id"], json!(null));
        assert_eq!((&entry["agent_output"], &entry["metadata"]), (&json!(null), &json!(null)));
        assert_eq!(entry["v"], 1);
        let timestamp = Timestamp::parse_rfc3339(entry["timestamp"].as_str().expect("text")).expect("RFC 3339");
        let id_millis = i64::from_str_radix(&entry["log_id"].as_str().expect("text").replace('-', "")[..12], 16)
            .expect("hexadecimal");
        assert_eq!(timestamp.millis(), id_millis);
    }
    #[test]
    fn entry_is_classified_by_the_users_text_alone() {
        let config = Config::load().expect("valid");
        let interaction = parse(&json!({
            "agent_id": "a", "user_id": "u", "user_input": "I am so frustrated", "agent_output": "Thanks, great!",
            "metadata": { "model": "m-1", "tokens": 12, "cached": false },
        }))
        .expect("valid");
        let entry = json!(Entry::record(interaction, Uuid::now_v7(), &Classifier::new(&config.classifier)));
        assert_eq!(entry["detected_signal"], "stressed");
        assert_eq!(entry["agent_output"], "Thanks, great!");
        assert_eq!(entry["metadata"], json!({ "model": "m-1", "tokens": 12, "cached": false }));
    }
}
