//! Explanations of responses to an export.

use http::StatusCode;
use http::header::{CONTENT_TYPE, LOCATION};
use serde_json::Value;
use shared::auth::ApiKey;

use super::address::is_local;
use super::probe::Form;
use crate::client::{Failure, Response};

/// The result of an export.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The stack has read the export.
    Accepted {
        /// The stack's message about calls that are not recorded.
        skipped: Option<String>,
    },
    /// The export has had no effect.
    Rejected {
        /// The check that fails.
        check: &'static str,
        /// The reason and a remedy.
        reason: String,
        /// `true` if something other than the API responded.
        is_elsewhere: bool,
    },
}

/// Explains the response to an export in `form` to the API at `base`, with the API key `key`.
pub(super) fn answer(response: Result<Response, Failure>, form: Form, base: &str, key: &str) -> Answer {
    let rejected = |check, reason: String| Answer::Rejected { check, reason, is_elsewhere: false };
    let response = match response {
        Ok(response) => response,
        Err(failure) => return rejected("reachable", unreachable(&failure, base)),
    };
    if !is_from_api(&response, form) {
        return Answer::Rejected { check: "reachable", reason: elsewhere(&response, base), is_elsewhere: true };
    }
    match response.status {
        StatusCode::OK => match form.skipped(&response.body) {
            Ok(skipped) => Answer::Accepted { skipped },
            Err(error) => rejected(form.name(), format!("the response is not one to an export ({error}): {response}")),
        },
        StatusCode::UNAUTHORIZED if ApiKey::parse(key).is_none() => rejected(
            "key",
            "the key is not complete: sig_ and 43 letters and digits, without quotation marks or spaces".to_owned(),
        ),
        StatusCode::UNAUTHORIZED => rejected(
            "key",
            "the stack does not know the key: it was revoked, has expired, or is of another stack. `signals key list` \
             shows the keys"
                .to_owned(),
        ),
        StatusCode::FORBIDDEN => rejected(
            "key",
            "the key has no scope logs:write: create one with `signals key create --name NAME --scopes logs:write \
             --agents AGENT`"
                .to_owned(),
        ),
        status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => rejected(
            "reachable",
            format!("the stack cannot store the export now, and exporters would send it again: {response}"),
        ),
        _ => rejected(form.name(), format!("the stack rejects the export: {response}")),
    }
}

/// Returns whether a response to an export in `form` is from the API, and not from a web page, another server or the
/// gateway in front of the API.
pub(super) fn is_from_api(response: &Response, form: Form) -> bool {
    let kind = response.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match response.status {
        StatusCode::OK => kind == form.content_type(),
        // API Gateway's own responses have a `message` instead.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            serde_json::from_slice::<Value>(&response.body).is_ok_and(|body| body.get("detail").is_some())
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => false,
        status => !status.is_redirection(),
    }
}

fn elsewhere(response: &Response, base: &str) -> String {
    let location = response.headers.get(LOCATION).and_then(|location| location.to_str().ok());
    match location {
        Some(location) => format!("the server redirects to {location}, and exporters do not follow: use that address"),
        None => format!("{base}/v1/traces is not an endpoint of Signals: {response}"),
    }
}

fn unreachable(failure: &Failure, base: &str) -> String {
    let is_https = base.starts_with("https://");
    let remedy = match failure {
        Failure::ConnectionRefused => {
            return format!("nothing listens at {base}: is the stack running, and is the port right?");
        }
        Failure::Timeout => "is the address right, and does a firewall allow the connection?",
        Failure::Other(_) if is_https && is_local(base) => "the local stack has no TLS: use http://",
        Failure::Other(_) if is_https => "are the name of the host and its certificate right?",
        Failure::Other(_) => "does the server expect https://?",
    };
    format!("no response from {base} ({failure}): {remedy}")
}

