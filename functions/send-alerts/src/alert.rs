//! Alerts as the queue contains them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use shared::severity::Severity;
use shared::time::Timestamp;

/// The type of a message of `signals alert test`.
pub const TEST: &str = "test";
/// The type of an alert about an episode that has begun.
pub const EPISODE_OPENED: &str = "anomaly.episode.opened";
/// The type of an alert about an episode that has become critical.
pub const EPISODE_ESCALATED: &str = "anomaly.episode.escalated";
/// The type of an alert about a mood that has begun.
pub const MOOD_OPENED: &str = "mood.opened";
/// The type of an alert about a mood that has become critical.
pub const MOOD_ESCALATED: &str = "mood.escalated";
/// The type of an alert about a mood that has ended.
pub const MOOD_RECOVERED: &str = "mood.recovered";
/// The types that a filter of a destination can select.
pub const TYPES: [&str; 5] = [EPISODE_OPENED, EPISODE_ESCALATED, MOOD_OPENED, MOOD_ESCALATED, MOOD_RECOVERED];

/// An alert. Only the id is required: types and fields of later versions are delivered too.
#[derive(Clone, Debug)]
pub struct Alert {
    /// The JSON text of the alert, which is the request body of webhooks.
    pub text: String,
    /// The id, which is the same for every attempt.
    pub id: String,
    /// The type, or an empty text.
    pub kind: String,
    /// The time of the cause.
    pub timestamp: Option<Timestamp>,
    data: Map<String, Value>,
}

impl Alert {
    /// Parses an alert. Returns `None` if `text` has no valid id.
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let (id, kind) = (field("id"), field("type"));
        let is_valid = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
        let timestamp = Timestamp::parse_rfc3339(&field("timestamp"));
        let data = value["data"].as_object().cloned().unwrap_or_default();
        is_valid.then(|| Self { text: text.to_owned(), id, kind, timestamp, data })
    }

    /// Returns the field `name` of the alert's data.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.data.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Returns the texts in the field `name` of the alert's data.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        let values = self.data.get(name).and_then(Value::as_array).into_iter().flatten();
        values.filter_map(Value::as_str).collect()
    }

    /// Returns the number in the field `name` of the alert's data.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.data.get(name)?.as_f64()
    }

    /// Returns the data, whose fields depend on the type.
    pub fn data(&self) -> &Map<String, Value> {
        &self.data
    }

    /// Returns the agents of the alert. An episode names at most ten.
    pub fn agents(&self) -> Vec<&str> {
        self.text("agent_id").map_or_else(|| self.texts("agent_ids"), |agent| vec![agent])
    }

    /// Returns the user, unless the alert is about all users of an agent.
    pub fn user(&self) -> Option<&str> {
        self.text("user_id")
    }

    /// Returns the severity, if the alert has one.
    pub fn severity(&self) -> Option<Severity> {
        self.text("severity")?.parse().ok()
    }

    /// Returns the time at which the cause of the alert began.
    pub fn start(&self) -> Option<Timestamp> {
        self.text("start").and_then(Timestamp::parse_rfc3339).or(self.timestamp)
    }
}

/// The destination of a message that is for one of several destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The key of the destination.
    pub destination: String,
    /// The keys of all destinations in the settings from which the message was made.
    pub known: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct RoutedJson {
    destination: String,
    known: Vec<String>,
    alert: Box<RawValue>,
}

/// Parses a message of the queue: an alert, or an alert with its destination. Returns `None` if the alert has no valid id.
pub fn parse_message(text: &str) -> Option<(Alert, Option<Route>)> {
    match serde_json::from_str::<RoutedJson>(text) {
        Ok(RoutedJson { destination, known, alert }) => {
            Some((Alert::parse(alert.get())?, Some(Route { destination, known })))
        }
        Err(_) => Some((Alert::parse(text)?, None)),
    }
}

/// Returns the message with `alert` for the destination of `route`.
pub fn routed_message(alert: &Alert, Route { destination, known }: Route) -> serde_json::Result<String> {
    serde_json::to_string(&RoutedJson { destination, known, alert: RawValue::from_string(alert.text.clone())? })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn alert(value: &Value) -> Alert {
        Alert::parse(&value.to_string()).expect("an alert")
    }

    pub(crate) fn episode(kind: &str) -> Value {
        json!({
            "id": "ep_08c6e51cc30f0f3f333a_escalated", "type": kind, "timestamp": "2026-01-02T12:00:01.000000Z",
            "data": {
                "episode_id": "08c6e51cc30f0f3f333a", "user_id": "maria", "agent_ids": ["billing", "support"],
                "severity": "critical", "rules": ["tick:10"], "start": "2026-01-02T12:00:00.000000Z",
                "end": "2026-01-02T12:00:01.000000Z", "peak_count": 16
            }
        })
    }

    pub(crate) fn mood(kind: &str) -> Value {
        json!({
            "id": "md_0123456789abcdef0123_opened", "type": kind, "timestamp": "2026-01-02T12:00:01.000000Z",
            "data": {
                "alert_id": "0123456789abcdef0123", "agent_id": "support", "signal": "stressed", "severity": "warning",
                "rule": "stressed above 30 % in 60 minutes", "minutes": 60, "start": "2026-01-02T11:30:00.000000Z",
                "share": 0.42, "interactions": 50, "users": 7
            }
        })
    }

    #[test]
    fn routed_message_keeps_the_text_of_the_alert() {
        for text in [
            r#"{ "id" : "a", "type": "later.type", "data": {"n": 1.50, "s": "\ud83d\ude00\ufffe&日"} }"#.to_owned(),
            episode(EPISODE_OPENED).to_string(),
        ] {
            let route = Route { destination: "k1".to_owned(), known: vec!["k1".to_owned(), "k2".to_owned()] };
            let (plain, none) = parse_message(&text).expect("an alert");
            assert_eq!((plain.text.as_str(), none), (text.as_str(), None));
            let routed = routed_message(&plain, route.clone()).expect("a message");
            let (read, found) = parse_message(&routed).expect("an alert");
            assert_eq!((read.text, read.id, found), (text, plain.id, Some(route)));
        }
    }

    #[test]
    fn message_needs_nothing_but_an_id() {
        for text in ["", "{\"nothing\":", "{}", "[]", r#"{"id":""}"#, r#"{"id":"a b"}"#, r#"{"id":1}"#, "\"x\""] {
            assert!(parse_message(text).is_none(), "{text}");
        }
        let (alert, _) = parse_message(r#"{"id":"a","type":7,"timestamp":"noon","data":[1]}"#).expect("an alert");
        assert_eq!((alert.kind.as_str(), alert.timestamp, alert.severity()), ("", None, None));
        assert!(alert.agents().is_empty() && alert.user().is_none() && alert.start().is_none());
    }
}
