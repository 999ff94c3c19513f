//! Callers, and the input that they may use.

use std::collections::BTreeSet;

use super::key::KeyRecord;
use super::{AuthError, Scope, Seal};
use crate::ids::AgentId;

/// Agents that a key may access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agents {
    /// All agents, including future ones.
    All,
    /// Only these agents.
    Only(BTreeSet<AgentId>),
}

impl Agents {
    /// Returns whether the key may access `agent`.
    pub fn contains(&self, agent: &AgentId) -> bool {
        match self {
            Self::All => true,
            Self::Only(agents) => agents.contains(agent),
        }
    }
}

/// Caller of a request, authenticated by a valid key with the scope required by the endpoint.
#[derive(Clone, Debug)]
pub struct Caller(pub(super) KeyRecord);

impl Caller {
    /// Returns the name of the key, for logs.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns whether the caller has `scope` in addition to the scope required by the endpoint.
    pub fn has(&self, scope: Scope) -> bool {
        self.0.scopes.contains(&scope)
    }

    /// Returns the agents whose data the caller may access.
    pub fn agents(&self) -> &Agents {
        &self.0.agents
    }

    /// Returns whether the caller may access the data of all agents.
    pub fn can_access_all(&self) -> bool {
        self.0.agents == Agents::All
    }

    /// Returns the seal that keeps cursors secret from a caller with restricted access.
    pub fn seal(&self) -> Option<&Seal> {
        (!self.can_access_all()).then_some(&self.0.seal)
    }

    /// Returns whether the caller may access the data of `agent`.
    pub fn can_access(&self, agent: &AgentId) -> bool {
        self.0.agents.contains(agent)
    }

    /// Returns `input` if the caller may access the data of its agent.
    ///
    /// # Errors
    /// [`AuthError::Forbidden`] for any other agent.
    pub fn authorize<T: NamesAgent>(&self, input: Unauthorized<T>) -> Result<T, AuthError> {
        if self.can_access(input.0.agent_id()) { Ok(input.0) } else { Err(AuthError::Forbidden) }
    }
}

/// Input that names the agent whose data it reads or writes.
pub trait NamesAgent {
    /// Returns the agent.
    fn agent_id(&self) -> &AgentId;
}

impl NamesAgent for AgentId {
    fn agent_id(&self) -> &AgentId {
        self
    }
}

/// Parsed input that names an agent which its caller may not be allowed to access.
///
/// Only [`Caller::authorize`] returns the input, so a handler that forgets the check does not compile:
///
/// ```
/// use shared::auth::{AuthError, Caller, Unauthorized};
/// use shared::ids::UserId;
/// use shared::logging::Conversation;
///
/// fn user(caller: &Caller, conversation: Unauthorized<Conversation>) -> Result<UserId, AuthError> {
///     Ok(caller.authorize(conversation)?.user_id)
/// }
/// ```
///
/// ```compile_fail
/// use shared::auth::{AuthError, Caller, Unauthorized};
/// use shared::ids::UserId;
/// use shared::logging::Conversation;
///
/// fn user(_: &Caller, conversation: Unauthorized<Conversation>) -> Result<UserId, AuthError> {
///     Ok(conversation.user_id)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Unauthorized<T>(T);

impl<T> Unauthorized<T> {
    /// Wraps `input` until its caller is authorized.
    pub(crate) fn new(input: T) -> Self {
        Self(input)
    }

    /// Returns the input without a check, for tools and tests, which have no caller.
    pub fn into_unchecked(self) -> T {
        self.0
    }
}
