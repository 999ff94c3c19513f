//! Anomalies: events that exceed the threshold of their kind.

use serde::Serialize;

use super::key::EventKey;
use crate::config::WindowScope;
use crate::ids::{AgentId, EventId, SignalType, UserId};
pub use crate::severity::Severity;
use crate::time::Timestamp;

/// An event that exceeds the threshold, counting the earlier events in its window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// User who sent too many events.
    pub user_id: UserId,
    /// Key of the offending event, which is also the key of the anomaly.
    pub key: EventKey,
    /// Kind of the offending event.
    pub signal_type: SignalType,
    /// Events in the window, including the offending one. A lower bound if equal to `window.max_items`.
    pub count: u32,
    /// The threshold that was exceeded.
    pub threshold: u32,
    /// Time of the earliest event counted. If `count` is `window.max_items`, the time of an event of the window from
    /// which on there are at least that many events.
    pub window_start: Timestamp,
    /// Severity of the anomaly.
    pub severity: Severity,
    /// Time at which the server received the offending event.
    pub received_at: Timestamp,
}

/// Visibility of an anomaly's count and window start for a caller.
///
/// If the events of all agents count together, the count and the time of the first event may reveal events that the
/// caller may not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountVisibility {
    /// Shows the values to the caller.
    Shown,
    /// Replaces the values by null.
    Hidden,
}

impl CountVisibility {
    /// Returns the visibility for a caller who can access all agents or not, given the `scope` of windows.
    pub fn of(can_access_all: bool, scope: WindowScope) -> Self {
        if can_access_all || scope == WindowScope::UserAndAgent { Self::Shown } else { Self::Hidden }
    }

    /// Returns `value` if the caller may see it.
    pub fn show<T>(self, value: T) -> Option<T> {
        (self == Self::Shown).then_some(value)
    }
}

/// An anomaly as shown to callers.
#[derive(Debug, Serialize)]
pub struct AnomalyView {
    user_id: UserId,
    agent_id: AgentId,
    signal_type: SignalType,
    event_id: EventId,
    detected_at: Timestamp,
    count: Option<u32>,
    window_start: Option<Timestamp>,
    severity: Severity,
    rule: String,
}

impl Anomaly {
    /// Returns the violated rule: `<signal_type>:<threshold>`.
    pub fn rule(&self) -> String {
        format!("{}:{}", self.signal_type, self.threshold)
    }

    /// Returns the anomaly as shown to a caller.
    pub fn show(self, visibility: CountVisibility) -> AnomalyView {
        AnomalyView {
            rule: self.rule(),
            user_id: self.user_id,
            agent_id: self.key.agent_id,
            signal_type: self.signal_type,
            event_id: self.key.event_id,
            detected_at: self.key.time,
            count: visibility.show(self.count),
            window_start: visibility.show(self.window_start),
            severity: self.severity,
        }
    }
}
