//! Destinations of alerts, with their filters and requests.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Request, Uri};
use http_body_util::Full;
use sha2::{Digest, Sha256};
use shared::ids::AgentId;
use shared::severity::Severity;
use shared::time::Timestamp;

use crate::alert::{Alert, MOOD_RECOVERED, TEST};
use crate::formats::{pagerduty, slack, teams};
use crate::summary::Summary;

const AGENT: &str = concat!("Signals/", env!("CARGO_PKG_VERSION"));
/// The number of bytes of a destination's key.
const KEY_BYTES: usize = 8;

/// A destination of alerts.
pub struct Destination {
    /// Identifies the destination without revealing its address. It stays the same when secrets or filters change.
    pub key: String,
    /// The address.
    pub url: Uri,
    /// The format of the messages.
    pub format: Format,
    /// Selects the alerts.
    pub filter: Filter,
}

/// The format of the messages to a destination.
pub enum Format {
    /// The alert itself, signed by each of the signers.
    Webhook(Vec<standardwebhooks::Webhook>),
    /// A message of Slack.
    Slack,
    /// An Adaptive Card for Microsoft Teams.
    Teams,
    /// An event for PagerDuty, with the key of an integration.
    PagerDuty(String),
}

impl Format {
    /// Returns the name in settings and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::PagerDuty(_) => "pagerduty",
        }
    }
}

/// Selects alerts. A criterion that is absent selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Types, and beginnings of types that end with a dot.
    pub types: Option<Vec<String>>,
    /// The minimum severity.
    pub min_severity: Option<Severity>,
    /// Agents, one of which the alert must be about.
    pub agents: Option<BTreeSet<AgentId>>,
}

/// Returns whether the entry `selected` of a filter selects alerts of the type `kind`.
pub fn selects(selected: &str, kind: &str) -> bool {
    if selected.ends_with('.') { kind.starts_with(selected) } else { kind == selected }
}

impl Destination {
    /// Creates a destination.
    pub fn new(url: Uri, format: Format, filter: Filter) -> Self {
        let secret = if let Format::PagerDuty(routing_key) = &format { routing_key } else { "" };
        let digest = Sha256::digest(format!("{}\n{url}\n{secret}", format.name()));
        Self { key: hex::encode(&digest[..KEY_BYTES]), url, format, filter }
    }

    /// Returns whether the destination receives `alert`. A test is for every destination. An alert without severity or
    /// agents cannot be compared and is received.
    pub fn receives(&self, alert: &Alert) -> bool {
        let Filter { types, min_severity, agents } = &self.filter;
        if alert.kind == TEST {
            return true;
        }
        // PagerDuty ignores a recovery whose incident does not exist. Without the recovery, an incident stays open.
        let is_resolution = matches!(self.format, Format::PagerDuty(_)) && alert.kind == MOOD_RECOVERED;
        let has_severity = match (min_severity, alert.severity()) {
            (Some(min), Some(severity)) => severity >= *min || is_resolution,
            _ => true,
        };
        let alert_agents = alert.agents();
        let has_agent = agents.as_ref().is_none_or(|agents| {
            alert_agents.is_empty() || agents.iter().any(|agent| alert_agents.contains(&agent.as_str()))
        });
        let has_type = types.as_ref().is_none_or(|types| types.iter().any(|selected| selects(selected, &alert.kind)));
        has_type && has_severity && has_agent
    }

