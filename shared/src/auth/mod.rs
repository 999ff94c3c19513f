//! Authenticates callers by API keys and authorizes their access to agents.
//!
//! [`Authenticator`] turns a key into a [`Caller`]. Parsed input that names an agent is [`Unauthorized`] until the
//! caller's access to that agent is checked.

mod authenticator;
mod caller;
mod key;
mod scope;
mod seal;
mod table;

pub use authenticator::Authenticator;
pub use caller::{Agents, Caller, NamesAgent, Unauthorized};
pub use key::{ApiKey, KeyHash, KeyRecord};
pub use scope::{Scope, UnknownScope};
pub use seal::Seal;
pub use table::{FindKey, KeyTable};

use crate::aws::StoreError;

/// Reason why a request is rejected before it is handled.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No key, or a key that is unknown, expired or revoked.
    #[error("unauthenticated")]
    Unauthenticated,
    /// The key lacks the scope, or is not valid for this agent.
    #[error("forbidden")]
    Forbidden,
    /// The key could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}
