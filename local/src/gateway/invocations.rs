//! The guarded entry to `cargo lambda watch`, on the port that `cargo lambda invoke` uses by default.
//!
//! `cargo lambda watch` has no access control: a web page that reaches it can invoke any function without an API key and
//! receive invocations in a function's place. So it listens on a port that browsers block, and `cargo lambda invoke` and
//! `curl` use this proxy. The proxy does not expose the runtime API; the functions know the other address.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::api::{api_gateway_response, read, remove_hop_by_hop};

/// Path prefix of the runtime API of `cargo lambda watch`.
const RUNTIME_API: &str = "/.rt";

/// A proxy to `cargo lambda watch`.
#[derive(Clone)]
pub(super) struct Invocations {
    upstream: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Invocations {
    pub fn new(upstream: SocketAddr) -> Self {
        Self { upstream, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Forwards `request`.
    pub async fn answer(&self, request: Request) -> Response {
        match self.pass_on(request).await {
            Ok(response) => response,
            Err(status) => api_gateway_response(status),
        }
    }

    async fn pass_on(&self, request: Request) -> Result<Response, StatusCode> {
        let (mut head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        if target.starts_with(RUNTIME_API) {
            return Err(StatusCode::NOT_FOUND);
        }
        let uri: Uri = format!("http://{}{target}", self.upstream).parse().map_err(|_| StatusCode::BAD_REQUEST)?;
        head.uri = uri;
        remove_hop_by_hop(&mut head.headers);
        for header in [HOST, EXPECT, CONTENT_LENGTH] {
            head.headers.remove(header);
        }
        let passed = Request::from_parts(head, Full::new(read(body).await?));
        let answer = self.client.request(passed).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        let (mut head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?.to_bytes();
        remove_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(head, Body::from(body)))
    }
}
