//! Attributes of spans, log records and resources, and the names of the user, the session and the agent among them.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// Attribute that overrides the user found elsewhere.
const USER_OVERRIDE: &str = "signals.user.id";
/// Attribute that overrides the agent found elsewhere.
const AGENT_OVERRIDE: &str = "signals.agent.id";
/// Attribute that excludes a span and everything below it.
const IGNORE: &str = "signals.ignore";

/// Attributes that name the user, the most specific first. The GenAI conventions have none: `user.id` is from the
/// general registry, the others are of frameworks.
const USER: [&str; 17] = [
    "user.id",
    "langfuse.user.id",
    "enduser.id",
    "gen_ai.user.id",
    "gen_ai.user",
    "ai.settings.context.userId",
    "ai.settings.context.user_id",
    "ai.settings.context.user.id",
    "ai.telemetry.metadata.userId",
    "ai.telemetry.metadata.user_id",
    "ai.telemetry.metadata.user.id",
    "traceloop.association.properties.user_id",
    "traceloop.association.properties.userId",
    "langsmith.metadata.user_id",
    "langsmith.metadata.userId",
    "metadata.user_id",
    "metadata.userId",
];
/// Attributes that name the session.
const SESSION: [&str; 20] = [
    "session.id",
    "gen_ai.conversation.id",
    "langfuse.session.id",
    "gen_ai.session.id",
    "ai.settings.context.sessionId",
    "ai.settings.context.session_id",
    "ai.settings.context.session.id",
    "ai.telemetry.metadata.sessionId",
    "ai.telemetry.metadata.session_id",
    "ai.telemetry.metadata.session.id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.sessionId",
    "traceloop.association.properties.conversation_id",
    "traceloop.association.properties.thread_id",
    "langsmith.metadata.session_id",
    "langsmith.metadata.thread_id",
    "langsmith.metadata.conversation_id",
    "metadata.session_id",
    "metadata.thread_id",
    "thread_id",
];
/// Attributes that name the agent. The attribute of the resource, `service.name`, is looked up separately.
const AGENT: [&str; 4] = ["gen_ai.agent.name", "gen_ai.agent.id", "agent.name", "ai.telemetry.functionId"];

/// Maximum size of a name in bytes. No name of this size is valid, so the rest of a longer name does not matter.
const MAX_NAME: usize = 1_025;
/// Maximum size of the attribute `metadata` that is searched for names, in bytes.
const MAX_METADATA: usize = 16_384;

/// Attributes of one element. Of several with the same key, the first counts.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(pub &'a [KeyValue]);

impl<'a> Attributes<'a> {
    /// Returns the value of `key`.
    pub fn value(self, key: &str) -> Option<&'a Value> {
        self.0.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
    }

    /// Returns the text of `key`, if the value is a text that is not blank.
    pub fn text(self, key: &str) -> Option<&'a str> {
        self.value(key).and_then(as_text).filter(|text| !text.trim().is_empty())
    }

    /// Returns the first text among `keys`.
    pub fn first_text(self, keys: &[&str]) -> Option<&'a str> {
        keys.iter().find_map(|key| self.text(key))
    }

    /// Returns whether the text of `key` is `value`.
    pub fn is(self, key: &str, value: &str) -> bool {
        self.text(key).is_some_and(|text| text.eq_ignore_ascii_case(value))
    }

    /// Returns the texts with keys of the form `<prefix><number>.<rest>`, ordered by number, with their rests.
    pub fn indexed(self, prefix: &str) -> Vec<(u32, &'a str, &'a str)> {
        let entries = self.0.iter().filter_map(|attribute| {
            let (number, rest) = attribute.key.strip_prefix(prefix)?.split_once('.')?;
            let text = as_text(attribute.value.as_ref()?.value.as_ref()?)?;
            Some((number.parse().ok()?, rest, text))
        });
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by_key(|(number, ..)| *number);
        entries
    }

    /// Returns whether the element and everything below it are excluded.
    pub fn is_ignored(self) -> bool {
        match self.value(IGNORE) {
            Some(Value::BoolValue(is_ignored)) => *is_ignored,
            _ => self.is(IGNORE, "true"),
        }
    }

    /// Returns a name: a text that is not blank, or a whole number.
    fn name(self, key: &str) -> Option<Cow<'a, str>> {
        match self.value(key)? {
            Value::IntValue(number) => Some(Cow::Owned(number.to_string())),
            value => as_text(value).filter(|text| !text.trim().is_empty()).map(Cow::Borrowed),
        }
    }

    /// Returns the first name among `keys`.
    pub fn first_name(self, keys: &[&str]) -> Option<String> {
        let name = keys.iter().find_map(|key| self.name(key))?;
        Some(name[..name.ceil_char_boundary(MAX_NAME)].to_owned())
    }
}

