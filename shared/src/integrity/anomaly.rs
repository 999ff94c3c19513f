//! What an event is when there were too many with it.

use serde::Serialize;

use super::key::EventKey;
use crate::ids::{AgentId, EventId, SignalType, UserId};
use crate::time::Timestamp;
use crate::validation::Problem;

/// How grave an anomaly is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// More events than the threshold.
    Warning,
    /// More than one and a half times the threshold.
    Critical,
}

impl Severity {
    /// How grave `count` events are under `threshold`, or `None` where they are not too many.
    pub fn of(count: u32, threshold: u32) -> Option<Self> {
        if count <= threshold {
            None
        } else if 2 * u64::from(count) > 3 * u64::from(threshold) {
            Some(Self::Critical)
        } else {
            Some(Self::Warning)
        }
    }

    /// The name under which it is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Reads [`Self::name`] back.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Warning, Self::Critical].into_iter().find(|severity| severity.name() == name)
    }
}

/// Reads a severity as a caller names it.
impl TryFrom<String> for Severity {
    type Error = Problem;

    fn try_from(name: String) -> Result<Self, Problem> {
        Self::from_name(&name).ok_or_else(|| Problem::new("literal_error", "Input should be 'warning' or 'critical'"))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_threshold_is_a_warning_and_more_than_half_as_much_again_is_critical() {
        assert_eq!(
            [10, 11, 15, 16].map(|count| Severity::of(count, 10)),
            [None, Some(Severity::Warning), Some(Severity::Warning), Some(Severity::Critical)]
        );
        assert_eq!(
            [8, 9, 12, 13].map(|count| Severity::of(count, 8).map(Severity::name)),
            [None, Some("warning"), Some("warning"), Some("critical")]
        );
    }
}
