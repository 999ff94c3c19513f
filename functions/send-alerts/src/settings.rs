//! Webhook settings: the endpoint of alerts and the secrets that sign them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::SdkError;
use http::Uri;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shared::aws::StoreError;
use shared::env::is_no_webhook;

/// The allowed length of a secret, in bytes:
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme>.
const SECRET_BYTES: RangeInclusive<usize> = 24..=64;
const SECRET_PREFIX: &str = "whsec_";

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
    /// No webhook is configured yet.
    Missing,
    /// Alerts are turned off in the settings.
    Off,
    /// The endpoint has unsubscribed.
    Unsubscribed,
    /// This webhook receives alerts.
    Webhook(Arc<Webhook>),
}

/// An endpoint that receives alerts.
pub struct Webhook {
    /// The address of the endpoint.
    pub url: Uri,
    /// The signers, one per secret.
    pub signers: Vec<standardwebhooks::Webhook>,
    /// Identifies these settings without revealing any of their contents.
    pub fingerprint: String,
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

/// Parses `{"url":"https://…","secrets":["whsec_…"]}`. In a local stack, the URL may be a loopback address without TLS.
fn parse(text: &str, is_local: bool) -> Result<Target, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SettingsJson {
        url: String,
        secrets: Vec<String>,
    }
    if is_no_webhook(text) {
        return Ok(Target::Off);
    }
    // The message of serde may contain a secret.
    let settings: SettingsJson = serde_json::from_str(text).map_err(|error| {
        let position = format!("line {} column {}", error.line(), error.column());
        format!(r#"expected {{"url":"https://…","secrets":["whsec_…"]}}, found an error at {position}"#)
    })?;
    let url: Uri = settings.url.parse().map_err(|_| "url is not a valid URL".to_owned())?;
    let host = url.host().ok_or("url has no host")?;
    let is_loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    match url.scheme_str() {
        Some("https") => {}
        Some("http") if is_local && is_loopback => {}
        _ => return Err("url must begin with https://".to_owned()),
    }
    if settings.secrets.is_empty() {
        return Err("secrets is empty: add one, so that the endpoint can verify the sender".to_owned());
    }
    let signer =
        |(index, secret): (usize, &String)| signer(secret).map_err(|reason| format!("secrets[{index}] {reason}"));
    let signers = settings.secrets.iter().enumerate().map(signer).collect::<Result<_, _>>()?;
    let fingerprint = hex::encode(Sha256::digest(text));
    Ok(Target::Webhook(Arc::new(Webhook { url, signers, fingerprint })))
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
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn reason(text: &str, is_local: bool) -> String {
        parse(text, is_local).err().unwrap_or_else(|| panic!("accepted: {text}"))
    }

    fn webhook(text: &str, is_local: bool) -> Arc<Webhook> {
        match parse(text, is_local).expect("settings") {
            Target::Webhook(webhook) => webhook,
            _ => panic!("no webhook: {text:?}"),
        }
    }

    #[test]
    fn settings_accept_an_url_and_secrets() {
        let text = json!({ "url": "https://example.com/hook?token=1", "secrets": [SECRET, SECRET] }).to_string();
        let read = webhook(&text, false);
        assert_eq!((read.url.to_string().as_str(), read.signers.len()), ("https://example.com/hook?token=1", 2));
        assert_eq!(webhook(&text, true).fingerprint, read.fingerprint);
    }

    #[test]
    fn fingerprint_changes_with_white_space() {
        let text = json!({ "url": "https://example.com/", "secrets": [SECRET] }).to_string();
        let fingerprint = |text: &str| webhook(text, false).fingerprint.clone();
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
}
