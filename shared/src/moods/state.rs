//! Decides which alerts of a subject to send: one when an alert opens, one when it becomes critical, and one when it ends.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::check::Subject;
use super::message::{Transition, message};
use super::rule::{Assessment, Level};
use crate::alerts::outbox::OutboxState;
use crate::severity::Severity;
use crate::time::Timestamp;

/// Id length of 80 bits, enough to rule out collisions.
const ID_BYTES: usize = 10;

/// Alerts of a subject. Their JSON form is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoodState {
    /// Open alerts.
    pub open: Vec<OpenAlert>,
    /// Time of the check that evaluates the rules again. Present exactly while an alert is open.
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
        // An alert whose rule was removed from the configuration ends too.
        let assessment = |alert: &OpenAlert| assessments.iter().find(|assessment| assessment.rule == alert.rule);
        let has_ended = |alert: &OpenAlert| assessment(alert).is_none_or(|found| found.level == Level::Calm);
        let (ended, open) = self.open.drain(..).partition(has_ended);
        self.open = open;
        let ended: Vec<OpenAlert> = ended;
        let recovered = |alert| message(Transition::Recovered, subject, alert, assessment(alert), now);
        self.outbox.extend(ended.iter().filter_map(recovered));
    }

    /// Returns whether no further interaction can open or escalate an alert of the rules with the texts `rules`.
    pub fn is_critical_for<'a>(&self, mut rules: impl Iterator<Item = &'a str>) -> bool {
        rules.all(|rule| self.open.iter().any(|alert| alert.rule == rule && alert.severity == Severity::Critical))
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
        let hash = Sha256::digest(format!("{subject}#{rule}#{}", now.micros()));
        Self {
            id: hex::encode(&hash[..ID_BYTES]),
            rule: rule.clone(),
            signal: signal.clone(),
            minutes: *minutes,
            severity,
            start: start.unwrap_or(now),
        }
    }
}