    /// Returns the request that delivers `alert` at the time `now`. Messages for people link to `dashboard`.
    pub fn request(&self, alert: &Alert, dashboard: Option<&str>, now: Timestamp) -> Option<Request<Full<Bytes>>> {
        let request =
            Request::post(self.url.clone()).header(CONTENT_TYPE, "application/json").header(USER_AGENT, AGENT);
        let summary = || Summary::new(alert, dashboard, now);
        let (request, body) = match &self.format {
            Format::Webhook(signers) => {
                let body = alert.text.clone();
                let signatures =
                    signers.iter().map(|signer| signer.sign(&alert.id, now.seconds(), body.as_bytes()).ok());
                let signatures = signatures.collect::<Option<Vec<_>>>()?.join(" ");
                let request = request
                    .header("webhook-id", &alert.id)
                    .header("webhook-timestamp", now.seconds())
                    .header("webhook-signature", signatures);
                (request, body)
            }
            Format::Slack => (request, slack::message(&summary()).to_string()),
            Format::Teams => (request, teams::message(&summary()).to_string()),
            Format::PagerDuty(routing_key) => (request, pagerduty::event(alert, &summary(), routing_key).to_string()),
        };
        request.body(Full::new(Bytes::from(body))).ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::alert::tests::{alert, episode, mood};
    use crate::alert::{EPISODE_ESCALATED, EPISODE_OPENED, MOOD_ESCALATED, MOOD_OPENED};
    use serde_json::{Value, json};

    pub(crate) fn destination(url: &str, format: Format, filter: Filter) -> Destination {
        Destination::new(url.parse().expect("a URL"), format, filter)
    }

    fn receives(filter: &Filter, value: &Value) -> bool {
        destination("https://example.com/", Format::Slack, filter.clone()).receives(&alert(value))
    }

    #[test]
    fn filter_selects_types_and_beginnings_of_types() {
        let filter = |types: &[&str]| Filter {
            types: Some(types.iter().map(|&kind| kind.to_owned()).collect()),
            ..Filter::default()
        };
        let all = [
            episode(EPISODE_OPENED),
            episode(EPISODE_ESCALATED),
            mood(MOOD_OPENED),
            mood(MOOD_RECOVERED),
            json!({ "id": "a", "type": "moody" }),
            json!({ "id": "a", "type": "test" }),
        ];
        for (types, expected) in [
            (&["mood."][..], [false, false, true, true, false, true]),
            (&["anomaly."], [true, true, false, false, false, true]),
            (&["anomaly.episode.opened", "mood.recovered"], [true, false, false, true, false, true]),
        ] {
            assert_eq!(all.each_ref().map(|value| receives(&filter(types), value)), expected, "{types:?}");
        }
        assert!(all.iter().all(|value| receives(&Filter::default(), value)));
    }

    #[test]
    fn filter_compares_severity_and_agents_if_the_alert_has_them() {
        let critical = Filter { min_severity: Some(Severity::Critical), ..Filter::default() };
        let agents = |names: &[&str]| Filter {
            agents: Some(names.iter().map(|&name| name.try_into().expect("an agent")).collect()),
            ..Filter::default()
        };
        let later = json!({ "id": "a", "type": "later.type" });
        assert_eq!(
            [episode(EPISODE_OPENED), mood(MOOD_OPENED), later.clone()].map(|value| receives(&critical, &value)),
            [true, false, true]
        );
        for (names, expected) in [
            (&["support"][..], [true, true, true]),
            (&["billing"], [true, false, true]),
            (&["x"], [false, false, true]),
        ] {
            let found = [episode(EPISODE_OPENED), mood(MOOD_OPENED), later.clone()];
            assert_eq!(found.map(|value| receives(&agents(names), &value)), expected, "{names:?}");
        }
    }

    #[test]
    fn pagerduty_receives_recoveries_of_any_severity() {
        let filter = Filter { min_severity: Some(Severity::Critical), ..Filter::default() };
        let found = [Format::PagerDuty("k".to_owned()), Format::Slack].map(|format| {
            let destination = destination("https://example.com/", format, filter.clone());
            [MOOD_ESCALATED, MOOD_RECOVERED].map(|kind| destination.receives(&alert(&mood(kind))))
        });
        assert_eq!(found, [[false, true], [false, false]]);
    }

    #[test]
    fn key_follows_the_address_alone() {
        let key = |url: &str, format, filter| destination(url, format, filter).key;
        let critical = || Filter { min_severity: Some(Severity::Critical), ..Filter::default() };
        let slack = key("https://example.com/a", Format::Slack, Filter::default());
        assert_eq!(key("https://example.com/a", Format::Slack, critical()), slack);
        assert_ne!(key("https://example.com/b", Format::Slack, Filter::default()), slack);
        assert_ne!(key("https://example.com/a", Format::Teams, Filter::default()), slack);
        let [one, other] = ["k1", "k2"]
            .map(|routing_key| key(pagerduty::ENDPOINT, Format::PagerDuty(routing_key.to_owned()), Filter::default()));
        assert_ne!(one, other);
    }

    #[test]
    fn signature_matches_the_reference_implementation() {
        // Example of the reference implementations:
        // https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/rust/src/lib.rs
        let signer = standardwebhooks::Webhook::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let destination = destination("https://example.com/", Format::Webhook(vec![signer]), Filter::default());
        let mut alert = alert(&json!({ "id": "msg_p5jXN8AQM9LWM0D4loKWxJek" }));
        alert.text = r#"{"test": 2432232314}"#.to_owned();
        let now = Timestamp::from_millis(1_614_265_330_000).expect("a time");
        let request = destination.request(&alert, None, now).expect("a request");
        let header = |name: &str| request.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(
            (header("webhook-id").as_str(), header("webhook-timestamp").as_str()),
            ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330")
        );
    }
}
