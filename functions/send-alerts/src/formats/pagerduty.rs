//! Events of PagerDuty's Events API v2.
//!
//! Source: <https://developer.pagerduty.com/docs/send-alert-event>, also as
//! <https://github.com/PagerDuty/developer-docs/blob/main/docs/events-API-v2/02-Trigger-Events.md>.

use serde_json::{Value, json};
use shared::severity::Severity;

use super::LINK_TEXT;
use crate::alert::Alert;
use crate::summary::{Summary, truncated};

/// The endpoint of accounts in the US.
pub const ENDPOINT: &str = "https://events.pagerduty.com/v2/enqueue";

/// The maximum lengths of fields, in characters.
const MAX_SUMMARY: usize = 1_024;
const MAX_DEDUP_KEY: usize = 255;
/// The API sets no limit for the source. Agents are listed completely in the details.
const MAX_SOURCE: usize = 255;

/// Returns the event about `alert` for the integration with `routing_key`. All alerts about one mood or one episode have
/// the same key, so that PagerDuty shows one incident. A recovery resolves the incident.
pub fn event(alert: &Alert, summary: &Summary, routing_key: &str) -> Value {
    let dedup_key = alert.text("alert_id").or_else(|| alert.text("episode_id")).unwrap_or(&alert.id);
    let dedup_key = truncated(dedup_key, MAX_DEDUP_KEY);
    if summary.is_recovery {
        return json!({ "routing_key": routing_key, "event_action": "resolve", "dedup_key": dedup_key });
    }
    let agents = alert.agents();
    let source = if agents.is_empty() { "signals".to_owned() } else { truncated(&agents.join(", "), MAX_SOURCE) };
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "client": "Signals",
        "payload": {
            "summary": truncated(&summary.title, MAX_SUMMARY),
            "source": source,
            "severity": severity(summary.severity),
            "class": if alert.kind.is_empty() { "alert" } else { &alert.kind },
            "custom_details": alert.data(),
        },
    });
    if let Some(start) = alert.start() {
        event["payload"]["timestamp"] = json!(start);
    }
    if let Some(link) = &summary.link {
        event["client_url"] = json!(link);
        event["links"] = json!([{ "href": link, "text": LINK_TEXT }]);
    }
    event
}

/// Returns PagerDuty's name of a severity. Alerts without severity, such as tests, are information.
fn severity(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Critical) => "critical",
        Some(Severity::Warning) => "warning",
        None => "info",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::tests::{alert, episode, mood};
    use crate::alert::{EPISODE_ESCALATED, EPISODE_OPENED, MOOD_ESCALATED, MOOD_OPENED, MOOD_RECOVERED};
    use crate::summary::tests::summary;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn event_of(value: &Value) -> Value {
        event(&alert(value), &summary(value), KEY)
    }

    #[test]
    fn episode_triggers_one_incident() {
        let value = episode(EPISODE_OPENED);
        let link = "https://d1.cloudfront.net/#agent=billing&user=maria&range=24h";
        assert_eq!(
            event_of(&value),
            json!({
                "routing_key": KEY, "event_action": "trigger", "dedup_key": "08c6e51cc30f0f3f333a",
                "client": "Signals", "client_url": link, "links": [{ "href": link, "text": "Open the dashboard" }],
                "payload": {
                    "summary": "User maria sent too many events to 2 agents.", "source": "billing, support",
                    "severity": "critical", "class": "anomaly.episode.opened",
                    "timestamp": "2026-01-02T12:00:00.000000Z", "custom_details": value["data"],
                },
            })
        );
        assert_eq!(event_of(&episode(EPISODE_ESCALATED))["dedup_key"], "08c6e51cc30f0f3f333a");
    }

    #[test]
    fn mood_is_resolved_with_the_key_that_triggered_it() {
        let events = [MOOD_OPENED, MOOD_ESCALATED, MOOD_RECOVERED].map(|kind| event_of(&mood(kind)));
        assert_eq!(events.each_ref().map(|event| event["event_action"].clone()), ["trigger", "trigger", "resolve"]);
        assert!(events.iter().all(|event| event["dedup_key"] == "0123456789abcdef0123"), "{events:?}");
        assert_eq!(events[0]["payload"]["severity"], "warning");
    }

    #[test]
    fn unknown_alert_has_the_required_fields() {
        let event = event_of(&json!({ "id": "a".repeat(300) }));
        assert_eq!(event["payload"]["severity"], "info");
        assert_eq!((&event["payload"]["source"], &event["payload"]["class"]), (&json!("signals"), &json!("alert")));
        assert_eq!(event["dedup_key"].as_str().expect("a key").chars().count(), MAX_DEDUP_KEY);
    }
}