/// Names found on one element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The user.
    pub user: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The user as given for this system.
    pub user_override: Option<String>,
    /// The agent as given for this system.
    pub agent_override: Option<String>,
}

impl Names {
    /// Finds the names among `attributes`. Returns `None` if there are none.
    pub fn find(attributes: Attributes<'_>) -> Option<Self> {
        let metadata = Metadata::find(attributes);
        let names = Self {
            user: attributes.first_name(&USER).or(metadata.user),
            session: attributes.first_name(&SESSION).or(metadata.session),
            agent: attributes.first_name(&AGENT),
            user_override: attributes.first_name(&[USER_OVERRIDE]),
            agent_override: attributes.first_name(&[AGENT_OVERRIDE]),
        };
        (names != Self::default()).then_some(names)
    }
}

/// Names in the attribute `metadata`: an object, as OpenInference and Pydantic AI send it, mostly as JSON.
#[derive(Default)]
struct Metadata {
    user: Option<String>,
    session: Option<String>,
}

#[derive(Deserialize)]
struct MetadataFields {
    user_id: Option<Name>,
    #[serde(rename = "userId")]
    user_id_camel: Option<Name>,
    session_id: Option<Name>,
    #[serde(rename = "sessionId")]
    session_id_camel: Option<Name>,
    thread_id: Option<Name>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Number(i64),
    Other(IgnoredAny),
}

impl Name {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text).filter(|text| !text.trim().is_empty()),
            Self::Number(number) => Some(number.to_string()),
            Self::Other(_) => None,
        }
    }
}

impl Metadata {
    fn find(attributes: Attributes<'_>) -> Self {
        let json = attributes.value("metadata").map(to_json).filter(|json| json.len() <= MAX_METADATA);
        let Some(fields) = json.and_then(|json| serde_json::from_str::<MetadataFields>(&json).ok()) else {
            return Self::default();
        };
        let first = |names: Vec<Option<Name>>| names.into_iter().flatten().find_map(Name::text);
        Self {
            user: first(vec![fields.user_id, fields.user_id_camel]),
            session: first(vec![fields.session_id, fields.session_id_camel, fields.thread_id]),
        }
    }
}

/// Returns the text of a value. Some exporters send JSON as bytes.
fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::StringValue(text) => Some(text),
        Value::BytesValue(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Returns a value as JSON. A text is expected to be JSON already: spans could not have other values for years.
pub fn to_json(value: &Value) -> Cow<'_, str> {
    match as_text(value) {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(serde_json::to_string(&Plain(Some(value))).unwrap_or_default()),
    }
}

/// A value as plain JSON, without the types that the JSON of OTLP names.
struct Plain<'a>(Option<&'a Value>);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(Value::StringValue(text)) => serializer.serialize_str(text),
            Some(Value::BoolValue(value)) => serializer.serialize_bool(*value),
            Some(Value::IntValue(value)) => serializer.serialize_i64(*value),
            Some(Value::DoubleValue(value)) => serializer.serialize_f64(*value),
            Some(Value::ArrayValue(array)) => {
                let mut list = serializer.serialize_seq(Some(array.values.len()))?;
                for value in &array.values {
                    list.serialize_element(&Plain(value.value.as_ref()))?;
                }
                list.end()
            }
            Some(Value::KvlistValue(values)) => {
                let mut map = serializer.serialize_map(Some(values.values.len()))?;
                for entry in &values.values {
                    map.serialize_entry(
                        &entry.key,
                        &Plain(entry.value.as_ref().and_then(|value| value.value.as_ref())),
                    )?;
                }
                map.end()
            }
            Some(Value::BytesValue(_) | Value::StringValueStrindex(_)) | None => serializer.serialize_unit(),
        }
    }
}
