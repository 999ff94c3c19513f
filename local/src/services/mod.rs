//! The embedded services: each one has its own port on 127.0.0.1 and its own threads, and can be stopped and started
//! again while the rest goes on, as an outage would have it. All are behind the loopback [`guard`].

pub mod dynamodb;
mod guard;
pub mod s3;
pub mod sqs;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;

pub use guard::Clients;
use guard::{Guard, Guarded};

/// How long requests under way may take to end when a service is stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Two let a slow call of SQLite go on beside others; the database lets one write at a time anyway.
const THREADS: usize = 2;

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;
type Serve = Arc<dyn Fn(TcpListener) -> Serving + Send + Sync>;

/// Binds `port` of 127.0.0.1, or a free one for 0.
///
/// # Errors
/// When the port is taken.
pub fn bind(port: u16) -> std::io::Result<StdListener> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A service on a port of its own.
///
/// It has a runtime of its own too: to drop that is to close the port and every connection at once, whoever holds it.
pub struct Service {
    name: &'static str,
    address: SocketAddr,
    serve: Serve,
    guard: Arc<Guard>,
    runtime: Mutex<Option<Runtime>>,
}

impl Service {
    /// Starts the service `name` on `listener` for `clients`. Each start calls `make` within the service's own runtime to
    /// create the handler of the requests that the guard accepts.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start_on<M, S, B>(name: &'static str, listener: StdListener, clients: Clients, make: M) -> Result<Self>
    where
        M: Fn() -> S + Send + Sync + 'static,
        S: hyper::service::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let address = listener.local_addr().with_context(|| format!("{name} has no address"))?;
        let guard = Arc::new(Guard::new(address.port(), clients));
        let serving = Arc::clone(&guard);
        let serve = move |listener| -> Serving {
            Box::pin(serve_http(listener, Guarded { guard: Arc::clone(&serving), inner: make() }))
        };
        let service = Self { name, address, serve: Arc::new(serve), guard, runtime: Mutex::new(None) };
        service.run(listener)?;
        Ok(service)
    }

    /// Also accepts `port` in the `Host` of requests: the port of a proxy in front of the service, which cannot change the
    /// `Host` because the signature covers it.
    pub fn accept_port(&self, port: u16) {
        self.guard.accept_port(port);
    }

    /// Where the service is, such as `http://127.0.0.1:8081`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The service's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The service's port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Takes the service down: its port is closed and so is every connection. What it stores is kept.
    pub async fn stop(&self) {
        let runtime = self.slot().take();
        if let Some(runtime) = runtime {
            // Only a panic makes this fail, and then the runtime is gone as well.
            drop(spawn_blocking(move || runtime.shutdown_timeout(STOP_TIMEOUT)).await);
        }
    }

    /// Brings a stopped service back on its port. One that runs goes on as it is.
    ///
    /// # Errors
    /// When its port has been taken meanwhile.
    pub fn start(&self) -> Result<()> {
        if self.slot().is_some() {
            return Ok(());
        }
        let listener =
            bind(self.port()).with_context(|| format!("{} cannot return to port {}", self.name, self.port()))?;
        self.run(listener)
    }

    fn run(&self, listener: StdListener) -> Result<()> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name(self.name)
            .enable_all()
            .build()
            .with_context(|| format!("no threads for {}", self.name))?;
        let serve = Arc::clone(&self.serve);
        let name = self.name;
        runtime.spawn(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => serve(listener).await,
                Err(error) => eprintln!("{name} cannot listen: {error}"),
            }
        });
        *self.slot() = Some(runtime);
        Ok(())
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Runtime>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A runtime must not be waited for inside another one.
        if let Some(runtime) = self.slot().take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Service").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

/// Answers every connection of `listener` with `service`.
async fn serve_http<S, B>(listener: TcpListener, service: Guarded<S>)
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        // A failure to accept concerns one connection, which its client opens again.
        let Ok((connection, _)) = listener.accept().await else { continue };
        drop(connection.set_nodelay(true));
        let service = service.clone();
        tokio::spawn(async move {
            // That a client goes away is its own business.
            drop(http1::Builder::new().serve_connection(TokioIo::new(connection), service).await);
        });
    }
}
