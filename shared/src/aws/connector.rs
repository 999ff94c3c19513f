//! The HTTP client under the AWS SDKs.
//!
//! The SDK's own client reads every certificate of the operating system at start, which costs more than the rest of
//! start-up together. This one has Mozilla's root certificates compiled in and opens plain connections where the
//! endpoint is `http://`, as on a laptop.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::ahead::Ahead;
use super::breaker::Breaker;
use super::ca_bundle::CaBundle;

/// Within the SDK's own limit for one attempt, so that a host that does not answer is seen as such and tried again.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Shorter than AWS keeps an idle connection, so that one from before a sandbox was frozen is seldom tried.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Shorter, for a server may wait for a first request less patiently than for the next.
const AHEAD_LIFETIME: Duration = Duration::from_secs(5);

/// Connections to AWS that all SDK clients share.
#[derive(Debug)]
pub struct Http {
    pool: Client<Ahead, SdkBody>,
    connector: Ahead,
}

impl Http {
    /// Prepares connections to whom Mozilla's authorities or `authorities` vouch for. Time limits for whole attempts are
    /// the SDK's.
    pub fn new(authorities: &CaBundle) -> Self {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = ClientConfig::builder().with_root_certificates(authorities.with_webpki_roots()).with_no_client_auth();
        let https =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let connector = Ahead::new(https, AHEAD_LIFETIME);
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector.clone());
        Self { pool, connector }
    }

    /// Returns the HTTP client of one SDK client. It has a circuit breaker of its own.
    pub fn client(&self) -> SharedHttpClient {
        let service = SharedHttpConnector::new(Service { pool: self.pool.clone(), breaker: Breaker::default() });
        http_client_fn(move |_, _| service.clone())
    }

    #[cfg(test)]
    pub(super) fn connector(&self) -> Ahead {
        self.connector.clone()
    }

    /// Begins to open a connection to the host of `uri`, for the first call that goes there.
    pub(super) fn open_ahead(&self, uri: Uri) {
        self.connector.open(uri);
    }
}

/// The calls to one AWS service.
#[derive(Debug)]
struct Service {
    pool: Client<Ahead, SdkBody>,
    breaker: Breaker,
}

impl HttpConnector for Service {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (pool, breaker) = (self.pool.clone(), self.breaker.clone());
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            // The SDK does not retry an error of this kind.
            let call = breaker.begin().map_err(|open| ConnectorError::other(open.into(), None))?;
            let response = pool.request(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            call.record_response();
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
