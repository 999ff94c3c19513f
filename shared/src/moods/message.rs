//! Text of an alert of moods.

use serde::Serialize;

use super::check::Subject;
use super::rule::{Assessment, Facts};
use super::state::OpenAlert;
use crate::alerts::webhook;
use crate::severity::Severity;
use crate::time::Timestamp;

/// Change of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Transition {
    /// The alert has opened.
    Opened,
    /// The alert has become critical.
    Escalated,
    /// The alert has ended.
    Recovered,
}

#[derive(Serialize)]
struct Data<'a> {
    alert_id: &'a str,
    #[serde(flatten)]
    subject: &'a Subject,
    signal: &'a str,
    severity: Severity,
    rule: &'a str,
    minutes: u64,
    start: Timestamp,
    #[serde(flatten)]
    facts: Option<&'a Facts>,
}

/// Returns the message about the `transition` of `alert` of `subject` at `now`. `assessment` is missing if the rule was removed.
pub fn message(
    transition: Transition,
    subject: &Subject,
    alert: &OpenAlert,
    assessment: Option<&Assessment>,
    now: Timestamp,
) -> Option<String> {
    let OpenAlert { id, rule, signal, minutes, severity, start } = alert;
    let facts = assessment.map(|assessment| &assessment.facts);
    let (severity, minutes, start) = (*severity, *minutes, *start);
    let data = Data { alert_id: id, subject, signal, severity, rule, minutes, start, facts };
    webhook::text(format!("md_{id}_{transition}"), format!("mood.{transition}"), now, data)
}
