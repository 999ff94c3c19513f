//! Opens connections before their first use.
//!
//! A starting sandbox knows the hosts of its first request. It opens these connections concurrently while the runtime
//! is still fetching that request, instead of one after the other at their first calls.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Uri;
use hyper::rt::{Read, ReadBuf};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use tokio::task::JoinHandle;
use tokio::time::{error::Elapsed, timeout};
use tower_service::Service;

/// Time limit for opening a connection. Shorter than the timeout of one attempt, so that a call can still open its own.
const OPENING_TIMEOUT: Duration = Duration::from_millis(500);

type Inner = HttpsConnector<TcpConnector>;
type Connection = <Inner as Service<Uri>>::Response;
type Opened = Result<Connection, <Inner as Service<Uri>>::Error>;

/// A connector that hands out its pre-opened connections before it opens new ones.
#[derive(Clone, Debug)]
pub(super) struct PrewarmedConnector {
    inner: Inner,
    pending: Arc<Mutex<Vec<PendingConnection>>>,
    /// Lifetime of an unused connection.
    lifetime: Duration,
}

#[derive(Debug)]
struct PendingConnection {
    uri: Uri,
    since: Instant,
    connection: JoinHandle<Result<Opened, Elapsed>>,
}

impl PrewarmedConnector {
    pub(super) fn new(inner: Inner, lifetime: Duration) -> Self {
        Self { inner, pending: Arc::default(), lifetime }
    }

    /// Opens a connection to the host of `uri` in the background. Errors are left to the call that needs the
    /// connection.
    pub(super) fn prewarm(&self, uri: Uri) {
        let connection = tokio::spawn(timeout(OPENING_TIMEOUT, self.inner.clone().call(uri.clone())));
        self.lock().push(PendingConnection { uri, since: Instant::now(), connection });
    }

    /// Returns the pre-opened connection to the host of `uri`. Closes connections that have waited too long.
    fn take(&self, uri: &Uri) -> Option<JoinHandle<Result<Opened, Elapsed>>> {
        let mut pending = self.lock();
        pending.retain(|connection| connection.since.elapsed() < self.lifetime);
        let is_same_host = |other: &Uri| other.scheme() == uri.scheme() && other.authority() == uri.authority();
        let position = pending.iter().position(|connection| is_same_host(&connection.uri))?;
        Some(pending.swap_remove(position).connection)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PendingConnection>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<Uri> for PrewarmedConnector {
    type Response = Connection;
    type Error = <Inner as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Opened> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(opened) = self.take(&uri) else { return self.inner.call(uri) };
        // The connector that was polled for readiness must be the one that is called.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        Box::pin(async move {
            if let Ok(Ok(Ok(mut connection))) = opened.await
                && is_alive(&mut connection).await
            {
                return Ok(connection);
            }
            inner.call(uri).await
        })
    }
}

/// Returns false if the peer closed `connection` or sent unsolicited data. hyper assumes that a new connection is
/// usable and would lose the request.
async fn is_alive(connection: &mut Connection) -> bool {
    let mut byte = [0];
    poll_fn(|context| {
        let read = Pin::new(&mut *connection).poll_read(context, ReadBuf::new(&mut byte).unfilled());
        Poll::Ready(read.is_pending())
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hyper_rustls::HttpsConnectorBuilder;
    use tokio::net::TcpListener;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(60);

    fn connector(lifetime: Duration) -> PrewarmedConnector {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        PrewarmedConnector::new(
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(tcp),
            lifetime,
        )
    }

    async fn listen() -> (TcpListener, Uri) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let uri = format!("http://{}/", listener.local_addr().expect("an address")).parse().expect("an address");
        (listener, uri)
    }

    /// Returns whether no connection is waiting to be accepted.
    async fn is_idle(listener: &TcpListener) -> bool {
        tokio::select! { biased; _ = listener.accept() => false, () = tokio::task::yield_now() => true }
    }

    #[tokio::test]
    async fn first_call_takes_the_prewarmed_connection() {
        let (listener, uri) = listen().await;
        let mut connector = connector(LIFETIME);
        connector.prewarm(uri.clone());
        let (_first, _) = listener.accept().await.expect("opened before any call");
        connector.call(uri.clone()).await.expect("connected");
        assert!(is_idle(&listener).await);
        connector.call(uri).await.expect("connected");
        listener.accept().await.expect("the second call opens its own");
    }

    #[tokio::test]
    async fn call_leaves_connections_to_other_hosts() {
        let ((one, uri), (_other, other_uri)) = (listen().await, listen().await);
        let mut connector = connector(LIFETIME);
        connector.prewarm(uri.clone());
        let (_opened, _) = one.accept().await.expect("opened");
        connector.call(other_uri).await.expect("connected");
        connector.call(uri).await.expect("connected");
        assert!(is_idle(&one).await);
    }

    #[tokio::test]
    async fn call_opens_a_connection_when_prewarming_failed() {
        let (listener, uri) = listen().await;
        let uri: Uri = uri.to_string().replace("http:", "https:").parse().expect("an address");
        let mut connector = connector(LIFETIME);
        connector.prewarm(uri.clone());
        // Closing the connection during the handshake makes the opening fail.
        drop(listener.accept().await.expect("opened before any call"));
        let hang_up_again = async { drop(listener.accept().await.expect("opened by the call")) };
        let (called, ()) = futures_util::join!(connector.call(uri), hang_up_again);
        assert!(called.is_err());
    }

    #[tokio::test]
    async fn call_ignores_a_connection_closed_by_the_peer() {
        let (listener, uri) = listen().await;
        let mut connector = connector(LIFETIME);
        connector.prewarm(uri.clone());
        drop(listener.accept().await.expect("opened"));
        connector.call(uri).await.expect("connected");
        listener.accept().await.expect("another one");
    }

    #[tokio::test]
    async fn call_ignores_an_expired_connection() {
        let (listener, uri) = listen().await;
        let mut connector = connector(Duration::ZERO);
        connector.prewarm(uri.clone());
        let (_old, _) = listener.accept().await.expect("opened");
        connector.call(uri).await.expect("connected");
        listener.accept().await.expect("another one");
    }
}