/// Explains why the stack has not recorded the turn of the probe.
pub(super) fn skipped(message: &str, agent: &str) -> String {
    let remedy = if message.contains("forbidden") {
        format!(". The probe's agent is {agent}: name an agent of the key with --agent")
    } else {
        String::new()
    };
    format!("accepted, but the turn is not recorded: {message}{remedy}")
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use shared::otlp::{Encoding, response as otlp_response};

    use super::*;

    const BASE: &str = "https://a.example/api";
    const KEY: &str = "sig_0000000000000000000000000000000000000000000";

    fn response(status: u16, headers: &[(&'static str, &'static str)], body: impl Into<Vec<u8>>) -> Response {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        Response {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: headers.collect::<HeaderMap>(),
            body: body.into().into(),
        }
    }

    /// Returns the check, the reason, and whether something else responded.
    fn rejection(result: Result<Response, Failure>, base: &str, key: &str) -> (&'static str, String, bool) {
        match answer(result, Form::Protobuf, base, key) {
            Answer::Rejected { check, reason, is_elsewhere } => (check, reason, is_elsewhere),
            accepted @ Answer::Accepted { .. } => panic!("{accepted:?}"),
        }
    }

    #[test]
    fn accepted_export_names_skipped_calls() {
        let none = otlp_response::traces(Encoding::Protobuf, &otlp_response::Rejected::default());
        let kind = ("content-type", "application/x-protobuf");
        let accepted = answer(Ok(response(200, &[kind], none)), Form::Protobuf, BASE, KEY);
        assert_eq!(accepted, Answer::Accepted { skipped: None });
        let some = otlp_response::Rejected { count: 1, message: "1 model calls forbidden".to_owned() };
        let body = otlp_response::traces(Encoding::Protobuf, &some);
        let accepted = answer(Ok(response(200, &[kind], body)), Form::Protobuf, BASE, KEY);
        assert_eq!(accepted, Answer::Accepted { skipped: Some("1 model calls forbidden".to_owned()) });
        let text = skipped("1 model calls forbidden", "otlp-doctor");
        assert!(text.contains("otlp-doctor") && text.contains("--agent"), "{text}");
    }

    #[test]
    fn rejections_name_the_check_and_the_remedy() {
        let json = ("content-type", "application/json");
        let detail = |status, detail| Ok(response(status, &[json], format!("{{\"detail\":\"{detail}\"}}")));
        for (result, key, check, expected, is_elsewhere) in [
            (detail(401, "Unauthorized"), KEY, "key", "revoked", false),
            (detail(401, "Unauthorized"), "sig_short", "key", "not complete", false),
            (detail(403, "Forbidden"), KEY, "key", "logs:write", false),
            (detail(415, "no"), KEY, "protobuf", "415", false),
            (detail(503, "busy"), KEY, "reachable", "send it again", false),
            (Ok(response(404, &[json], "{\"message\":\"Not Found\"}")), KEY, "reachable", "not an endpoint", true),
            (Ok(response(403, &[], "<html>")), KEY, "reachable", "not an endpoint", true),
            (Ok(response(200, &[("content-type", "text/html")], "<html>")), KEY, "reachable", "not an endpoint", true),
            (
                Ok(response(301, &[("location", "https://b.example/")], "")),
                KEY,
                "reachable",
                "https://b.example/",
                true,
            ),
            (Err(Failure::ConnectionRefused), KEY, "reachable", "is the stack running", false),
            (Err(Failure::Timeout), KEY, "reachable", "firewall", false),
        ] {
            let (found, reason, elsewhere) = rejection(result, BASE, key);
            assert_eq!((found, elsewhere), (check, is_elsewhere), "{reason}");
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn failed_connections_are_explained_by_the_scheme() {
        let reason = |base| rejection(Err(Failure::Other("tls".to_owned())), base, KEY).1;
        assert!(reason("https://127.0.0.1:8080/api").contains("use http://"));
        assert!(reason("https://a.example/api").contains("certificate"));
        assert!(reason("http://a.example/api").contains("expect https://"));
    }
}
