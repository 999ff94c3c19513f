//! Settings of alerts: the destinations, with the secrets that sign or authorize messages.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::SdkError;
use http::Uri;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use shared::aws::StoreError;
use shared::env::is_no_webhook;
use shared::ids::AgentId;

use crate::alert::TYPES;
use crate::destination::{Destination, Filter, Format, selects};
use crate::formats::pagerduty;

/// The allowed length of a secret, in bytes:
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme>.
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;
const SECRET_PREFIX: &str = "whsec_";
/// The length of PagerDuty's integration keys, in letters and digits:
/// <https://developer.pagerduty.com/docs/send-alert-event>.
const ROUTING_KEY_LENGTH: usize = 32;
/// The maximum number of destinations. The messages for so many fit into one request to SQS.
const MAX_DESTINATIONS: usize = 10;
/// The partition key of the item with the state of a single webhook's endpoint, and the beginning of the keys of other
/// endpoints. No user id contains a `#`.
const STATE_ITEM: &str = "#webhook";
/// The fields of a filter.
const FILTER: [&str; 3] = ["types", "min_severity", "agents"];

/// The location of the settings.
#[derive(Debug)]
pub enum Source {
    /// An SSM parameter, identified by its name.
    Parameter(Client, String),
    /// The settings themselves, from the environment.
    Env(String),
}

/// The target of alerts.
#[derive(Clone)]
pub enum Target {
    /// Nothing is configured yet.
    Missing,
    /// Alerts are turned off in the settings.
    Off,
    /// These destinations receive alerts.
    Destinations(Arc<Destinations>),
}

/// The destinations of alerts, at least one.
pub struct Destinations {
    /// The destinations, each with another key.
    pub list: Vec<Arc<Destination>>,
    /// Identifies these settings without revealing any of their contents.
    pub fingerprint: String,
    is_list: bool,
}

impl Destinations {
    /// Returns the partition key of the item with the state of the endpoint of `destination`.
    pub fn state_item(&self, destination: &Destination) -> String {
        if self.is_list { format!("{STATE_ITEM}#{}", destination.key) } else { STATE_ITEM.to_owned() }
    }

    /// Returns the name of `destination` in logs: its position in the list and its type.
    pub fn label(&self, destination: &Destination) -> String {
        let position = self.list.iter().position(|one| one.key == destination.key).unwrap_or_default();
        let name = destination.format.name();
        if self.is_list { format!("[{position}] {name}") } else { name.to_owned() }
    }
}

impl Source {
    /// Reads the settings.
    ///
    /// # Errors
    /// Returns why the settings cannot be read; the message contains no part of a secret.
    pub async fn read(&self) -> Result<Target, String> {
        match self {
            Self::Env(text) => parse(text, true),
            Self::Parameter(client, name) => {
                let sent = client.get_parameter().name(name).with_decryption(true).send().await;
                let value = match sent {
                    Ok(response) => response.parameter.and_then(|parameter| parameter.value).unwrap_or_default(),
                    Err(SdkError::ServiceError(error)) if error.err().is_parameter_not_found() => {
                        return Ok(Target::Missing);
                    }
                    Err(error) => return Err(StoreError::from_sdk("ssm", "GetParameter", &error).to_string()),
                };
                parse(&value, false).map_err(|reason| format!("SSM parameter {name}: {reason}"))
            }
        }
    }
}

/// Parses one webhook, `{"url":"https://…","secrets":["whsec_…"]}`, or a list of destinations. In a local stack, a URL
/// may be a loopback address without TLS.
fn parse(text: &str, is_local: bool) -> Result<Target, String> {
    if is_no_webhook(text) {
        return Ok(Target::Off);
    }
    let is_list = text.trim_start().starts_with('[');
    let list = if is_list { destinations(text, is_local)? } else { vec![single_webhook(text, is_local)?] };
    let list = list.into_iter().map(Arc::new).collect();
    let fingerprint = hex::encode(Sha256::digest(text));
    Ok(Target::Destinations(Arc::new(Destinations { list, fingerprint, is_list })))
}

