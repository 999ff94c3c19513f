//! Model Context Protocol: an assistant asks which users need help.
//!
//! - [`message`] and [`version`] parse JSON-RPC and the protocol's versions, [`protocol`] decides what a request asks
//!   for, and [`reply`] encodes results and errors. None of them performs I/O.
//! - [`tools`] reads the stores, and [`output`] limits and marks what an assistant gets to read.
//! - [`server`] combines the two.
//!
//! The server is stateless: no session, no stream, no message of its own. Specification:
//! <https://modelcontextprotocol.io/specification/2026-07-28>.

pub mod message;
pub mod output;
pub mod protocol;
pub mod reply;
pub mod server;
pub mod tools;
pub mod version;

pub use protocol::Routing;
pub use reply::{Answer, Reply};
pub use tools::Tools;
