//! What an event is when there were too many with it.

use serde::Serialize;

use super::key::EventKey;
use crate::config::WindowScope;
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
    /// Time of the earliest event that is counted. Where `count` is `window.max_items`, the time of an event of the window
    /// from which on there are at least that many.
    pub window_start: Timestamp,
    /// How grave it is.
    pub severity: Severity,
    /// When the offending event was taken in.
    pub received_at: Timestamp,
}

/// Whether a caller may see how many events an anomaly was counted from, and since when.
///
/// Where the events of all agents count together, the number and the time of the first may be those of events that the
/// caller may not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// The caller may see them.
    Shown,
    /// The caller gets null.
    Hidden,
}

impl Counts {
    /// The counts that a caller may see who `sees_all` agents, or does not, where windows have this `scope`.
    pub fn to_caller(sees_all: bool, scope: WindowScope) -> Self {
        if sees_all || scope == WindowScope::UserAndAgent { Self::Shown } else { Self::Hidden }
    }

    /// `value`, if the caller may see it.
    pub fn show<T>(self, value: T) -> Option<T> {
        (self == Self::Shown).then_some(value)
    }
}

/// The form in which callers see an anomaly.
#[derive(Debug, Serialize)]
pub struct ShownAnomaly {
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
    /// The rule that was broken: `<signal_type>:<threshold>`.
    pub fn rule(&self) -> String {
        format!("{}:{}", self.signal_type, self.threshold)
    }

    /// The anomaly as a caller sees it.
    pub fn show(self, counts: Counts) -> ShownAnomaly {
        ShownAnomaly {
            rule: self.rule(),
            user_id: self.user_id,
            agent_id: self.key.agent_id,
            signal_type: self.signal_type,
            event_id: self.key.event_id,
            detected_at: self.key.time,
            count: counts.show(self.count),
            window_start: counts.show(self.window_start),
            severity: self.severity,
        }
    }
}
