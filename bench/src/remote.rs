//! Puts TLS and a round trip between functions and stores, as on AWS.
//!
//! Each connection has its own threads, because the async runtime's timer is not precise enough for a millisecond.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rcgen::CertifiedKey;
use shared::env::CA_BUNDLE;
use tempfile::NamedTempFile;
use tokio::io::copy_bidirectional;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::stores::Stores;

/// Round trip between a function and a service in its region: an assumption, not a measurement.
pub const ROUND_TRIP: Duration = Duration::from_millis(1);
const ENDPOINTS: [&str; 3] = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SQS"];
const HOST: &str = "127.0.0.1";

/// Proxies with TLS and latency in front of all stores.
pub struct Remote {
    /// Environment variables with which a function finds the proxies.
    pub environment: BTreeMap<String, String>,
    _bundle: NamedTempFile,
}

impl Remote {
    /// Starts proxies for `stores`.
    pub async fn before(stores: &Stores) -> Result<Self> {
        let (certificate, config) = identity()?;
        let bundle = NamedTempFile::with_prefix("signals-bench-")?;
        std::fs::write(bundle.path(), certificate)?;
        let mut environment = stores.environment.clone();
        environment.insert(CA_BUNDLE.to_owned(), text(bundle.path())?);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        for variable in ENDPOINTS {
            let endpoint = environment.get_mut(variable).with_context(|| format!("{variable} is not set"))?;
            let store = endpoint.strip_prefix("http://").context("the store is not behind plain HTTP")?.parse()?;
            let port = distance(end_tls(acceptor.clone(), store).await?)?;
            *endpoint = format!("https://{HOST}:{port}");
        }
        Ok(Self { environment, _bundle: bundle })
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).context("the folder for temporary files has no name in Unicode")
}

/// Creates a self-signed certificate. Returns its PEM and the server's TLS configuration.
fn identity() -> Result<(String, ServerConfig)> {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(|problem| anyhow::anyhow!(problem))?;
    let config = ServerConfig::builder().with_no_client_auth();
    Ok((cert.pem(), config.with_single_cert(vec![cert.into()], key)?))
}

/// Terminates TLS and forwards connections to `store`. Returns the listener's address.
async fn end_tls(acceptor: TlsAcceptor, store: SocketAddr) -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind((HOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if client.set_nodelay(true).is_err() {
                    return;
                }
                // A stopped sandbox does not close its connections.
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let Ok(mut store) = tokio::net::TcpStream::connect(store).await else { return };
                if store.set_nodelay(true).is_ok() {
                    let _ = copy_bidirectional(&mut client, &mut store).await;
                }
            });
        }
    });
    Ok(address)
}

/// Forwards connections to `there`, delayed by half a round trip in each direction. Returns the listener's port.
fn distance(there: SocketAddr) -> Result<u16> {
    let listener = TcpListener::bind((HOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if let Err(error) = pass_on(client, there) {
                eprintln!("a connection to a store failed: {error}");
            }
        }
    });
    Ok(port)
}

fn pass_on(client: TcpStream, there: SocketAddr) -> std::io::Result<()> {
    let server = TcpStream::connect(there)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // Connecting takes one more round trip, which the local system does not need.
    carry(client.try_clone()?, server.try_clone()?, ROUND_TRIP / 2, ROUND_TRIP);
    carry(server, client, ROUND_TRIP / 2, Duration::ZERO);
    Ok(())
}

/// Forwards data with the delay `late`, plus `at_first` for the first piece.
fn carry(mut from: TcpStream, mut to: TcpStream, late: Duration, at_first: Duration) {
    let (sender, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let ready = Instant::now() + at_first;
        let mut piece = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if sender.send((Instant::now().max(ready) + late, piece[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, piece) in pieces {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
