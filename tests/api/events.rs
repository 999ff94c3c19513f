//! Events to post, and the instants they lie at.

use serde_json::{Value, json};
use shared::time::Timestamp;

use crate::stack::Stack;

/// The agent of events for which it does not matter which.
pub const AGENT: &str = "agent";
/// A second, in the microseconds that [`at`] counts in.
pub const SECOND: i64 = 1_000_000;
/// 2026-01-02T12:00:00Z: long gone, for events are judged by their own time and not by the clock on the wall.
const NOON_MICROS: i64 = 1_767_355_200 * SECOND;

/// The instant `micros` microseconds after some noon, as the API writes instants.
pub fn at(micros: i64) -> String {
    Timestamp::from_micros(NOON_MICROS + micros).expect("an instant").to_string()
}

/// Microseconds from that noon to `timestamp`, which is RFC 3339.
pub fn micros(timestamp: &Value) -> i64 {
    let text = timestamp.as_str().unwrap_or_default();
    let instant = Timestamp::parse_rfc3339(text).unwrap_or_else(|| panic!("{timestamp} is no RFC 3339 instant"));
    instant.micros() - NOON_MICROS
}

/// An event with the required fields alone.
pub fn event(user: &str, signal_type: &str, timestamp: impl Into<Value>) -> Value {
    json!({"user_id": user, "agent_id": AGENT, "signal_type": signal_type, "timestamp": timestamp.into()})
}

impl Stack {
    /// Posts `count` events that are alike, one after the other, and gives the anomaly in each answer.
    pub async fn post_alike(&self, event: &Value, count: usize) -> Vec<Value> {
        let mut anomalies = Vec::new();
        for _ in 0..count {
            anomalies.push(self.ingest(event).await);
        }
        anomalies
    }

    /// Posts an event that has to be taken, and gives the anomaly in the answer.
    pub async fn ingest(&self, event: &Value) -> Value {
        let answer = self.post_event(event).await;
        let json = answer.ok();
        answer.check(json["status"] == "ingested", "the status ingested");
        answer.check(json.get("anomaly").is_some(), "an anomaly or null");
        json["anomaly"].clone()
    }
}