fn single_webhook(text: &str, is_local: bool) -> Result<Destination, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SettingsJson {
        url: String,
        secrets: Vec<String>,
    }
    // The message of serde may contain a secret.
    let settings: SettingsJson = serde_json::from_str(text).map_err(|error| {
        let position = format!("line {} column {}", error.line(), error.column());
        format!(
            r#"expected {{"url":"https://…","secrets":["whsec_…"]}} or a list of destinations, found an error at {position}"#
        )
    })?;
    let url = url("", &settings.url, is_local)?;
    let secrets: Vec<_> = settings.secrets.iter().map(String::as_str).collect();
    Ok(Destination::new(url, Format::Webhook(signers("", &secrets)?), Filter::default()))
}

fn destinations(text: &str, is_local: bool) -> Result<Vec<Destination>, String> {
    let items: Vec<Value> = serde_json::from_str(text).map_err(|error| {
        let position = format!("line {} column {}", error.line(), error.column());
        format!(r#"expected a list such as [{{"type":"slack","url":"https://…"}}], found an error at {position}"#)
    })?;
    if items.is_empty() {
        return Err("the list of destinations is empty: to turn alerts off, write none".to_owned());
    }
    if items.len() > MAX_DESTINATIONS {
        return Err(format!("{} destinations are too many: the maximum is {MAX_DESTINATIONS}", items.len()));
    }
    let (mut list, mut seen) = (Vec::new(), BTreeMap::new());
    for (index, item) in items.iter().enumerate() {
        let object = item.as_object().ok_or_else(|| format!("[{index}] is not an object"))?;
        let destination = Fields { object, place: format!("[{index}]") }.destination(is_local)?;
        if let Some(first) = seen.insert(destination.key.clone(), index) {
            return Err(format!("[{index}] has the same type and address as [{first}]: combine the two"));
        }
        list.push(destination);
    }
    Ok(list)
}

/// The fields of a destination. Errors name a field by its place and never contain a value.
struct Fields<'a> {
    object: &'a Map<String, Value>,
    place: String,
}

impl Fields<'_> {
    fn destination(&self, is_local: bool) -> Result<Destination, String> {
        let field = |name: &str| format!("{}.{name} ", self.place);
        let kind = self.text("type")?;
        let own: &[&str] = match kind {
            "webhook" => &["url", "secrets"],
            "slack" | "teams" => &["url"],
            "pagerduty" => &["routing_key", "url"],
            _ => return Err(format!("{}is unknown: use webhook, slack, teams or pagerduty", field("type"))),
        };
        let is_known = |name: &str| name == "type" || own.contains(&name) || FILTER.contains(&name);
        if !self.object.keys().all(|name| is_known(name)) {
            let known = [own, &FILTER].concat().join(", ");
            return Err(format!("{} has an unknown field: {kind} has type, {known}", self.place));
        }
        let address = if kind == "pagerduty" {
            self.optional_text("url")?.unwrap_or(pagerduty::ENDPOINT)
        } else {
            self.text("url")?
        };
        let url = url(&format!("{}.", self.place), address, is_local)?;
        let format = match kind {
            "webhook" => {
                let secrets = self.texts("secrets")?.ok_or_else(|| format!("{}is missing", field("secrets")))?;
                Format::Webhook(signers(&format!("{}.", self.place), &secrets)?)
            }
            "slack" => Format::Slack,
            "teams" => Format::Teams,
            _ => {
                let key = self.text("routing_key")?;
                if key.len() != ROUTING_KEY_LENGTH || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    let expected = "the integration key of Events API v2 has";
                    let name = field("routing_key");
                    return Err(format!("{name}is not valid: {expected} {ROUTING_KEY_LENGTH} letters and digits"));
                }
                Format::PagerDuty(key.to_owned())
            }
        };
        Ok(Destination::new(url, format, self.filter()?))
    }

    fn filter(&self) -> Result<Filter, String> {
        let selected = |name| match self.texts(name)? {
            Some(texts) if texts.is_empty() => {
                Err(format!("{}.{name} is empty: without the field, all alerts are selected", self.place))
            }
            texts => Ok(texts),
        };
        let types = selected("types")?;
        for (index, entry) in types.iter().flatten().enumerate() {
            if !TYPES.iter().any(|kind| selects(entry, kind)) {
                let known = TYPES.join(", ");
                return Err(format!(
                    "{}.types[{index}] selects no alert: use {known}, or a beginning with a dot, such as mood.",
                    self.place
                ));
            }
        }
        let min_severity = self.optional_text("min_severity")?.map(str::parse).transpose();
        let min_severity =
            min_severity.map_err(|_| format!("{}.min_severity must be warning or critical", self.place))?;
        let agent = |(index, &name): (usize, &&str)| {
            AgentId::try_from(name).map_err(|_| format!("{}.agents[{index}] is not a valid agent_id", self.place))
        };
        let agents = selected("agents")?.map(|names| names.iter().enumerate().map(agent).collect());
        let types = types.map(|types| types.into_iter().map(str::to_owned).collect());
        Ok(Filter { types, min_severity, agents: agents.transpose()? })
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        self.optional_text(name)?.ok_or_else(|| format!("{}.{name} is missing", self.place))
    }

    fn optional_text(&self, name: &str) -> Result<Option<&str>, String> {
        let value = self.object.get(name);
        let text = value.map(|value| value.as_str().ok_or_else(|| format!("{}.{name} is not text", self.place)));
        text.transpose()
    }

    fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, String> {
        let Some(value) = self.object.get(name) else { return Ok(None) };
        let texts = value.as_array().and_then(|values| values.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        texts.map(Some).ok_or_else(|| format!("{}.{name} is not a list of texts", self.place))
    }
}

