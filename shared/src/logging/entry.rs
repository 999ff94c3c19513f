//! Interactions as sent and as recorded.

use serde::{Serialize, Serializer};
use serde_json::Number;
use uuid::Uuid;

use super::classifier::{Classification, Classifier};
use super::entry_id;
use crate::datetime;
use crate::ids::{AgentId, Signal, UserId};
use crate::time::Timestamp;
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

/// An interaction as sent by a caller.
#[derive(Clone, Debug)]
pub struct Interaction {
    /// Conversation that the interaction belongs to.
    pub conversation: Conversation,
    /// Text of the user.
    pub user_input: String,
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
    /// Id of the entry, a UUIDv7, if the caller determines it.
    pub log_id: Option<Uuid>,
    /// Time of the entry, if the caller determines it.
    pub timestamp: Option<Timestamp>,
}

impl Interaction {
    /// Parses the body of `POST /log`.
    ///
    /// # Errors
    /// All invalid fields together.
    pub fn parse(body: &[u8]) -> Result<Self, Vec<FieldError>> {
        let object = parse_object(body).map_err(|error| vec![error])?;
        let mut fields = Fields::new(&object);
        let agent_id = fields.required("agent_id", string);
        let user_id = fields.required("user_id", string);
        let user_input = fields.required("user_input", string);
        let detected_signal = fields.optional("detected_signal", string);
        let response_type = fields.or_default("response_type", String::new(), string);
        let coherence_score_impact = fields.optional("coherence_score_impact", number);
        let escalation_flag = fields.or_default("escalation_flag", false, boolean);
        let session_id = fields.optional("session_id", string);
        let log_id = fields.optional("log_id", entry_id::parse);
        let timestamp = fields.optional("timestamp", datetime::parse);
        let (
            Some(agent_id),
            Some(user_id),
            Some(user_input),
            Some(detected_signal),
            Some(response_type),
            Some(coherence_score_impact),
            Some(escalation_flag),
            Some(session_id),
            Some(log_id),
            Some(timestamp),
        ) = (
            agent_id,
            user_id,
            user_input,
            detected_signal,
            response_type,
            coherence_score_impact,
            escalation_flag,
            session_id,
            log_id,
            timestamp,
        )
        else {
            return Err(fields.into_errors());
        };
        Ok(Self {
            conversation: Conversation { agent_id, user_id },
            user_input,
            detected_signal,
            response_type,
            coherence_score_impact,
            escalation_flag,
            session_id,
            log_id,
            timestamp,
        })
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
            response_type: interaction.response_type,
            coherence_score_impact: interaction.coherence_score_impact,
            escalation_flag: interaction.escalation_flag,
            session_id: interaction.session_id,
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
        Interaction::parse(body.to_string().as_bytes()).map_err(|errors| json!(errors))
    }

    #[test]
    fn every_bad_field_is_reported_at_once() {
        let errors = parse(&json!({
            "agent_id": "a/b", "user_input": 1, "detected_signal": "", "response_type": null,
            "coherence_score_impact": "0.5", "escalation_flag": 1, "session_id": 7,
            "log_id": "1", "timestamp": true
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
                ("detected_signal", "string_too_short"),
                ("response_type", "string_type"),
                ("coherence_score_impact", "float_type"),
                ("escalation_flag", "bool_type"),
                ("session_id", "string_type"),
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
            let entry = Entry::record(parse(&body).expect("valid"), Uuid::now_v7(), &classifier);
            (entry.detected_signal.to_string(), entry.counted_signal().to_string())
        };
        let pair = |signal: &str, counted: &str| (signal.to_owned(), counted.to_owned());
        assert_eq!(counted("Где мой заказ?", None), pair("neutral", "unclassified"));
        assert_eq!(counted("Где мой заказ?", Some("neutral")), pair("neutral", "neutral"));
        assert_eq!(counted("荷物はいつ届きますか？", None), pair("neutral", "neutral"));
    }

    #[test]
    fn an_entry_has_the_defaults_and_the_time_of_its_id() {
        let config = Config::load().expect("valid");
        let interaction =
            parse(&json!({"agent_id": "a", "user_id": "u", "user_input": "so happy", "unknown": 1})).expect("valid");
        let entry = json!(Entry::record(interaction, Uuid::now_v7(), &Classifier::new(&config.classifier)));
        assert_eq!(entry["detected_signal"], "positive");
        assert_eq!(entry["response_type"], "");
        assert_eq!(entry["coherence_score_impact"], json!(null));
        assert_eq!(entry["escalation_flag"], false);
        assert_eq!(entry["session_id"], json!(null));
        assert_eq!(entry["v"], 1);
        let timestamp = Timestamp::parse_rfc3339(entry["timestamp"].as_str().expect("text")).expect("RFC 3339");
        let id_millis = i64::from_str_radix(&entry["log_id"].as_str().expect("text").replace('-', "")[..12], 16)
            .expect("hexadecimal");
        assert_eq!(timestamp.millis(), id_millis);
    }
}
