//! Decides which alerts of a subject to send: one when an alert opens, one when it becomes critical, and one when it ends.

use serde::{Deserialize, Serialize};

use super::check::Subject;
use super::message::{Transition, message};
use super::rule::{Assessment, Level};
use crate::alerts::outbox::{self, OutboxState};
use crate::severity::Severity;
use crate::time::Timestamp;

/// Alerts of a subject. Their JSON form is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MoodState {
    /// Open alerts.
    pub open: Vec<OpenAlert>,
    /// Time of the check that evaluates the rules again. Present exactly while an alert is open, even if the check was lost.
    pub next_check: Option<Timestamp>,
    /// Alerts persisted but not known to be sent, in order.
    pub outbox: Vec<String>,
}

/// An alert that has opened and not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAlert {
    /// Id of the alert.
    pub id: String,
    /// Text of the rule.
    pub rule: String,
    /// Signal of the rule.
    pub signal: String,
    /// Length of the rule's window in minutes.
    pub minutes: u64,
    /// Severity that was reported.
    pub severity: Severity,
    /// Time of the first interaction that counted when the alert opened.
    pub start: Timestamp,
}

impl MoodState {
    /// Applies the `assessments` of all rules of `subject` at `now`. Applying them twice changes nothing.
    pub fn apply(&mut self, subject: &Subject, assessments: &[Assessment], now: Timestamp) {
        let assessment = |alert: &OpenAlert| assessments.iter().find(|assessment| assessment.rule == alert.rule);
        // An alert whose rule was removed from the configuration ends too.
        let has_ended = |alert: &OpenAlert| {
            assessment(alert).is_none_or(|found| {
                found.level == Level::Calm || found.interrupted.is_some_and(|time| time > alert.start)
            })
        };
        let (ended, open): (Vec<_>, Vec<_>) = self.open.drain(..).partition(has_ended);
        self.open = open;
        let recovered = |alert| message(Transition::Recovered, subject, alert, assessment(alert), now);
        self.outbox.extend(ended.iter().filter_map(recovered));
        for assessment in assessments {
            let Level::Raised(severity) = assessment.level else { continue };
            let transition = match self.open.iter_mut().find(|alert| alert.rule == assessment.rule) {
                None => {
                    self.open.push(OpenAlert::new(subject, assessment, severity, now));
                    Transition::Opened
                }
                Some(alert) if severity > alert.severity => {
                    alert.severity = severity;
                    Transition::Escalated
                }
                Some(_) => continue,
            };
            let alert = self.open.iter().find(|alert| alert.rule == assessment.rule);
            self.outbox.extend(alert.and_then(|alert| message(transition, subject, alert, Some(assessment), now)));
        }
    }

    /// Ends all alerts of `subject` at `now`.
    pub fn end_all(&mut self, subject: &Subject, now: Timestamp) {
        self.apply(subject, &[], now);
    }

    /// Returns the severity with which the alert of the rule with the text `rule` is open.
    pub fn severity_of(&self, rule: &str) -> Option<Severity> {
        self.open.iter().find(|alert| alert.rule == rule).map(|alert| alert.severity)
    }
}

impl OutboxState for MoodState {
    fn outbox(&mut self) -> &mut Vec<String> {
        &mut self.outbox
    }
}

impl OpenAlert {
    fn new(subject: &Subject, assessment: &Assessment, severity: Severity, now: Timestamp) -> Self {
        let Assessment { rule, signal, minutes, start, .. } = assessment;
        // The time makes the ids of successive alerts differ.
        Self {
            id: outbox::short_id(&format!("{subject}#{rule}#{}", now.micros())),
            rule: rule.clone(),
            signal: signal.clone(),
            minutes: *minutes,
            severity,
            start: start.unwrap_or(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AgentId;
    use crate::moods::MoodCheck;
    use serde_json::json;

    #[test]
    fn stored_forms_are_those_of_deployed_versions() {
        let time = Timestamp::parse_rfc3339("2026-01-02T12:00:00Z").expect("a time");
        let alert = OpenAlert {
            id: "0a".to_owned(),
            rule: "r".to_owned(),
            signal: "stressed".to_owned(),
            minutes: 60,
            severity: Severity::Warning,
            start: time,
        };
        let state = MoodState { open: vec![alert], next_check: Some(time), outbox: vec!["{}".to_owned()] };
        let stored = json!({
            "open": [{ "id": "0a", "rule": "r", "signal": "stressed", "minutes": 60, "severity": "warning",
                       "start": "2026-01-02T12:00:00.000000Z" }],
            "next_check": "2026-01-02T12:00:00.000000Z", "outbox": ["{}"],
        });
        assert_eq!(json!(state), stored);
        assert_eq!(serde_json::from_value::<MoodState>(stored).ok(), Some(state));

        let subject = Subject { agent_id: AgentId::try_from("a").expect("an agent"), user_id: None };
        let check = MoodCheck { check_moods_of: subject, due: time };
        let body = r#"{"check_moods_of":{"agent_id":"a"},"due":"2026-01-02T12:00:00.000000Z"}"#;
        assert_eq!(check.to_body().as_deref(), Some(body));
        assert_eq!(MoodCheck::parse(body), Some(check));
    }
}
