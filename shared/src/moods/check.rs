//! Subjects of rules, and the delayed messages that evaluate their rules again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{MoodCondition, MoodRule};
use crate::ids::{AgentId, UserId};
use crate::time::Timestamp;

/// Beginning of the keys of all subjects in the table `episodes`.
pub const KEY_PREFIX: &str = "#mood#";

/// Users whose interactions a rule evaluates together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// Agent of the interactions.
    pub agent_id: AgentId,
    /// The only user, or `None` for all users of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
}

impl Subject {
    /// Returns whether `rule` evaluates subjects of this kind.
    pub fn matches(&self, rule: &MoodRule) -> bool {
        matches!(rule.condition, MoodCondition::Run { .. }) == self.user_id.is_some()
    }

    /// Returns the key of the subject's state in the table `episodes`.
    pub fn key(&self) -> String {
        // Names do not contain the separator, so no user has such a name.
        format!("{KEY_PREFIX}{self}")
    }

    /// Returns the user whose state has the key `key`, if any.
    pub fn user_of_key(key: &str) -> Option<&str> {
        key.strip_prefix(KEY_PREFIX)?.split_once('#').map(|(_, user)| user)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user_id {
            Some(user) => write!(out, "{}#{user}", self.agent_id),
            None => self.agent_id.fmt(out),
        }
    }
}

/// Message of the queue of notifications that requests another evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoodCheck {
    /// Subject whose rules are evaluated.
    pub check_moods_of: Subject,
    /// Time of the evaluation. A check that the subject's state does not name was replaced by another.
    pub due: Timestamp,
}

impl MoodCheck {
    /// Parses the body of a message. Returns `None` for other messages.
    pub fn parse(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }

    /// Returns the body of the message.
    pub fn to_body(&self) -> Option<String> {
        // Names and times always serialize.
        serde_json::to_string(self).ok()
    }
}
