//! A client of the API, over plain connections or TLS.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Builder;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde_json::Value;
use shared::aws::CaBundle;

/// Longer than a function's timeout.
const TIMEOUT: Duration = Duration::from_secs(30);
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A client with an API key.
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    api: String,
    key: HeaderValue,
}

/// A complete response.
pub(super) struct Response {
    pub status: StatusCode,
    pub body: Bytes,
}

/// The reason why a request got no response.
#[derive(Debug)]
pub(super) enum Failure {
    Timeout,
    ConnectionRefused,
    Other(String),
}

impl Client {
    /// Creates a client of the API at `api`, the base address of the API's paths. Trusts `authorities` in addition to
    /// Mozilla's.
    pub fn new(api: &str, key: &str, authorities: &CaBundle) -> Result<Self> {
        let tls = ClientConfig::builder().with_root_certificates(authorities.with_webpki_roots()).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        let key = HeaderValue::from_str(key).context("the API key is not valid")?;
        Ok(Self { http, api: api.to_owned(), key })
    }

    /// Posts `body` to `path`. A retry with the same `idempotency_key` has no further effect.
    pub async fn post(&self, path: &str, idempotency_key: &str, body: &Value) -> Result<Response, Failure> {
        let request = self.request("POST", path);
        let request = request.header(CONTENT_TYPE, "application/json").header(IDEMPOTENCY_KEY, idempotency_key);
        self.send(request, body.to_string().into()).await
    }

    /// Gets `path`, which may have a query.
    pub async fn get(&self, path: &str) -> Result<Response, Failure> {
        self.send(self.request("GET", path), Bytes::new()).await
    }

    fn request(&self, method: &str, path: &str) -> Builder {
        Request::builder().method(method).uri(format!("{}{path}", self.api)).header(API_KEY, self.key.clone())
    }

    async fn send(&self, request: Builder, body: Bytes) -> Result<Response, Failure> {
        let request = request.body(Full::new(body)).map_err(Failure::of)?;
        let exchange = async {
            let response = self.http.request(request).await.map_err(Failure::of)?;
            let (status, body) = (response.status(), response.into_body().collect().await.map_err(Failure::of)?);
            Ok(Response { status, body: body.to_bytes() })
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
