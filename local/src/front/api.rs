//! What API Gateway does for the API: routes, limits, and its own answers when a function gives none.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{CONTROLS, percent_encode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::routes::Routes;

/// The longest body that API Gateway's HTTP APIs take, in bytes.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
/// How much of a body that is too long is still read, so that its sender gets to see the answer.
const MAX_DISCARDED_BYTES: usize = 10 * MAX_BODY_BYTES;
/// How many requests are with `cargo lambda watch` at once; more wait here. It stops for good when one function has a
/// hundred waiting: it then holds the lock that taking one away needs.
const MAX_UNDER_WAY: usize = 64;
/// Headers that concern one connection and not the message (RFC 9110, 7.6.1), and `Proxy-*` and `Keep-Alive` of old.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Prefix of the headers of the Lambda runtime API. The emulator forwards such headers of a request to the function's
/// runtime, which ends when it cannot parse them.
const RUNTIME_PREFIX: &str = "lambda-runtime-";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The API, passed on to `cargo lambda watch`.
pub(super) struct Api {
    routes: Arc<Routes>,
    upstream: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    under_way: Arc<Semaphore>,
}

impl Api {
    pub fn new(routes: Arc<Routes>, upstream: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { routes, upstream, client, under_way: Arc::new(Semaphore::new(MAX_UNDER_WAY)) }
    }

    /// Answers a request whose path begins with `/api`.
    pub async fn answer(&self, request: Request) -> Response {
        match self.pass_on(request).await {
            Ok(response) => response,
            Err(status) => gateway_answer(status),
        }
    }

    async fn pass_on(&self, request: Request) -> Result<Response, StatusCode> {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        let target = target.strip_prefix("/api").unwrap_or(target);
        let path = target.split('?').next().unwrap_or(target);
        let timeout = self.routes.timeout(&head.method, path).ok_or(StatusCode::NOT_FOUND)?;
        let body = read(body).await?;

        // Path and query go on byte by byte; nothing decodes or normalises them.
        let uri: Uri = format!("http://{}{target}", self.upstream).parse().map_err(|_| StatusCode::BAD_REQUEST)?;
        let mut passed = http::Request::new(Full::new(body.clone()));
        *passed.method_mut() = head.method;
        *passed.uri_mut() = uri;
        *passed.headers_mut() = request_headers(&head.headers, &body);

        let permit = Arc::clone(&self.under_way).acquire_owned().await;
        let client = self.client.clone();
        let exchange = async move {
            let _permit = permit;
            let exchange = async {
                let (head, body) =
                    client.request(passed).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?.into_parts();
                let body = body.collect().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?.to_bytes();
                Ok((head, body))
            };
            // A function that crashes leaves its request without an answer; on AWS it would have timed out as well.
            tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(StatusCode::INTERNAL_SERVER_ERROR))
        };
        // In a task of its own: a caller who leaves takes nothing out of the emulator's queue.
        let (mut head, body) = tokio::spawn(exchange).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR).flatten()?;
        if is_failure(head.status, &head.headers, &body) {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        remove_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(head, Body::from(body)))
    }
}

/// The answer that API Gateway gives itself.
pub(super) fn gateway_answer(status: StatusCode) -> Response {
    let message = match status {
        // RFC 9110 has renamed it, API Gateway has not.
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        status => status.canonical_reason().unwrap_or("Unknown"),
    };
    let mut response = Response::new(Body::from(json!({ "message": message }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) async fn read(mut body: Body) -> Result<Bytes, StatusCode> {
    let mut bytes = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else { continue };
        length += data.len();
        if length <= MAX_BODY_BYTES {
            bytes.extend_from_slice(&data);
        } else if length > MAX_DISCARDED_BYTES {
            break;
        }
    }
    if length > MAX_BODY_BYTES { Err(StatusCode::PAYLOAD_TOO_LARGE) } else { Ok(bytes.freeze()) }
}

/// The headers that a function sees of `headers`.
fn request_headers(headers: &HeaderMap, body: &[u8]) -> HeaderMap {
    let mut passed = headers.clone();
    remove_hop_by_hop(&mut passed);
    for header in [HOST, EXPECT, CONTENT_LENGTH] {
        passed.remove(header);
    }
    for name in headers.keys() {
        if name.as_str().starts_with(RUNTIME_PREFIX) {
            passed.remove(name);
            continue;
        }
        let values = headers.get_all(name).iter().filter_map(|value| text(name, value));
        let values: Vec<_> = values.collect();
        let separator = if name == COOKIE { "; " } else { "," };
        // Several of one name become one, as API Gateway has it. A value that is no ASCII text breaks the emulator,
        // which puts headers into JSON: it is left out.
        match HeaderValue::from_str(&values.join(separator)) {
            Ok(value) if !values.is_empty() && passed.contains_key(name) => drop(passed.insert(name, value)),
            _ => drop(passed.remove(name)),
        }
    }
    if std::str::from_utf8(body).is_err() {
        keep_bytes(&mut passed);
    }
    passed
}

/// Returns a header's `value` as text if it is ASCII. An idempotency key that is not ASCII is percent-encoded, so that the
/// function rejects it: if the gateway dropped the key, a retried event would be stored twice.
fn text<'a>(name: &HeaderName, value: &'a HeaderValue) -> Option<Cow<'a, str>> {
    match value.to_str() {
        Ok(text) => Some(text.into()),
        Err(_) if name == IDEMPOTENCY_KEY => Some(percent_encode(value.as_bytes(), CONTROLS).to_string().into()),
        Err(_) => None,
    }
}

/// The emulator fails on a body that claims to be text and is not UTF-8. It takes lower-case names alone for text, and
/// media types have no case, so another case makes it pass the bytes on in base64; the function refuses them itself.
fn keep_bytes(headers: &mut HeaderMap) {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/octet-stream");
    let capital = value.chars().take(1).map(|first| first.to_ascii_uppercase());
    let value: String = capital.chain(value.chars().skip(1)).collect();
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(CONTENT_TYPE, value);
    }
}

pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let listed = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let listed: Vec<HeaderName> =
        listed.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in listed {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Whether an answer is the emulator's report of a function that failed. It is a 5xx with `errorType`, or a 5xx of the
/// emulator's own, which is no JSON by its content type; a function's own 5xx is.
fn is_failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let reported = || serde_json::from_slice::<Value>(body).is_ok_and(|body| body.get("errorType").is_some());
    status.is_server_error() && (!is_json || reported())
}
