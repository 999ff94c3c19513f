//! What an event is when there were too many with it.

use serde::Serialize;

use super::key::EventKey;
use crate::ids::{AgentId, EventId, SignalType, UserId};
pub use crate::severity::Severity;
use crate::time::Timestamp;

/// An event that, with those before it in its window, is one too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The user who sent too many.
    pub user_id: UserId,
    /// Key of the offending event, which is the anomaly's own.
    pub key: EventKey,
    /// Kind of the offending event.
    pub signal_type: SignalType,
    /// Events in the window, the offending one included. A lower bound where it is `window.max_items`.
    pub count: u32,
    /// The threshold that was exceeded.
    pub threshold: u32,
    /// Time of the earliest event that is counted.
    pub window_start: Timestamp,
    /// How grave it is.
    pub severity: Severity,
    /// When the offending event was taken in.
    pub received_at: Timestamp,
}

/// The form in which callers see an anomaly.
#[derive(Serialize)]
struct Shown<'a> {
    user_id: &'a UserId,
    agent_id: &'a AgentId,
    signal_type: &'a SignalType,
    event_id: &'a EventId,
    detected_at: Timestamp,
    count: u32,
    window_start: Timestamp,
    severity: Severity,
    rule: String,
}

impl Anomaly {
    /// The rule that was broken: `<signal_type>:<threshold>`.
    pub fn rule(&self) -> String {
        format!("{}:{}", self.signal_type, self.threshold)
    }
}

impl Serialize for Anomaly {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = Shown {
            user_id: &self.user_id,
            agent_id: &self.key.agent_id,
            signal_type: &self.signal_type,
            event_id: &self.key.event_id,
            detected_at: self.key.time,
            count: self.count,
            window_start: self.window_start,
            severity: self.severity,
            rule: self.rule(),
        };
        shown.serialize(serializer)
    }
}
