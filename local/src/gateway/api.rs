//! The API Gateway part of the local stack: routes, limits, and the responses that API Gateway generates itself.

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
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use shared::http::LOCAL_ROUTE;
use tokio::sync::Semaphore;

use super::routes::Routes;

/// The maximum body size of API Gateway's HTTP APIs, in bytes.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
/// The amount of an oversized body that is still read, in bytes, so that the client receives the response.
const MAX_DISCARDED_BYTES: usize = 10 * MAX_BODY_BYTES;
/// The maximum number of concurrent requests to `cargo lambda watch`; more requests wait here. `cargo lambda watch`
/// deadlocks when a hundred requests wait for one function, because it then holds the lock that dequeuing needs.
const MAX_UNDER_WAY: usize = 64;
/// Headers that apply to one connection instead of the message (RFC 9110, 7.6.1), and the legacy `Proxy-*` and
/// `Keep-Alive`.
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

/// Forwards API requests to `cargo lambda watch`.
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

    /// Responds to a request whose path begins with `/api`.
    pub async fn answer(&self, request: Request) -> Response {
        match self.pass_on(request).await {
            Ok(response) => response,
            Err(status) => api_gateway_response(status),
        }
    }

    async fn pass_on(&self, request: Request) -> Result<Response, StatusCode> {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        let target = target.strip_prefix("/api").unwrap_or(target);
        let path = target.split('?').next().unwrap_or(target);
        let route = self.routes.find(&head.method, path).ok_or(StatusCode::NOT_FOUND)?;
        let timeout = route.timeout;
        let body = read(body).await?;

        // Path and query are forwarded byte by byte, without decoding or normalization.
        let uri: Uri = format!("http://{}{target}", self.upstream).parse().map_err(|_| StatusCode::BAD_REQUEST)?;
        let mut passed = http::Request::new(Full::new(body.clone()));
        *passed.method_mut() = head.method;
        *passed.uri_mut() = uri;
        *passed.headers_mut() = request_headers(&head.headers, &body);
        // `cargo lambda watch` has the same route key for all requests.
        let key = HeaderValue::from_str(&route.key).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        passed.headers_mut().insert(LOCAL_ROUTE, key);

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
            // A function that crashes leaves its request without a response. On AWS, the request would time out too.
            tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(StatusCode::INTERNAL_SERVER_ERROR))
        };
        // The exchange runs in its own task: a client that disconnects must not remove the request from the emulator's
        // queue.
        let (mut head, body) = tokio::spawn(exchange).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR).flatten()?;
        if is_failure(head.status, &head.headers, &body) {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        remove_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(head, Body::from(body)))
    }
}

/// Returns a response that API Gateway generates itself.
pub(super) fn api_gateway_response(status: StatusCode) -> Response {
    let message = match status {
        // RFC 9110 has renamed this status; API Gateway has not.
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

/// Returns the subset of `headers` that a function receives.
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
        // Several headers of one name are joined, as in API Gateway. A value that is not ASCII breaks the emulator,
        // which serializes headers to JSON, so the value is dropped.
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

/// Forces the emulator to pass the body on as base64. The emulator fails on a body that claims to be text and is not
/// UTF-8. It recognises only lower-case media types as text, and media types are case-insensitive, so changing the case
/// is enough. The function rejects such a body itself.
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

/// Returns whether a response is the emulator's report of a failed function: a 5xx with `errorType`, or a 5xx of the
/// emulator itself, whose content type is not JSON. A function's own 5xx is JSON, or protobuf for an exporter.
fn is_failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> bool {
    /// Not a `Value`, whose depth a body can leave unlimited.
    #[derive(Deserialize)]
    struct Report {
        #[serde(rename = "errorType")]
        _error_type: IgnoredAny,
    }
    let has_type =
        |kind: &str| headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(kind.as_bytes()));
    let is_report = || serde_json::from_slice::<Report>(body).is_ok();
    let is_own = || has_type("application/x-protobuf") || (has_type("application/json") && !is_report());
    status.is_server_error() && !is_own()
}
