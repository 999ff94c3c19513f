//! The embedded services. Each service has its own port on 127.0.0.1 and its own threads, and can be stopped and
//! restarted while the others keep running, which simulates an outage. All are behind the loopback `guard`.

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

/// The time that requests in progress have to end when a service is stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// With two threads, a slow SQLite call does not block other requests; the database allows only one write at a time
/// anyway.
const THREADS: usize = 2;

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;
type Serve = Arc<dyn Fn(TcpListener) -> Serving + Send + Sync>;

/// Binds `port` of 127.0.0.1, or a free port for 0.
///
/// # Errors
/// Fails if the port is taken.
pub fn bind(port: u16) -> std::io::Result<StdListener> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A service on its own port.
///
/// The service also has its own runtime. Dropping the runtime closes the port and every connection at once, even if
/// other code still holds them.
pub struct Service {
    name: &'static str,
    address: SocketAddr,
    serve: Serve,
    guard: Arc<Guard>,
    runtime: Mutex<Option<Runtime>>,
}

impl Service {
    /// Starts the service `name` on `listener` for `clients`. Each start calls `make` within the service's own runtime
    /// to create the handler of the requests that the guard accepts.
    ///
    /// # Errors
    /// Fails if the system cannot create threads.
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

    /// Returns the service's endpoint, such as `http://127.0.0.1:8081`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the service's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the service's port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Stops the service: closes its port and every connection. Its data is kept.
    pub async fn stop(&self) {
        let runtime = self.slot().take();
        if let Some(runtime) = runtime {
            // This fails only after a panic, and then the runtime is gone as well.
            drop(spawn_blocking(move || runtime.shutdown_timeout(STOP_TIMEOUT)).await);
        }
    }

    /// Restarts a stopped service on its port. Does nothing if the service runs.
    ///
    /// # Errors
    /// Fails if the port is no longer free.
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
        // A runtime must not be awaited inside another runtime.
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

/// Serves every connection of `listener` with `service`.
async fn serve_http<S, B>(listener: TcpListener, service: Guarded<S>)
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        // A failed accept affects one connection, which its client opens again.
        let Ok((connection, _)) = listener.accept().await else { continue };
        drop(connection.set_nodelay(true));
        let service = service.clone();
        tokio::spawn(async move {
            // A client may disconnect at any time; that is not an error.
            drop(http1::Builder::new().serve_connection(TokioIo::new(connection), service).await);
        });
    }
}
