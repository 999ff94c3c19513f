//! The address to which an exporter sends.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use http::Uri;
use http::uri::Scheme;

/// Paths that exporters append to the address.
const APPENDED: [&str; 3] = ["/v1/traces", "/v1/logs", "/v1/metrics"];
/// The path of the API in front of the endpoints.
const API: &str = "/api";
/// The path that Langfuse's SDKs append to their address.
const LANGFUSE: &str = "/public/otel";

/// An address as in the variable `OTEL_EXPORTER_OTLP_ENDPOINT`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// The address without its mistakes.
    pub base: String,
    /// The mistakes, each with a remedy.
    pub mistakes: Vec<String>,
}

impl Address {
    /// Reads the address `given` and corrects mistakes that are certain.
    ///
    /// # Errors
    /// Fails if the text is not a URL.
    pub fn parse(given: &str) -> Result<Self> {
        let mut mistakes = Vec::new();
        let trimmed = given.trim_matches(|char: char| char.is_whitespace() || char == '"' || char == '\'');
        if trimmed != given {
            mistakes.push("the address has quotation marks or spaces around it: remove them".to_owned());
        }
        let (mut base, query) = match trimmed.find(['?', '#']) {
            Some(end) => trimmed.split_at(end),
            None => (trimmed, ""),
        };
        if !query.is_empty() {
            mistakes.push(format!("the address ends in {query:?}: remove it"));
        }
        if !base.contains("://") {
            bail!("{given:?} is not the address of an API: it begins with https://, or with http:// on this machine");
        }
        let uri: Uri = base.parse().with_context(|| format!("{given:?} is not a URL"))?;
        base = base.trim_end_matches('/');
        let mut appended = false;
        while let Some(rest) = APPENDED.iter().find_map(|path| base.strip_suffix(path)) {
            base = rest.trim_end_matches('/');
            appended = true;
        }
        if appended {
            mistakes.push(
                "exporters append /v1/traces to OTEL_EXPORTER_OTLP_ENDPOINT: remove it from the address. Only \
                 OTEL_EXPORTER_OTLP_TRACES_ENDPOINT has the whole path"
                    .to_owned(),
            );
        }
        base = base.strip_suffix(LANGFUSE).unwrap_or(base);
        while let Some(rest) = base.strip_suffix(API).filter(|rest| rest.ends_with(API)) {
            base = rest;
            mistakes.push("the address has /api twice: remove one".to_owned());
        }
        let mut base = base.to_owned();
        if uri.scheme() == Some(&Scheme::HTTP) && !is_loopback(&uri) {
            mistakes.push("http:// would send the key and the messages unencrypted: use https://".to_owned());
            base.replace_range(..Scheme::HTTP.as_str().len(), Scheme::HTTPS.as_str());
        }
        let port = uri.port_u16();
        if port == Some(4317) || port == Some(4318) {
            mistakes.push(format!(
                "the port {} is the one of an OpenTelemetry Collector: give the stack's own address",
                port.unwrap_or_default()
            ));
        }
        Ok(Self { base, mistakes })
    }

    /// Returns the address at which the API may be instead.
    pub fn alternative(&self) -> Option<String> {
        (!self.base.ends_with(API)).then(|| format!("{}{API}", self.base))
    }
}

/// Returns whether `base` is on this machine.
pub(super) fn is_local(base: &str) -> bool {
    base.parse::<Uri>().is_ok_and(|uri| is_loopback(&uri))
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_addresses_are_kept() {
        for (given, base) in [
            (
                "https://x.execute-api.eu-central-1.amazonaws.com/api",
                "https://x.execute-api.eu-central-1.amazonaws.com/api",
            ),
            ("http://127.0.0.1:8080/api/", "http://127.0.0.1:8080/api"),
            ("http://localhost:8080/api", "http://localhost:8080/api"),
            ("http://[::1]:8080/api", "http://[::1]:8080/api"),
            ("https://signals.example.com/api/public/otel", "https://signals.example.com/api"),
        ] {
            let address = Address::parse(given).expect("an address");
            assert_eq!(address, Address { base: base.to_owned(), mistakes: Vec::new() }, "{given}");
        }
    }

    #[test]
    fn mistakes_are_corrected_and_explained() {
        for (given, base, mistakes) in [
            ("https://a.example/api/v1/traces", "https://a.example/api", &["exporters append /v1/traces"][..]),
            ("https://a.example/api/v1/traces/v1/traces/", "https://a.example/api", &["exporters append"]),
            ("https://a.example/api/v1/logs", "https://a.example/api", &["exporters append"]),
            ("https://a.example/api/api", "https://a.example/api", &["/api twice"]),
            ("http://a.example/api", "https://a.example/api", &["use https://"]),
            ("http://127.evil.example/api", "https://127.evil.example/api", &["use https://"]),
            ("\"https://a.example/api\" ", "https://a.example/api", &["quotation marks"]),
            ("https://a.example/#agent=a", "https://a.example", &["ends in \"#agent=a\""]),
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318", &["OpenTelemetry Collector"]),
            ("http://a.example/api/api/v1/traces", "https://a.example/api", &["exporters", "twice", "https"]),
        ] {
            let address = Address::parse(given).expect("an address");
            assert_eq!(address.base, base, "{given}");
            assert_eq!(address.mistakes.len(), mistakes.len(), "{given}: {:?}", address.mistakes);
            for (mistake, expected) in address.mistakes.iter().zip(mistakes) {
                assert!(mistake.contains(expected), "{given}: {mistake}");
            }
        }
    }

    #[test]
    fn texts_that_are_not_urls_are_rejected() {
        for given in ["", "127.0.0.1:8080/api", "signals.example.com", "https://", "https://a b/api"] {
            let error = Address::parse(given).expect_err("an error").to_string();
            assert!(error.contains(&format!("{given:?} is not")), "{error}");
        }
    }

    #[test]
    fn alternative_has_the_path_of_the_api() {
        let alternative = |given| Address::parse(given).expect("an address").alternative();
        assert_eq!(alternative("https://a.example/"), Some("https://a.example/api".to_owned()));
        assert_eq!(alternative("https://a.example/api"), None);
    }
}