/// Parses a URL. Errors begin with `place` and do not contain the URL, which may be a secret.
fn url(place: &str, text: &str, is_local: bool) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|_| format!("{place}url is not a valid URL"))?;
    let host = url.host().ok_or_else(|| format!("{place}url has no host"))?;
    let is_loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    match url.scheme_str() {
        Some("https") => Ok(url),
        Some("http") if is_local && is_loopback => Ok(url),
        _ => Err(format!("{place}url must begin with https://")),
    }
}

/// Returns the signers for `secrets`. Errors begin with `place`.
fn signers(place: &str, secrets: &[&str]) -> Result<Vec<standardwebhooks::Webhook>, String> {
    if secrets.is_empty() {
        return Err(format!("{place}secrets is empty: add one, so that the endpoint can verify the sender"));
    }
    let signer =
        |(index, secret): (usize, &&str)| signer(secret).map_err(|reason| format!("{place}secrets[{index}] {reason}"));
    secrets.iter().enumerate().map(signer).collect()
}

/// Returns the signer for `secret`, or an error that does not reveal the secret.
fn signer(secret: &str) -> Result<standardwebhooks::Webhook, String> {
    let signer = secret.strip_prefix(SECRET_PREFIX).and_then(|encoded| {
        let bytes = encoded.trim_end_matches('=').len() * 3 / 4;
        Some((bytes, standardwebhooks::Webhook::new(secret).ok()?))
    });
    match signer {
        None => Err(format!("is not valid: expected {SECRET_PREFIX} followed by base64")),
        Some((bytes, _)) if !SECRET_BYTES.contains(&bytes) => Err(format!(
            "has {bytes} bytes, must have {} to {}: create one with \
             `echo {SECRET_PREFIX}$(openssl rand -base64 32)`",
            SECRET_BYTES.start(),
            SECRET_BYTES.end()
        )),
        Some((_, signer)) => Ok(signer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::severity::Severity;

    const ROUTING_KEY: &str = "0123456789abcdef0123456789ABCDEF";
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn reason(text: &str, is_local: bool) -> String {
        parse(text, is_local).err().unwrap_or_else(|| panic!("accepted: {text}"))
    }

    fn read(text: &str, is_local: bool) -> Arc<Destinations> {
        match parse(text, is_local).expect("settings") {
            Target::Destinations(destinations) => destinations,
            _ => panic!("no destinations: {text:?}"),
        }
    }

    #[test]
    fn settings_accept_an_url_and_secrets() {
        let text = json!({ "url": "https://example.com/hook?token=1", "secrets": [SECRET, SECRET] }).to_string();
        let settings = read(&text, false);
        let [webhook] = &settings.list[..] else { panic!("one destination") };
        let Format::Webhook(signers) = &webhook.format else { panic!("a webhook") };
        assert_eq!((webhook.url.to_string().as_str(), signers.len()), ("https://example.com/hook?token=1", 2));
        assert_eq!(webhook.filter, Filter::default());
        assert_eq!((settings.state_item(webhook).as_str(), settings.label(webhook).as_str()), ("#webhook", "webhook"));
        assert_eq!(read(&text, true).fingerprint, settings.fingerprint);
    }

    #[test]
    fn fingerprint_changes_with_white_space() {
        let text = json!({ "url": "https://example.com/", "secrets": [SECRET] }).to_string();
        let fingerprint = |text: &str| read(text, false).fingerprint.clone();
        for changed in [format!("{text}\n"), format!(" {text}"), text.replace(',', ", ")] {
            assert_ne!(fingerprint(&changed), fingerprint(&text), "{changed:?}");
        }
    }

    #[test]
    fn settings_are_off_when_empty_or_none() {
        for text in ["", " \n", "none"] {
            assert!(matches!(parse(text, false), Ok(Target::Off)), "{text:?}");
        }
    }

    #[test]
    fn settings_allow_plain_http_only_to_loopback_of_local_stacks() {
        let settings = |url: &str| json!({ "url": url, "secrets": [SECRET] }).to_string();
        for url in ["http://127.0.0.1:9999/", "http://localhost/hook", "http://[::1]:1/"] {
            assert!(parse(&settings(url), true).is_ok(), "{url}");
            assert!(reason(&settings(url), false).contains("https://"), "{url}");
        }
        for url in
            ["http://example.com/", "ftp://example.com/", "http://127.0.0.1.example.com/", "/hook", "example.com"]
        {
            reason(&settings(url), true);
        }
    }

    #[test]
    fn secrets_have_24_to_64_bytes() {
        // Returns the base64 form of `bytes` zero bytes.
        let secret = |bytes: usize| {
            let padding = (3 - bytes % 3) % 3;
            format!("whsec_{}{}", "A".repeat(bytes.div_ceil(3) * 4 - padding), "=".repeat(padding))
        };
        let settings = |secret: String| json!({ "url": "https://example.com/", "secrets": [secret] }).to_string();
        for bytes in [0, 1, 2, 23, 65, 66] {
            let reason = reason(&settings(secret(bytes)), false);
            let expected = format!("secrets[0] has {bytes} bytes, must have 24 to 64");
            assert!(reason.contains(&expected) && reason.contains("openssl rand"), "{reason}");
        }
        for bytes in [24, 25, 26, 32, 64] {
            assert!(parse(&settings(secret(bytes)), false).is_ok(), "{bytes}");
        }
    }

    #[test]
    fn settings_errors_name_the_field_without_secrets() {
        let bad_secret = json!({ "url": "https://example.com/", "secrets": [SECRET, "s3cret value"] }).to_string();
        let unfinished = &bad_secret[..bad_secret.len() - 1];
        let unknown = r#"{"url":"https://example.com/","secrets":[],"s3cret":1}"#;
        let empty = r#"{"url":"https://example.com/","secrets":[]}"#;
        for (text, expected) in
            [(bad_secret.as_str(), "secrets[1]"), (unfinished, "column"), (unknown, "column"), (empty, "empty")]
        {
            let reason = reason(text, false);
            assert!(reason.contains(expected) && !reason.contains("s3cret") && !reason.contains("MfKQ"), "{reason}");
        }
    }

    #[test]
    fn list_has_destinations_of_each_type_with_filters() {
        let text = json!([
            { "type": "webhook", "url": "https://example.com/", "secrets": [SECRET] },
            { "type": "slack", "url": "https://hooks.slack.com/services/a", "types": ["mood.", "anomaly.episode.opened"] },
            { "type": "teams", "url": "https://example.com/", "min_severity": "critical", "agents": ["a", "b c"] },
            { "type": "pagerduty", "routing_key": ROUTING_KEY },
            { "type": "pagerduty", "routing_key": ROUTING_KEY, "url": "https://events.eu.pagerduty.com/v2/enqueue" },
        ])
        .to_string();
        let settings = read(&text, false);
        let list: Vec<_> =
            settings.list.iter().map(|one| (one.format.name(), one.url.host().expect("a host"))).collect();
        let hosts = [
            ("webhook", "example.com"),
            ("slack", "hooks.slack.com"),
            ("teams", "example.com"),
            ("pagerduty", "events.pagerduty.com"),
            ("pagerduty", "events.eu.pagerduty.com"),
        ];
        assert_eq!(list, hosts);
        let types = Some(vec!["mood.".to_owned(), "anomaly.episode.opened".to_owned()]);
        assert_eq!(settings.list[1].filter, Filter { types, ..Filter::default() });
        let agents = ["a", "b c"].map(|name| AgentId::try_from(name).expect("an agent"));
        let min_severity = Some(Severity::Critical);
        assert_eq!(settings.list[2].filter, Filter { types: None, min_severity, agents: Some(agents.into()) });
        assert_eq!(settings.list[3].filter, Filter::default());
        assert_eq!(settings.label(&settings.list[3]), "[3] pagerduty");
        let items: std::collections::BTreeSet<_> = settings.list.iter().map(|one| settings.state_item(one)).collect();
        assert!(items.len() == 5 && items.iter().all(|item| item.starts_with("#webhook#")), "{items:?}");
    }

    #[test]
    fn list_errors_name_index_and_field_without_values() {
        let slack = json!({ "type": "slack", "url": "https://hooks.slack.com/s3cret" });
        let with = |name: &str, value: Value| {
            let mut changed = slack.clone();
            changed[name] = value;
            changed
        };
        let pagerduty = |key: &str| json!({ "type": "pagerduty", "routing_key": key });
        let webhook =
            |secrets: Value| json!({ "type": "webhook", "url": "https://example.com/s3cret", "secrets": secrets });
        for (item, expected) in [
            (json!("s3cret"), "[1] is not an object"),
            (json!({ "url": "https://example.com/s3cret" }), "[1].type is missing"),
            (with("type", json!("s3cret")), "[1].type is unknown"),
            (with("type", json!(["s3cret"])), "[1].type is not text"),
            (json!({ "type": "teams" }), "[1].url is missing"),
            (with("url", json!("http://example.com/s3cret")), "[1].url must begin with https://"),
            (with("url", json!("/s3cret")), "[1].url has no host"),
            (with("url", json!("https://s3cret s3cret")), "[1].url is not a valid URL"),
            (with("s3cret", json!(1)), "[1] has an unknown field: slack has type, url, types, min_severity, agents"),
            (with("types", json!(["mood.", "s3cret"])), "[1].types[1] selects no alert"),
            (with("types", json!(["mood"])), "[1].types[0] selects no alert"),
            (with("types", json!("s3cret")), "[1].types is not a list of texts"),
            (with("types", json!([])), "[1].types is empty"),
            (with("agents", json!(["a", "s3cret/"])), "[1].agents[1] is not a valid agent_id"),
            (with("min_severity", json!("s3cret")), "[1].min_severity must be warning or critical"),
            (webhook(json!([SECRET, "whsec_s3cret"])), "[1].secrets[1] is not valid"),
            (webhook(json!([])), "[1].secrets is empty"),
            (pagerduty("s3cret"), "[1].routing_key is not valid"),
            (pagerduty(&"-".repeat(32)), "[1].routing_key is not valid"),
            (with("min_severity", json!("critical")), "[1] has the same type and address as [0]"),
        ] {
            let reason = reason(&json!([slack, item]).to_string(), true);
            assert!(reason.starts_with(expected) && !reason.contains("s3cret"), "{reason}");
        }
        let many: Vec<_> = (0..11).map(|n| with("url", json!(format!("https://example.com/{n}")))).collect();
        for (text, expected) in [
            ("[]".to_owned(), "is empty: to turn alerts off, write none"),
            (json!(many).to_string(), "11 destinations are too many"),
            (format!("[{slack}"), "line 1 column"),
        ] {
            let reason = reason(&text, true);
            assert!(reason.contains(expected) && !reason.contains("s3cret"), "{reason}");
        }
    }
}
