//! A client of a stack's API, over plain connections or TLS.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LINK, RETRY_AFTER};
use http::request::Builder;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use shared::aws::CaBundle;
use shared::env;

use crate::data_folder::DataFolder;
use crate::target::{API, StackTarget};

/// The environment variable with the API key for a stack on AWS.
const KEY: &str = "SIGNALS_KEY";
/// Longer than a function's timeout.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum length of a response in a message, in characters.
const SHOWN_ANSWER: usize = 300;
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The address of a stack's API, and a key for it.
#[derive(Clone, Debug)]
pub struct ApiAccess {
    /// The base address of the API's paths.
    pub(crate) address: String,
    pub(crate) key: String,
    pub(crate) authorities: CaBundle,
}

impl ApiAccess {
    /// Returns access to the stack that runs on `data`, with the key of the stack's user.
    ///
    /// # Errors
    /// Fails if no stack runs.
    pub fn local(data: &DataFolder) -> Result<Self> {
        let stack = data.running()?;
        let key = std::fs::read_to_string(data.api_key()).context("cannot read the stack's API key")?;
        Ok(Self { address: stack.api, key: key.trim().to_owned(), authorities: CaBundle::default() })
    }

    /// Returns access to the stack `target` on AWS with the API key in the environment, which needs `scopes`.
    ///
    /// # Errors
    /// Fails if the environment has no API key, or the stack does not provide its address.
    pub fn on_aws(target: &StackTarget, scopes: &str) -> Result<Self> {
        let key = env::optional(KEY).with_context(|| {
            format!(
                "{KEY} is not set: set it to an API key of {} with {scopes}; `signals key create` creates one",
                target.label
            )
        })?;
        Ok(Self { address: target.name(API)?, key, authorities: CaBundle::from_env()? })
    }

    /// Returns access to the API at `address` with the API key in the environment, which needs `scopes`.
    ///
    /// # Errors
    /// Fails if the environment has no API key.
    pub fn at(address: String, scopes: &str) -> Result<Self> {
        let key = env::optional(KEY).with_context(|| {
            format!("{KEY} is not set: set it to an API key of the stack at {address} with {scopes}")
        })?;
        Ok(Self { address, key, authorities: CaBundle::from_env()? })
    }
}

/// An export of OpenTelemetry.
pub(crate) struct ExportRequest {
    pub content_type: &'static str,
    /// `true` if the body is compressed with gzip.
    pub is_compressed: bool,
    pub body: Bytes,
}

/// Lines of JSON.
pub(crate) struct Lines {
    /// `true` if the body is compressed with gzip.
    pub is_compressed: bool,
    pub body: Bytes,
}

/// A client with an API key.
pub(crate) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    api: String,
    key: HeaderValue,
}

/// A complete response.
pub(crate) struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    /// Returns whether the same request can succeed later.
    pub fn is_transient(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS || self.status.is_server_error()
    }

    /// Returns the time to wait before the request is sent again, if the response gives the time in seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// Returns whether the body has the media type `kind`.
    pub fn has_type(&self, kind: &str) -> bool {
        let declared = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        declared.split(';').next().is_some_and(|declared| declared.trim().eq_ignore_ascii_case(kind))
    }

    /// Returns the query of the next page, if there is one.
    pub fn next_page(&self) -> Option<&str> {
        let link = self.headers.get(LINK)?.to_str().ok()?;
        link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")
    }
}

/// Formats the status and the beginning of the body in one line.
impl fmt::Display for Response {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let body: String = body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN_ANSWER).collect();
        write!(out, "{} {body}", self.status.as_u16())
    }
}

/// The reason why a request got no response.
#[derive(Debug)]
pub(crate) enum Failure {
    Timeout,
    ConnectionRefused,
    Other(String),
}

impl Client {
    /// Creates a client of the API that `access` leads to. Trusts the authorities of `access` in addition to Mozilla's.
    pub fn new(access: &ApiAccess) -> Result<Self> {
        let roots = access.authorities.with_webpki_roots();
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        let key = HeaderValue::from_str(&access.key).context("the API key is not valid")?;
        Ok(Self { http, api: access.address.trim_end_matches('/').to_owned(), key })
    }

    /// Posts `lines`, which are NDJSON, to `path`.
    pub async fn post_lines(&self, path: &str, lines: Lines) -> Result<Response, Failure> {
        let mut request = self.request("POST", path).header(CONTENT_TYPE, "application/x-ndjson");
        if lines.is_compressed {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        self.send(request, lines.body).await
    }

    /// Posts an export of traces.
    pub async fn post_export(&self, export: &ExportRequest) -> Result<Response, Failure> {
        let mut request = self.request("POST", "/v1/traces").header(CONTENT_TYPE, export.content_type);
        if export.is_compressed {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        self.send(request, export.body.clone()).await
    }

    /// Gets `path`, which may have a query, as the media type `kind`.
    pub async fn get(&self, path: &str, kind: &'static str) -> Result<Response, Failure> {
        self.send(self.request("GET", path).header(ACCEPT, kind), Bytes::new()).await
    }

    fn request(&self, method: &str, path: &str) -> Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.api)).header(API_KEY, self.key.clone())
    }

    async fn send(&self, request: Builder, body: Bytes) -> Result<Response, Failure> {
        let request = request.body(Full::new(body)).map_err(Failure::of)?;
        let exchange = async {
            let (head, body) = self.http.request(request).await.map_err(Failure::of)?.into_parts();
            let body = body.collect().await.map_err(Failure::of)?.to_bytes();
            Ok(Response { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or(Err(Failure::Timeout))
    }
}

impl Failure {
    fn of(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        let error = anyhow::Error::new(error);
        let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        match causes.any(|cause| cause.kind() == ErrorKind::ConnectionRefused) {
            true => Self::ConnectionRefused,
            false => Self::Other(format!("{error:#}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Timeout => "no answer in time",
            Self::ConnectionRefused => "nobody listens: has the stack ended?",
            Self::Other(reason) => reason,
        })
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(HeaderName, &'static str)], body: &'static str) -> Response {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        Response { status: StatusCode::from_u16(status).expect("a status"), headers, body: body.into() }
    }

    #[test]
    fn response_names_the_next_page_and_the_time_to_wait() {
        let page = response(200, &[(LINK, "<?limit=1&cursor=a>; rel=\"next\"")], "[]");
        assert_eq!((page.next_page(), page.retry_after()), (Some("?limit=1&cursor=a"), None));
        let busy = response(503, &[(RETRY_AFTER, "2")], "");
        assert_eq!((busy.next_page(), busy.retry_after()), (None, Some(Duration::from_secs(2))));
        assert_eq!(response(503, &[(RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT")], "").retry_after(), None);
    }

    #[test]
    fn response_is_transient_when_throttled_or_failed() {
        let is_transient = |status| response(status, &[], "").is_transient();
        assert!([429, 500, 502, 503, 504].into_iter().all(is_transient));
        assert!(![200, 207, 400, 401, 403, 404, 413, 422].into_iter().any(is_transient));
        assert_eq!(response(403, &[], "{\n \"detail\": 1}").to_string(), "403 { \"detail\": 1}");
    }
}
