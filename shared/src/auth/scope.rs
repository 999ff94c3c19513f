//! Permissions of a key.

use strum::{Display, EnumString, IntoStaticStr};

/// Permission of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display, EnumString, IntoStaticStr)]
#[strum(parse_err_ty = UnknownScope, parse_err_fn = unknown)]
pub enum Scope {
    /// Record interactions.
    #[strum(serialize = "logs:write")]
    LogsWrite,
    /// Read entries, counts and charts.
    #[strum(serialize = "logs:read")]
    LogsRead,
    /// Send events.
    #[strum(serialize = "events:write")]
    EventsWrite,
    /// Read events and anomalies.
    #[strum(serialize = "events:read")]
    EventsRead,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::LogsWrite, Self::LogsRead, Self::EventsWrite, Self::EventsRead];

    /// Returns the name used in keys and documents.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The text is not a scope.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a scope: use logs:write, logs:read, events:write or events:read")]
pub struct UnknownScope(String);

fn unknown(text: &str) -> UnknownScope {
    UnknownScope(text.to_owned())
}
