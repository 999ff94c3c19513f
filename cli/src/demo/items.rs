//! Interactions and events of the demo, as entries of batches.

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use shared::ids::{AgentId, UserId, uuid_v7};
use time::OffsetDateTime;

use crate::import::row::{Entry, Origin};
use crate::import::send::Endpoint;

/// An interaction or an event without an id.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub agent: String,
    pub user: String,
    /// Unix milliseconds.
    pub millis: i64,
    /// The body of `POST /log` or `POST /event` without an id.
    pub body: Map<String, Value>,
}

impl Item {
    /// Returns the item as the entry of a batch for `endpoint`. Its id depends only on the time and the body, so sending
    /// the item again changes nothing.
    pub fn entry(&self, endpoint: Endpoint, origin: Origin) -> Result<Entry> {
        let id = uuid_v7(self.millis.unsigned_abs(), &self.hash());
        let mut body = self.body.clone();
        let field = match endpoint {
            Endpoint::Logs => "log_id",
            Endpoint::Events => "event_id",
        };
        body.insert(field.to_owned(), id.to_string().into());
        Ok(Entry {
            origin,
            agent_id: AgentId::try_from(self.agent.as_str()).context("the name of an agent")?,
            user_id: UserId::try_from(self.user.as_str()).context("the name of a user")?,
            millis: self.millis,
            log_id: id,
            body: Value::Object(body).to_string(),
        })
    }

    /// Returns 256 bits that depend on the time and the body.
    pub fn hash(&self) -> [u8; 32] {
        let body = serde_json::to_string(&self.body).unwrap_or_default();
        Sha256::digest(format!("demo {} {body}", self.millis)).into()
    }
}

/// Returns `time` in Unix milliseconds.
pub(super) fn millis(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

/// Returns the members of `value`, an object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn id_depends_on_the_time_and_the_body() {
        let item = |millis, text| Item {
            agent: "a".to_owned(),
            user: "u".to_owned(),
            millis,
            body: object(json!({ "user_input": text })),
        };
        let id = |item: Item| item.entry(Endpoint::Logs, Origin { file: 0, line: 1 }).expect("an entry").log_id;
        let first = id(item(1_000, "hi"));
        assert_eq!(id(item(1_000, "hi")), first);
        assert_ne!(id(item(1_001, "hi")), first);
        assert_ne!(id(item(1_000, "ho")), first);
        let event = item(1_000, "hi").entry(Endpoint::Events, Origin { file: 0, line: 1 }).expect("an entry");
        assert_eq!(event.body, json!({ "event_id": first, "user_input": "hi" }).to_string());
    }
}
