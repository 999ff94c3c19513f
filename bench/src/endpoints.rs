//! What is asked of each endpoint, as API Gateway puts it.

use anyhow::{Result, bail};
use bytes::Bytes;
use serde_json::json;

use crate::stores::{AGENT, interaction, log_prefix};

/// The users whose logs the endpoints read, and how many there are in each.
pub const LOGS: [(&str, u32); 2] = [("reader-1000", 1_000), ("reader-10000", 10_000)];
/// Whose log has nothing but what is written meanwhile.
const WRITER: &str = "writer";
/// Whose events bring about anomalies.
const NOISY: &str = "noisy";
/// How many of them: enough for some to be anomalies.
pub const NOISE: u32 = 30;
/// Seconds between two events: each is alone in its window.
const EVENT_GAP_SECONDS: u64 = 10;
/// Unix seconds of the first event. The last of a run is still of the past.
const FIRST_EVENT: u64 = 1_700_000_000;

/// An endpoint with what it is asked.
#[derive(Clone, Copy)]
pub struct Endpoint {
    /// The function.
    pub name: &'static str,
    method: &'static str,
    place: &'static str,
}

/// All endpoints that have one.
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

/// A request: its path, and its body where it has one.
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The whole path.
    pub path: String,
    parameters: serde_json::Value,
    /// JSON.
    pub body: Option<String>,
}

impl Endpoint {
    /// The request `number`; `user` is whose log is read.
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

    /// What the bare calls have to know: the prefix of a log, or a user.
    pub fn subject(&self, user: &str) -> Result<String> {
        match self.name {
            "post-log" => log_prefix("bare-writer"),
            "post-event" => Ok("bare-calm".to_owned()),
            "get-anomalies" => Ok(NOISY.to_owned()),
            _ => log_prefix(user),
        }
    }

    /// Whether an answer with `status` is one that was to be expected.
    pub fn expects(&self, status: u16) -> bool {
        // An empty log has no chart.
        matches!(status, 200..=299) || (status == 404 && self.name == "get-visualize")
    }

    /// Whether `answer`, which a function gave, is one that was to be expected.
    pub fn require(&self, answer: &[u8]) -> Result<()> {
        // As the runtime writes it; to parse a whole chart would take longer than to draw it.
        let status =
            answer.strip_prefix(br#"{"statusCode":"#).and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok());
        if status.and_then(|status| status.parse().ok()).is_some_and(|status| self.expects(status)) {
            return Ok(());
        }
        bail!("{} answers {}", self.name, String::from_utf8_lossy(answer))
    }

    /// Whether it makes calls of its own for each request.
    pub fn calls_aws(&self) -> bool {
        self.name != "get-health"
    }
}

/// An event that comes at the same time as others of its user, and where it goes.
pub fn noise() -> (Endpoint, Request) {
    (POST_EVENT, Request { body: Some(event(NOISY, 0)), ..POST_EVENT.request(NOISY, 0) })
}

/// The event `number` of `user`.
fn event(user: &str, number: u32) -> String {
    let at = FIRST_EVENT + u64::from(number) * EVENT_GAP_SECONDS;
    json!({
        "user_id": user, "agent_id": AGENT, "signal_type": "neutral", "timestamp": at, "payload": { "score": 0.25 },
    })
    .to_string()
}

impl Request {
    /// As API Gateway passes it on: payload format 2.0.
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
