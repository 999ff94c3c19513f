//! Hostile requests: none causes a server error, and none ends a function.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use arbitrary::{Result, Unstructured};

use crate::support::{Up, data, turn};

/// The duration of the test unless `BOLERO_RANDOM_TEST_TIME_MS` is set.
const TEST_TIME: Duration = Duration::from_secs(20);
/// A request without an answer after this time fails the test.
const PATIENCE: Duration = Duration::from_secs(60);
const METHODS: [&str; 6] = ["GET", "POST", "POST", "PUT", "OPTIONS", "get"];
/// The routes of the API, the dashboard and the webhook, and a path that does not exist.
const PATHS: [&str; 15] = [
    "/api/log",
    "/api/classify",
    "/api/agents",
    "/api/agents/",
    "/api/agents/a/users",
    "/api/logs/a/",
    "/api/summary/a/",
    "/api/visualize/a/",
    "/api/event",
    "/api/events",
    "/api/events/",
    "/api/anomalies/",
    "/api/health",
    "/index.html",
    "/api/nowhere",
];
/// Parts of a path or query.
const PARTS: [&str; 24] = [
    "u",
    "/",
    "%2F",
    "%3F",
    "%00",
    "%",
    "%zz",
    "%F0%9F",
    "%C3%A9",
    "%252e",
    "..",
    "%2e%2e",
    "+",
    "&",
    "=",
    "limit=",
    "cursor=",
    "since=2026-01-01T00:00:00Z",
    "group=episode",
    "[",
    "\u{e9}",
    "\"",
    "9999999999999999999",
    "-1",
];
const HEADERS: [&str; 12] = [
    "content-type: application/json",
    "content-type: application/x-ndjson",
    "content-encoding: gzip",
    "accept: image/png, */*;q=0",
    "prefer: respond-async",
    "idempotency-key: \u{1F600}",
    "x-forwarded-proto: \u{1}\u{e9}",
    "x-amzn-trace-id: Root=",
    "lambda-runtime-deadline-ms: 1",
    "lambda-runtime-client-context: {",
    "x-api-key: other",
    "if-none-match: *",
];
const BODIES: [&str; 8] = [
    "",
    "{}",
    "[[[[",
    "{\"agent_id\":\"a\",\"user_id\":\"u\",\"user_input\":\"hello\"}",
    "{\"agent_id\":\"a\",\"user_id\":\"u\",\"signal_type\":\"x\",\"payload\":{\"$serde_json::private::RawValue\":\"[1]\"}}",
    "[{\"agent_id\":\"a\",\"user_id\":\"u\",\"signal_type\":\"x\",\"payload\":{}},1]",
    "{\"texts\":[\"not happy\",\"\\ud800\"]}",
    "\u{feff}null",
];

/// Returns the bytes of a request that ends its connection.
fn request(choices: &mut Unstructured<'_>, base: u16, key: &str) -> Result<Vec<u8>> {
    let mut target = (*choices.choose(&PATHS)?).to_owned();
    for _ in 0..choices.int_in_range(0..=4)? {
        target.push_str(choices.choose(&PARTS)?);
    }
    if choices.ratio(1, 2)? {
        target.push('?');
        for _ in 0..choices.int_in_range(0..=6)? {
            target.push_str(choices.choose(&PARTS)?);
        }
    }
    let mut head =
        format!("{} {target} HTTP/1.1\r\nhost: 127.0.0.1:{base}\r\nconnection: close\r\n", choices.choose(&METHODS)?);
    if choices.ratio(9, 10)? {
        head.push_str(&format!("x-api-key: {key}\r\n"));
    }
    for _ in 0..choices.int_in_range(0..=3)? {
        head.push_str(choices.choose(&HEADERS)?);
        head.push_str("\r\n");
    }
    let mut body = choices.choose(&BODIES)?.as_bytes().to_vec();
    if choices.ratio(1, 8)? {
        body = b"[".repeat(choices.int_in_range(1..=70_000)?);
    } else if choices.ratio(1, 4)? {
        body.extend_from_slice(choices.bytes(choices.len().min(64))?);
    }
    let mut bytes = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend(body);
    Ok(bytes)
}

/// Sends `request` and returns the status of the answer, or `None` if the connection ends without one.
fn status(base: u16, request: &[u8]) -> Option<u16> {
    let mut connection = TcpStream::connect(("127.0.0.1", base)).expect("the stack listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // A server that refuses the head may close the connection before all of the body is sent.
    let _ = connection.write_all(request);
    let mut answer = Vec::new();
    if let Err(error) = connection.read_to_end(&mut answer) {
        assert!(error.kind() == std::io::ErrorKind::ConnectionReset, "{error}: {}", String::from_utf8_lossy(request));
    }
    let line = answer.split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(line).ok()?.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn no_request_is_answered_with_a_server_error() {
    let _turn = turn().await;
    let data = data();
    let up = Up::start(data.path());
    let (base, key) = (up.base, up.key.clone());
    let fuzz = move || {
        bolero::check!().with_test_time(TEST_TIME).with_max_len(512).for_each(|bytes: &[u8]| {
            let Ok(request) = request(&mut Unstructured::new(bytes), base, &key) else { return };
            let status = status(base, &request);
            assert!(status.is_none_or(|status| status < 500), "{status:?} for {}", String::from_utf8_lossy(&request));
        });
    };
    tokio::task::spawn_blocking(fuzz).await.expect("every request is answered");
    let health = format!("GET /api/health HTTP/1.1\r\nhost: 127.0.0.1:{base}\r\nconnection: close\r\n\r\n");
    assert_eq!(status(base, health.as_bytes()), Some(200));
    up.end();
}
