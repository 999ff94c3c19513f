//! The ports of 127.0.0.1 that a stack listens on.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::{Context, Result, anyhow};

use crate::services::bind;

/// The ports to listen on.
#[derive(Clone, Copy, Debug)]
pub enum Ports {
    /// This port for the gateway, the next three ports for the stores, and the port [`WATCH_OFFSET`] above for
    /// invocations.
    From(u16),
    /// Any free ports.
    Free,
}

/// Distance from the gateway's port to the port for invocations: 8080 goes with 9000, the default of `cargo lambda invoke`.
pub const WATCH_OFFSET: u16 = 920;

/// Ports that browsers block for every kind of request (<https://fetch.spec.whatwg.org/#port-blocking>): those above
/// 1023 that other programs rarely use.
const BLOCKED_BY_BROWSERS: [u16; 12] = [6665, 6666, 6667, 6668, 6669, 6679, 6697, 3659, 4045, 4190, 6566, 10_080];
/// Number of loopback addresses to try, from 127.0.0.1 on. Some systems have only the first.
const LOOPBACK_ADDRESSES: u8 = 32;

/// Ports that are bound, so that no other program can take them.
#[derive(Debug)]
pub struct Claimed {
    /// For the dashboard and the API.
    pub gateway: TcpListener,
    /// For DynamoDB.
    pub dynamodb: TcpListener,
    /// For S3.
    pub s3: TcpListener,
    /// For SQS.
    pub sqs: TcpListener,
    /// For invocations: the proxy to `cargo lambda watch`.
    pub functions: TcpListener,
}

/// An address for `cargo lambda watch`, which has no access control. Web pages cannot reach the port. The address is
/// reserved among the stacks on this machine.
#[derive(Debug)]
pub struct Hidden {
    address: SocketAddr,
    // The UDP port of the same number reserves the address and leaves TCP to `cargo lambda watch`. The system releases the
    // reservation when the process ends.
    _reservation: UdpSocket,
}

impl Hidden {
    /// Reserves a free address.
    ///
    /// # Errors
    /// Fails if no address is free.
    pub fn claim() -> Result<Self> {
        let hosts = (1..=LOOPBACK_ADDRESSES).map(|last| Ipv4Addr::new(127, 0, 0, last));
        let mut addresses = hosts.flat_map(|host| BLOCKED_BY_BROWSERS.map(|port| SocketAddr::from((host, port))));
        let claimed = addresses.find_map(|address| {
            let reservation = UdpSocket::bind(address).ok()?;
            TcpListener::bind(address).is_ok().then_some(Self { address, _reservation: reservation })
        });
        claimed.with_context(|| {
            format!(
                "no port is free for cargo lambda watch, which needs one that browsers block: {BLOCKED_BY_BROWSERS:?}"
            )
        })
    }

    /// Returns the address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Ports {
    /// Binds all ports before anything is started.
    ///
    /// # Errors
    /// Fails if a port is taken; the message names it.
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
        let gateway = at(0, "the dashboard and the API")?;
        let dynamodb = at(1, "DynamoDB")?;
        let s3 = at(2, "S3")?;
        let sqs = at(3, "SQS")?;
        let functions = at(WATCH_OFFSET, "cargo lambda watch")?;
        Ok(Claimed { gateway, dynamodb, s3, sqs, functions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_addresses_differ_and_are_blocked_by_browsers() {
        let (one, other) = (Hidden::claim().expect("an address"), Hidden::claim().expect("an address"));
        assert_ne!(one.address(), other.address());
        for hidden in [one, other] {
            assert!(hidden.address().ip().is_loopback());
            assert!(BLOCKED_BY_BROWSERS.contains(&hidden.address().port()));
        }
    }
}
