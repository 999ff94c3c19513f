//! The ports of 127.0.0.1 that a stack listens on.

use std::io::ErrorKind;
use std::net::TcpListener;

use anyhow::{Context, Result, anyhow};

use crate::services::bind;

/// Which ports to take.
#[derive(Clone, Copy, Debug)]
pub enum Ports {
    /// This one for the front, the next three for the stores, and [`WATCH_OFFSET`] above it for `cargo lambda watch`.
    From(u16),
    /// Whichever are free.
    Free,
}

/// From the port of the front to the one of `cargo lambda watch`: 8080 goes with 9000, its usual one.
pub const WATCH_OFFSET: u16 = 920;

/// Ports that are taken, so that nobody else gets them.
#[derive(Debug)]
pub struct Claimed {
    /// For the dashboard and the API.
    pub front: TcpListener,
    /// For DynamoDB.
    pub dynamodb: TcpListener,
    /// For S3.
    pub s3: TcpListener,
    /// For SQS.
    pub sqs: TcpListener,
    /// For `cargo lambda watch`, which binds it itself. It was free a moment ago.
    pub watch: u16,
}

impl Ports {
    /// Claims all of them before anything is started.
    ///
    /// # Errors
    /// When one is taken; the message names it.
    pub fn claim(self) -> Result<Claimed> {
        let at = |offset: u16, what: &str| {
            let port = match self {
                Self::Free => 0,
                Self::From(base) => base
                    .checked_add(offset)
                    .with_context(|| format!("--port-base {base} leaves no port {offset} above it for {what}"))?,
            };
            bind(port).map_err(|error| match error.kind() {
                ErrorKind::AddrInUse => anyhow!(
                    "port {port} ({what}) is taken: end what listens there, or choose other ports with --port-base"
                ),
                _ => anyhow!(error).context(format!("cannot listen on port {port} ({what})")),
            })
        };
        let front = at(0, "the dashboard and the API")?;
        let dynamodb = at(1, "DynamoDB")?;
        let s3 = at(2, "S3")?;
        let sqs = at(3, "SQS")?;
        let watch = at(WATCH_OFFSET, "cargo lambda watch")?.local_addr().context("a port has no number")?.port();
        Ok(Claimed { front, dynamodb, s3, sqs, watch })
    }
}

/// A port that is free now.
///
/// # Errors
/// When there is none.
pub fn free() -> Result<u16> {
    Ok(bind(0).and_then(|listener| listener.local_addr()).context("no port is free")?.port())
}
