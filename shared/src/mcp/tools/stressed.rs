//! `who_is_stressed`: users by their newest stressed interaction.

use std::cmp::Reverse;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::value::RawValue;

use super::arguments::Arguments;
use super::{Failure, Tools, authorize, encoded};
use crate::activity::Hour;
use crate::activity::user::KEPT_DAYS;
use crate::activity::views::{BoardQuery, RowPosition, TimeSort, UserRow, board};
use crate::auth::{Caller, Unauthorized};
use crate::aws::StoreError;
use crate::ids::{AgentId, UserId};
use crate::logging::directory::{self, NamePrefix, NameQuery};
use crate::mcp::output::{Rows, SignalCounts};
use crate::time::Timestamp;

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 25;
/// Days that are searched by default.
const DEFAULT_DAYS: i64 = 7;
const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// Maximum number of agents that are searched if none is named.
const MAX_AGENTS: usize = 10;
/// Agents searched concurrently.
const PARALLEL: usize = 5;
/// Maximum number of pages of an agent that a call reads.
const MAX_PAGES: usize = 3;

#[derive(Serialize)]
struct Stressed {
    users: Rows,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Set if some agents were not searched.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more_agents: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    agent_id: &'a AgentId,
    user_id: &'a UserId,
    last_stressed: String,
    last_seen: String,
    last_signal: &'a str,
    counts: SignalCounts<'a>,
}

impl<'a> Row<'a> {
    fn of((agent_id, row): &'a (AgentId, UserRow)) -> Self {
        let ((seen, _), signal) = &row.newest;
        Self {
            agent_id,
            user_id: &row.user_id,
            last_stressed: time(stressed_at(row)),
            last_seen: time(*seen),
            last_signal: signal.as_str(),
            counts: SignalCounts::of(&row.counts),
        }
    }
}

fn stressed_at(row: &UserRow) -> i64 {
    row.newest_stressed.map_or(i64::MIN, |(millis, _)| millis)
}

fn time(millis: i64) -> String {
    Timestamp::clamped_millis(millis).to_rfc3339_millis()
}

/// Returns users whose newest stressed interaction is not older than `since`, newest first.
pub async fn who_is_stressed(
    tools: &Tools,
    caller: &Caller,
    mut arguments: Arguments<'_>,
) -> Result<Box<RawValue>, Failure> {
    let agent_id = arguments.optional::<AgentId>("agent_id");
    let since = arguments.time("since");
    let limit = arguments.limit(DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let cursor = arguments.cursor(RowPosition::parse);
    let no_others = arguments.no_others();
    let (Some(agent_id), Some(since), Some(limit), Some(cursor), Some(())) =
        (agent_id, since, limit, cursor, no_others)
    else {
        return Err(arguments.into_failure());
    };
    let since = since.unwrap_or(Timestamp::now().offset(-DEFAULT_DAYS * MICROS_PER_DAY));
    let Some(agent_id) = agent_id else {
        if cursor.is_some() {
            return Err(Failure::Refused("The argument cursor needs agent_id.".to_owned()));
        }
        return encoded(&of_all(tools, caller, since, limit).await?);
    };
    let agent_id = authorize(caller, Unauthorized::new(agent_id.clone()), &agent_id)?;
    let (found, next) = of_agent(tools, &agent_id, since, limit, cursor).await?;
    let found: Vec<_> = found.into_iter().map(|row| (agent_id.clone(), row)).collect();
    let users = Rows::fitting(found.iter().map(Row::of))?;
    let next = if users.is_cut { found.get(users.len() - 1).and_then(|(_, row)| position(row)) } else { next };
    encoded(&Stressed { users, next: next.map(|next| next.to_string()), more_agents: false })
}

fn position(row: &UserRow) -> Option<RowPosition> {
    row.newest_stressed.map(|order| RowPosition::of(order, &row.user_id))
}

/// Returns the users of the agents that the caller may access.
async fn of_all(tools: &Tools, caller: &Caller, since: Timestamp, limit: usize) -> Result<Stressed, Failure> {
    let query = NameQuery { prefix: NamePrefix::default(), cursor: None, limit: MAX_AGENTS };
    let agents = directory::accessible_agents(&tools.log, caller.agents(), &query).await?;
    let searches = agents.names.into_iter().map(|agent| async move {
        let (rows, _) = of_agent(tools, &agent, since, limit, None).await?;
        Ok::<_, StoreError>(rows.into_iter().map(move |row| (agent.clone(), row)))
    });
    let searches: Vec<_> = searches.map(Box::pin).collect();
    let found: Vec<_> = stream::iter(searches).buffered(PARALLEL).try_collect().await?;
    let mut found: Vec<_> = found.into_iter().flatten().collect();
    found.sort_by_key(|(_, row)| Reverse(row.newest_stressed));
    found.truncate(limit);
    let users = Rows::fitting(found.iter().map(Row::of))?;
    Ok(Stressed { users, next: None, more_agents: agents.next.is_some() })
}

/// Returns the users of `agent`, and the end of the page if there may be more.
async fn of_agent(
    tools: &Tools,
    agent: &AgentId,
    since: Timestamp,
    limit: usize,
    mut last: Option<RowPosition>,
) -> Result<(Vec<UserRow>, Option<RowPosition>), StoreError> {
    let first_hour = Hour::of(since.millis());
    let oldest_count = Hour::of(Timestamp::now().millis()).days_earlier(KEPT_DAYS);
    let mut rows = Vec::new();
    for _ in 0..MAX_PAGES {
        let query = BoardQuery { signal: None, since: first_hour.max(oldest_count), limit: limit - rows.len() };
        let page = Box::pin(board::by_time(&tools.activity, agent, TimeSort::Stressed, &query, last)).await?;
        rows.extend(page.rows.into_iter().filter(|row| stressed_at(row) >= since.millis()));
        last = page.next.filter(|next| next.hour() >= first_hour);
        if last.is_none() || rows.len() == limit {
            break;
        }
    }
    Ok((rows, last))
}
