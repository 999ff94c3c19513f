//! The benchmark's requests to each endpoint, in API Gateway's format.

use anyhow::{Result, bail};
use bytes::Bytes;
use serde_json::json;

use crate::stores::{AGENT, interaction, log_prefix};

/// The users whose logs the endpoints read, and the length of each log.
pub const LOGS: [(&str, u32); 2] = [("reader-1000", 1_000), ("reader-10000", 10_000)];
/// A user whose log contains only interactions written by the benchmark.
const WRITER: &str = "writer";
/// A user whose events cause anomalies.
const NOISY: &str = "noisy";
/// Number of events of `NOISY`: enough for some anomalies.
pub const NOISE: u32 = 30;
/// Seconds between two events, so that each is alone in its window.
const EVENT_GAP_SECONDS: u64 = 10;
/// Unix seconds of the first event. Even the last event of a run is in the past.
const FIRST_EVENT: u64 = 1_700_000_000;

/// An endpoint and its requests.
#[derive(Clone, Copy)]
pub struct Endpoint {
    /// The function's name.
    pub name: &'static str,
    method: &'static str,
    place: &'static str,
}

/// All measured endpoints.
pub const ENDPOINTS: [Endpoint; 7] = [
    Endpoint { name: "post-log", method: "POST", place: "/log" },
    Endpoint { name: "get-logs", method: "GET", place: "/logs" },
    Endpoint { name: "get-summary", method: "GET", place: "/summary" },
    Endpoint { name: "get-visualize", method: "GET", place: "/visualize" },
    POST_EVENT,
    Endpoint { name: "get-anomalies", method: "GET", place: "/anomalies" },
    Endpoint { name: "get-health", method: "GET", place: "/health" },
];

const POST_EVENT: Endpoint = Endpoint { name: "post-event", method: "POST", place: "/event" };

/// A request with an optional body.
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The complete path.
    pub path: String,
    parameters: serde_json::Value,
    /// JSON.
    pub body: Option<String>,
}

impl Endpoint {
    /// Returns the request `number`, which reads the log of `user`.
    pub fn request(&self, user: &str, number: u32) -> Request {
        let (path, parameters, body) = match self.name {
            "post-log" => (self.place.to_owned(), json!({}), Some(interaction(WRITER, number))),
            "post-event" => (self.place.to_owned(), json!({}), Some(event("calm", number))),
            "get-anomalies" => (format!("{}/{NOISY}", self.place), json!({ "user_id": NOISY }), None),
            "get-health" => (self.place.to_owned(), json!({}), None),
            _ => {
                let parameters = json!({ "agent_id": AGENT, "user_id": user });
                (format!("{}/{AGENT}/{user}", self.place), parameters, None)
            }
        };
        Request { method: self.method, path, parameters, body }
    }

    /// Returns the subject of the bare calls: the prefix of a log, or a user.
    pub fn subject(&self, user: &str) -> Result<String> {
        match self.name {
            "post-log" => log_prefix("bare-writer"),
            "post-event" => Ok("bare-calm".to_owned()),
            "get-anomalies" => Ok(NOISY.to_owned()),
            _ => log_prefix(user),
        }
    }

    /// Returns whether `status` is expected.
    pub fn expects(&self, status: u16) -> bool {
        // An empty log has no chart.
        matches!(status, 200..=299) || (status == 404 && self.name == "get-visualize")
    }

    /// Returns whether the function's response is expected.
    pub fn require(&self, answer: &[u8]) -> Result<()> {
        // Searches the runtime's text, because parsing a whole chart would take longer than drawing it.
        let status =
            answer.strip_prefix(br#"{"statusCode":"#).and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok());
        if status.and_then(|status| status.parse().ok()).is_some_and(|status| self.expects(status)) {
            return Ok(());
        }
        bail!("{} answers {}", self.name, String::from_utf8_lossy(answer))
    }

    /// Returns whether the endpoint makes AWS calls for each request.
    pub fn calls_aws(&self) -> bool {
        self.name != "get-health"
    }
}

/// Returns the request with the event `number` of `NOISY`, whose events have the same time.
pub fn noise() -> (Endpoint, Request) {
    (POST_EVENT, Request { body: Some(event(NOISY, 0)), ..POST_EVENT.request(NOISY, 0) })
}

/// Returns the event `number` of `user`.
fn event(user: &str, number: u32) -> String {
    let at = FIRST_EVENT + u64::from(number) * EVENT_GAP_SECONDS;
    json!({
        "user_id": user, "agent_id": AGENT, "signal_type": "neutral", "timestamp": at, "payload": { "score": 0.25 },
    })
    .to_string()
}

impl Request {
    /// Converts to API Gateway's payload format 2.0.
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.
    pub fn to_event(&self, api_key: &str) -> Bytes {
        let mut event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": self.path, "rawQueryString": "",
            "headers": {
                "accept": "*/*", "content-type": "application/json", "host": "api.example.com", "x-api-key": api_key,
                "user-agent": "bench", "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "https",
            },
            "pathParameters": self.parameters,
            "requestContext": {
                "accountId": "000000000000", "apiId": "bench", "domainName": "api.example.com", "domainPrefix": "api",
                "http": {
                    "method": self.method, "path": self.path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
                    "userAgent": "bench",
                },
                "requestId": "bench", "routeKey": "$default", "stage": "$default",
                "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1_767_225_600_000_u64,
            },
            "isBase64Encoded": false,
        });
        if let Some(body) = &self.body {
            event["body"] = body.clone().into();
        }
        Bytes::from(event.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_not_expected_is_an_error() {
        let endpoint = |name| ENDPOINTS.into_iter().find(|endpoint| endpoint.name == name).expect("an endpoint");
        let check = |name, answer: &str| endpoint(name).require(answer.as_bytes()).is_ok();
        assert!(check("post-log", r#"{"statusCode":201,"body":""}"#));
        assert!(check("get-visualize", r#"{"statusCode":404}"#), "an empty log has no chart");
        for answer in
            [r#"{"statusCode":404}"#, r#"{"statusCode":503}"#, r#"{"statusCode":2"#, "", r#"{"errorType":"x"}"#]
        {
            assert!(!check("get-summary", answer), "{answer}");
        }
    }
}
