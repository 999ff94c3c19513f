//! Opens connections before their first use.
//!
//! A starting sandbox knows the hosts of its first request. It opens these connections concurrently while the runtime
//! is still fetching that request, instead of one after the other at their first calls.

use std::fmt;
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

type Opener = HttpsConnector<TcpConnector>;
type Connection = <Opener as Service<Uri>>::Response;
type Opened = Result<Connection, <Opener as Service<Uri>>::Error>;

/// A connector that hands out its pre-opened connections before it opens new ones.
#[derive(Clone)]
pub(super) struct Ahead {
    opener: Opener,
    openings: Arc<Mutex<Vec<Opening>>>,
    /// Lifetime of an unused connection.
    lifetime: Duration,
}

struct Opening {
    uri: Uri,
    since: Instant,
    connection: JoinHandle<Result<Opened, Elapsed>>,
}

impl Ahead {
    pub(super) fn new(opener: Opener, lifetime: Duration) -> Self {
        Self { opener, openings: Arc::default(), lifetime }
    }

    /// Opens a connection to the host of `uri` in the background. Errors are left to the call that needs the
    /// connection.
    pub(super) fn open(&self, uri: Uri) {
        let connection = tokio::spawn(timeout(OPENING_TIMEOUT, self.opener.clone().call(uri.clone())));
        self.lock().push(Opening { uri, since: Instant::now(), connection });
    }

    /// Returns the pre-opened connection to the host of `uri`. Closes connections that have waited too long.
    fn take(&self, uri: &Uri) -> Option<JoinHandle<Result<Opened, Elapsed>>> {
        let mut openings = self.lock();
        openings.retain(|opening| opening.since.elapsed() < self.lifetime);
        let is_there = |other: &Uri| other.scheme() == uri.scheme() && other.authority() == uri.authority();
        let place = openings.iter().position(|opening| is_there(&opening.uri))?;
        Some(openings.swap_remove(place).connection)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Opening>> {
        self.openings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<Uri> for Ahead {
    type Response = Connection;
    type Error = <Opener as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Opened> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.opener.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(opened) = self.take(&uri) else { return self.opener.call(uri) };
        // The opener that was polled for readiness must be the one that is called.
        let next = self.opener.clone();
        let mut opener = mem::replace(&mut self.opener, next);
        Box::pin(async move {
            if let Ok(Ok(Ok(mut connection))) = opened.await
                && is_alive(&mut connection).await
            {
                return Ok(connection);
            }
            opener.call(uri).await
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

impl fmt::Debug for Ahead {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.lock().iter().map(|opening| opening.uri.clone()).collect();
        out.debug_struct("Ahead").field("opened", &hosts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hyper_rustls::HttpsConnectorBuilder;
    use tokio::net::TcpListener;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(60);

    fn ahead(lifetime: Duration) -> Ahead {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        Ahead::new(
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
    async fn nobody_waits(listener: &TcpListener) -> bool {
        tokio::select! { biased; _ = listener.accept() => false, () = tokio::task::yield_now() => true }
    }

    #[tokio::test]
    async fn the_first_call_takes_the_connection_that_was_opened_ahead() {
        let (listener, uri) = listen().await;
        let mut ahead = ahead(LIFETIME);
        ahead.open(uri.clone());
        let (_first, _) = listener.accept().await.expect("opened before any call");
        ahead.call(uri.clone()).await.expect("connected");
        assert!(nobody_waits(&listener).await);
        ahead.call(uri).await.expect("connected");
        listener.accept().await.expect("the second call opens its own");
    }

    #[tokio::test]
    async fn a_connection_to_another_host_is_left_for_its_call() {
        let ((one, uri), (_other, other_uri)) = (listen().await, listen().await);
        let mut ahead = ahead(LIFETIME);
        ahead.open(uri.clone());
        let (_opened, _) = one.accept().await.expect("opened");
        ahead.call(other_uri).await.expect("connected");
        ahead.call(uri).await.expect("connected");
        assert!(nobody_waits(&one).await);
    }

    #[tokio::test]
    async fn what_could_not_be_opened_ahead_is_opened_when_it_is_needed() {
        let (listener, uri) = listen().await;
        let uri: Uri = uri.to_string().replace("http:", "https:").parse().expect("an address");
        let mut ahead = ahead(LIFETIME);
        ahead.open(uri.clone());
        // Closing the connection during the handshake makes the opening fail.
        drop(listener.accept().await.expect("opened before any call"));
        let hang_up_again = async { drop(listener.accept().await.expect("opened by the call")) };
        let (called, ()) = futures_util::join!(ahead.call(uri), hang_up_again);
        assert!(called.is_err());
    }

    #[tokio::test]
    async fn a_connection_that_the_other_side_has_closed_is_not_used() {
        let (listener, uri) = listen().await;
        let mut ahead = ahead(LIFETIME);
        ahead.open(uri.clone());
        drop(listener.accept().await.expect("opened"));
        ahead.call(uri).await.expect("connected");
        listener.accept().await.expect("another one");
    }

    #[tokio::test]
    async fn a_connection_that_has_waited_too_long_is_not_used() {
        let (listener, uri) = listen().await;
        let mut ahead = ahead(Duration::ZERO);
        ahead.open(uri.clone());
        let (_old, _) = listener.accept().await.expect("opened");
        ahead.call(uri).await.expect("connected");
        listener.accept().await.expect("another one");
    }
}
