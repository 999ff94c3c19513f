//! The HTTP client used by the AWS SDKs.
//!
//! The SDK's own client reads all certificates of the operating system at start, which takes longer than the rest of
//! start-up together. This client has Mozilla's root certificates compiled in. It opens plain connections to `http://`
//! endpoints, which are used in local stacks.

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

use super::breaker::Breaker;
use super::ca_bundle::CaBundle;
use super::prewarm::PrewarmedConnector;

/// Timeout of a connection attempt. Shorter than the SDK's timeout of one attempt, so that an unresponsive host is
/// detected and retried.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Maximum idle time of a connection. Shorter than the idle timeout of AWS, so that a connection opened before a
/// sandbox was frozen is rarely used.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Lifetime of a pre-opened connection. Shorter, because a server may wait less for a first request than for later
/// ones.
const PREWARMED_LIFETIME: Duration = Duration::from_secs(5);

/// Connections to AWS shared by all SDK clients.
#[derive(Debug)]
pub struct Http {
    pool: Client<PrewarmedConnector, SdkBody>,
    connector: PrewarmedConnector,
}

impl Http {
    /// Creates a client that trusts Mozilla's authorities and `authorities`. Timeouts of whole attempts are left to the
    /// SDK.
    pub fn new(authorities: &CaBundle) -> Self {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = ClientConfig::builder().with_root_certificates(authorities.with_webpki_roots()).with_no_client_auth();
        let https =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let connector = PrewarmedConnector::new(https, PREWARMED_LIFETIME);
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector.clone());
        Self { pool, connector }
    }

    /// Returns the HTTP client of one SDK client, with a circuit breaker of its own.
    pub fn client(&self) -> SharedHttpClient {
        let service = SharedHttpConnector::new(Service { pool: self.pool.clone(), breaker: Breaker::default() });
        http_client_fn(move |_, _| service.clone())
    }

    #[cfg(test)]
    pub(super) fn connector(&self) -> PrewarmedConnector {
        self.connector.clone()
    }

    /// Starts to open a connection to the host of `uri` for the first call to that host.
    pub(super) fn prewarm(&self, uri: Uri) {
        self.connector.prewarm(uri);
    }
}

/// Calls to one AWS service.
#[derive(Debug)]
struct Service {
    pool: Client<PrewarmedConnector, SdkBody>,
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
