//! Handles requests for the agents with their counts of today.

use serde::Serialize;
use shared::activity::views::today::{self, Today};
use shared::activity::{ActivityTable, Hour};
use shared::http::{self, Error, Request, Response};
use shared::ids::AgentId;
use shared::logging::{LogBucket, Summary, directory};
use shared::time::Timestamp;

/// Returns the agents that have logs and that the caller may access, each with its activity of today.
pub async fn handle(activity: &ActivityTable, log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let query = parameters.names();
    let (Some(query), Some(())) = (query, parameters.no_others()) else { return Err(parameters.into_error()) };
    let page = directory::accessible_agents(log, request.caller().agents(), &query).await?;
    let agents = today::today(activity, page.names, Timestamp::now()).await?;
    let rows: Vec<_> = agents.iter().map(Row::of).collect();
    Ok(http::page(&rows, page.next.map(|cursor| request.next_page(&cursor))))
}

/// An agent as shown.
#[derive(Serialize)]
struct Row<'a> {
    agent_id: &'a AgentId,
    counts: &'a Summary,
    users: u64,
    stressed_users: u64,
    newest_hour: Option<String>,
}

impl<'a> Row<'a> {
    fn of((agent_id, today): &'a (AgentId, Today)) -> Self {
        Self {
            agent_id,
            counts: &today.counts,
            users: today.users.all,
            stressed_users: today.users.stressed,
            newest_hour: today.newest.map(time),
        }
    }
}

fn time(hour: Hour) -> String {
    Timestamp::clamped_millis(hour.start()).to_rfc3339_millis()
}
