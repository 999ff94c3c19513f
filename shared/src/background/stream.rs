//! Changes of a table as Lambda tells them.
//!
//! Form: <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

use crate::ids::UserId;
use crate::integrity::key::EventKey;

/// Changes in the order in which they happened.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Changes {
    /// One each.
    pub records: Vec<Change>,
}

/// One change of one item in a table of events or anomalies.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    event_name: Kind,
    dynamodb: Images,
}

/// What happened to the item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// It is new.
    Insert,
    /// It was there before.
    Modify,
    /// It is gone.
    Remove,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    keys: Keys,
    #[serde(default)]
    new_image: HashMap<String, Attribute>,
    sequence_number: String,
}

#[derive(Debug, Deserialize)]
struct Keys {
    user_id: Attribute,
    sk: Attribute,
}

/// The kinds of attributes that the tables have; of any other nothing is read.
#[derive(Clone, Debug, Deserialize)]
struct Attribute {
    #[serde(rename = "S")]
    text: Option<String>,
    #[serde(rename = "N")]
    number: Option<String>,
}

impl Attribute {
    fn value(&self) -> Option<AttributeValue> {
        let text = || self.text.clone().map(AttributeValue::S);
        self.number.clone().map(AttributeValue::N).or_else(text)
    }
}

impl Change {
    /// Where the change stands in the stream.
    pub fn sequence_number(&self) -> &str {
        &self.dynamodb.sequence_number
    }

    /// What happened.
    pub fn kind(&self) -> Kind {
        self.event_name
    }

    /// Whose item it is and under which event's key, or `None` where it is not under one: the table of events also holds
    /// markers and payloads.
    pub fn event(&self) -> Option<(UserId, EventKey)> {
        let keys = &self.dynamodb.keys;
        let key = EventKey::parse(keys.sk.text.as_deref()?)?;
        Some((UserId::try_from(keys.user_id.text.as_deref()?).ok()?, key))
    }

    /// The item as it is now, with its key; of a stream that tells keys alone, the key.
    pub fn item(&self) -> HashMap<String, AttributeValue> {
        let keys = [("user_id", &self.dynamodb.keys.user_id), ("sk", &self.dynamodb.keys.sk)];
        let keys = keys.into_iter().map(|(name, attribute)| (name.to_owned(), attribute));
        let image = self.dynamodb.new_image.iter().map(|(name, attribute)| (name.clone(), attribute));
        image.chain(keys).filter_map(|(name, attribute)| Some((name, attribute.value()?))).collect()
    }
}
