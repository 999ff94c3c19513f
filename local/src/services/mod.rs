//! The embedded services: each one has its own port on 127.0.0.1 and its own threads, and can be stopped and started
//! again while the rest goes on, as an outage would have it.

pub mod dynamodb;
pub mod s3;
pub mod sqs;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;

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
    runtime: Mutex<Option<Runtime>>,
}

impl Service {
    /// Starts the service `name` on `listener`; `serve` answers its connections for as long as it is polled.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start_on<F, S>(name: &'static str, listener: StdListener, serve: F) -> Result<Self>
    where
        F: Fn(TcpListener) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let service = Self {
            name,
            address: listener.local_addr().with_context(|| format!("{name} has no address"))?,
            serve: Arc::new(move |listener| Box::pin(serve(listener))),
            runtime: Mutex::new(None),
        };
        service.run(listener)?;
        Ok(service)
    }

    /// Where the service is, such as `http://127.0.0.1:8081`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
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
async fn serve_http<S, B>(listener: TcpListener, service: S)
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
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
