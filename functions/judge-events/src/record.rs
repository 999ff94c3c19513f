//! What Lambda says of changes to a table, and what it wants to hear.
//!
//! Form: <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>; answer:
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>.

use serde::{Deserialize, Serialize};
use shared::ids::UserId;
use shared::integrity::key::EventKey;

/// Changes in the order in which they happened.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Batch {
    pub records: Vec<Record>,
}

/// One change of one item.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    event_name: String,
    dynamodb: Change,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    keys: Keys,
    sequence_number: String,
}

#[derive(Debug, Deserialize)]
struct Keys {
    user_id: Text,
    sk: Text,
}

#[derive(Debug, Deserialize)]
struct Text {
    #[serde(rename = "S")]
    text: String,
}

impl Record {
    /// Where the change stands in the stream.
    pub fn sequence_number(&self) -> &str {
        &self.dynamodb.sequence_number
    }

    /// The event that was stored, if that is what the change was: the table also holds markers and payloads, and items
    /// that expire.
    pub fn stored_event(&self) -> Option<(UserId, EventKey)> {
        let keys = &self.dynamodb.keys;
        let key = (self.event_name == "INSERT").then(|| EventKey::parse(&keys.sk.text))??;
        Some((UserId::try_from(keys.user_id.text.as_str()).ok()?, key))
    }
}

/// Which changes have to be told again. Lambda tells them and all later ones.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub batch_item_failures: Vec<Failure>,
}

/// One change that has to be told again.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    pub item_identifier: String,
}
