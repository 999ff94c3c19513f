//! Lists the agents that have logs and the users of an agent, from the folders that S3 derives from keys.

use std::collections::BTreeSet;
use std::fmt;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::segment;
use super::store::{ListFolders, ListLogs};
use crate::auth::Agents;
use crate::aws::StoreError;
use crate::ids::{AgentId, UserId};
use crate::validation::Violation;

/// Maximum number of agents of a restricted key that are looked up in one request. Each takes a listing of its own.
const MAX_LOOKUPS: usize = 20;
/// Agents looked up concurrently.
const PARALLEL_LOOKUPS: usize = 10;
/// Maximum length of a cursor in bytes, which is the maximum length of an S3 key.
const MAX_CURSOR_BYTES: usize = 1_024;

/// Prefix of names, as far as a reader has typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamePrefix(String);

impl TryFrom<String> for NamePrefix {
    type Error = Violation;

    fn try_from(text: String) -> Result<Self, Violation> {
        if text.len() > AgentId::MAX_BYTES {
            return Err(Violation::string_too_long(AgentId::MAX_BYTES));
        }
        Ok(Self(text))
    }
}

/// End of a page of names: a text that sorts after the names of the page and before the next name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameCursor(String);

impl NameCursor {
    /// Parses a cursor as displayed. Returns `None` for an invalid cursor.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = !text.is_empty() && text.len() <= MAX_CURSOR_BYTES && !text.contains(is_structure);
        is_name.then(|| Self(text.to_owned()))
    }

    fn after(folder: &str) -> Self {
        Self(segment::after_folder(folder))
    }
}

impl fmt::Display for NameCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

fn is_structure(character: char) -> bool {
    character == '/' || character.is_control()
}

/// Query for names.
#[derive(Clone, Debug)]
pub struct NameQuery {
    /// Required prefix of the names.
    pub prefix: NamePrefix,
    /// End of the previous page.
    pub cursor: Option<NameCursor>,
    /// Maximum number of names to return.
    pub limit: usize,
}

/// A page of names, in the order of their S3 folders: bytewise, percent-encoded and followed by a `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<T> {
    /// The names.
    pub names: Vec<T>,
    /// Start of the next page, or `None` on the last page.
    pub next: Option<NameCursor>,
}

/// Returns the agents that have logs. Takes one listing.
pub async fn agents<S: ListFolders>(store: &S, query: &NameQuery) -> Result<Names<AgentId>, StoreError> {
    list(store, segment::AGENTS, query).await
}

/// Returns the users who have logs with `agent`. Takes one listing.
pub async fn users<S: ListFolders>(store: &S, agent: &AgentId, query: &NameQuery) -> Result<Names<UserId>, StoreError> {
    list(store, &segment::users(agent), query).await
}

/// Returns the agents that have logs and that a caller who may access `accessible` may see.
pub async fn accessible_agents<S: ListFolders + ListLogs + Sync>(
    store: &S,
    accessible: &Agents,
    query: &NameQuery,
) -> Result<Names<AgentId>, StoreError> {
    match accessible {
        Agents::All => agents(store, query).await,
        Agents::Only(only) => agents_among(store, only, query).await,
    }
}

/// Returns the agents in `among` that have logs. Reads nothing of other agents, so that neither the response nor its
/// duration reveals them. Takes one listing per agent, at most 20: a page may be short or empty without being the last.
pub async fn agents_among<S: ListLogs + Sync>(
    store: &S,
    among: &BTreeSet<AgentId>,
    query: &NameQuery,
) -> Result<Names<AgentId>, StoreError> {
    let mut asked: Vec<(String, AgentId)> = among
        .iter()
        .filter(|agent| agent.as_str().starts_with(&query.prefix.0))
        .map(|agent| (format!("{}/", segment::encode(agent.as_str())), agent.clone()))
        .filter(|(folder, _)| query.cursor.as_ref().is_none_or(|cursor| cursor.0 < *folder))
        .collect();
    asked.sort_unstable();
    let lookups = query.limit.min(MAX_LOOKUPS);
    let next =
        if asked.len() > lookups { asked[..lookups].last().map(|(last, _)| NameCursor::after(last)) } else { None };
    asked.truncate(lookups);
    let found: Vec<Option<AgentId>> = stream::iter(asked)
        .map(|(_, agent)| async move {
            let page = store.list(&segment::users(&agent), None, 1).await?;
            Ok::<_, StoreError>((!page.keys.is_empty()).then_some(agent))
        })
        .buffered(PARALLEL_LOOKUPS)
        .try_collect()
        .await?;
    Ok(Names { names: found.into_iter().flatten().collect(), next })
}

async fn list<S: ListFolders, T: TryFrom<String>>(
    store: &S,
    parent: &str,
    query: &NameQuery,
) -> Result<Names<T>, StoreError> {
    let prefix = format!("{parent}{}", segment::encode(&query.prefix.0));
    let start_after = query.cursor.as_ref().map(|cursor| format!("{parent}{cursor}"));
    let max_keys = i32::try_from(query.limit).unwrap_or(i32::MAX);
    let page = store.folders(&prefix, start_after.as_deref(), max_keys).await?;
    let names = page.folders.iter().filter_map(|folder| segment::decode(folder.strip_prefix(parent)?)).collect();
    let next = page.resume.as_deref().and_then(|resume| resume.strip_prefix(parent)).and_then(NameCursor::parse);
    Ok(Names { names, next })
}

#[cfg(test)]
mod tests;
