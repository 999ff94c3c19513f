//! A response of the stack, with the assertions that tests make about it.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::stack::segment;

/// The number of characters of a body that a failure message shows.
const SHOWN_CHARS: usize = 2_000;

/// A response and its request. Every failure message shows both.
pub struct Answer {
    sent: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// Creates the response to the request `sent`.
    pub fn new(sent: String, status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self { sent, status, headers, body }
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Returns whether the stack was too busy to respond: 503 with `Retry-After`, or 500 from API Gateway instead of a
    /// function.
    pub fn asks_for_another_try(&self) -> bool {
        let is_gateways = || self.json(500).get("message").is_some();
        self.status() == 503 && !self.header("retry-after").is_empty() || self.status() == 500 && is_gateways()
    }

    /// Returns whether `text` is in the body or in a header, also percent-encoded.
    pub fn contains(&self, text: &str) -> bool {
        let headers = self.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let body = String::from_utf8_lossy(&self.body);
        let has = |part: &str| part.contains(text) || part.contains(&segment(text));
        has(&body) || headers.into_iter().any(|header| has(&header))
    }

    /// Returns the JSON of a response with the status 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        self.json(200)
    }

    /// Returns the JSON of a response with `status`.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        self.check(self.status() == status, &format!("status {status}"));
        self.check(self.header("content-type") == "application/json", "content-type application/json");
        let json = serde_json::from_slice(&self.body);
        self.check(json.is_ok(), "a body of JSON");
        json.unwrap_or_default()
    }

    /// Returns the body as text, for contents that a JSON parser may change.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the array of a response with the status 200.
    #[track_caller]
    pub fn list(&self) -> Vec<Value> {
        let json = self.ok();
        self.check(json.is_array(), "a JSON array");
        json.as_array().cloned().unwrap_or_default()
    }

    /// Returns the results of a batch of `count` events, in order.
    #[track_caller]
    pub fn results(&self, count: usize) -> Vec<Value> {
        let results = self.json(207)["results"].as_array().cloned().unwrap_or_default();
        self.check(results.len() == count, &format!("{count} results"));
        results
    }

    /// Checks that this accepts all `count` interactions of a batch. A busy stack accepts by queueing.
    #[track_caller]
    pub fn expect_accepted(&self, count: usize) {
        let is_accepted = |result: &Value| result["status"] == "ok" || result["status"] == "queued";
        self.check(self.results(count).iter().all(is_accepted), "all items to be accepted");
    }

    /// Returns the value of the header `name`, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the query of the next page from a relative `Link`, or `None` if this page is the last.
    #[track_caller]
    pub fn next_page(&self) -> Option<&str> {
        let link = self.headers.get("link")?.to_str().unwrap_or_default();
        let query = link.strip_prefix("<?").and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
        self.check(query.is_some_and(|query| query.contains("cursor=")), "a relative Link with a cursor");
        query
    }

    /// Returns the bytes of a response with the status 200 and `content_type`.
    #[track_caller]
    pub fn bytes(&self, content_type: &str) -> &[u8] {
        self.bytes_of(200, content_type)
    }

    /// Returns the bytes of a response with `status` and `content_type`.
    #[track_caller]
    pub fn bytes_of(&self, status: u16, content_type: &str) -> &[u8] {
        self.check(self.status.as_u16() == status, &format!("status {status}"));
        self.check(self.header("content-type") == content_type, &format!("content-type {content_type}"));
        &self.body
    }

    /// Returns the validation errors of a 422, for example `("body.user_id", "missing")`. Checks that each error has
    /// FastAPI's format.
    #[track_caller]
    pub fn faults(&self) -> Vec<(String, String)> {
        self.faults_of(&self.json(422))
    }

    /// Returns the validation errors in the `detail` of `refused`, like [`Self::faults`] for a 422.
    #[track_caller]
    pub fn faults_of(&self, refused: &Value) -> Vec<(String, String)> {
        let faults = refused["detail"].as_array().cloned().unwrap_or_default();
        self.check(!faults.is_empty(), "a list of faults under detail");
        faults.iter().map(|fault| self.fault(fault)).collect()
    }

    /// Checks that this is a 422 with exactly these validation errors, in any order.
    #[track_caller]
    pub fn expect_faults(&self, expected: &[(&str, &str)]) {
        let mut found = self.faults();
        let mut expected: Vec<_> = expected.iter().map(|&(loc, kind)| (loc.to_owned(), kind.to_owned())).collect();
        found.sort();
        expected.sort();
        self.check(found == expected, &format!("the faults {expected:?}"));
    }

    /// Checks that this is a 422 whose only validation error is at `loc`, whatever its type.
    #[track_caller]
    pub fn expect_fault_at(&self, loc: &str) {
        let found = self.faults();
        self.check(found.len() == 1 && found[0].0 == loc, &format!("one fault, at {loc}"));
    }

    /// Checks the status and the JSON.
    #[track_caller]
    pub fn expect(&self, status: u16, body: &Value) {
        let found = self.json(status);
        self.check(found == *body, &format!("the body {body}"));
    }

    /// Fails with request and response in the message unless `holds`.
    #[track_caller]
    pub fn check(&self, holds: bool, expected: &str) {
        assert!(holds, "expected {expected}\n--- request\n{}\n--- answer\n{self}", shorten(&self.sent));
    }

    #[track_caller]
    fn fault(&self, fault: &Value) -> (String, String) {
        let loc = fault["loc"].as_array().cloned().unwrap_or_default();
        let kind = fault["type"].as_str().unwrap_or_default();
        let message = fault["msg"].as_str().unwrap_or_default();
        let complete = !loc.is_empty() && !kind.is_empty() && !message.is_empty() && fault.get("input").is_some();
        self.check(complete, "type, loc, msg and input in every fault");
        let steps: Vec<_> =
            loc.iter().map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned)).collect();
        (steps.join("."), kind.to_owned())
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = shorten(&String::from_utf8_lossy(&self.body));
        write!(out, "{}\n{:?}\n{body}", self.status, self.headers)
    }
}

fn shorten(text: &str) -> String {
    let start: String = text.chars().take(SHOWN_CHARS).collect();
    if start.len() < text.len() { format!("{start}… ({} bytes)", text.len()) } else { start }
}
