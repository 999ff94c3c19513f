//! Handles requests for the newest entries of an agent over all users.

use serde_json::value::RawValue;
use shared::activity::ActivityTable;
use shared::activity::views::{AgentEntryQuery, RowPosition, entries};
use shared::http::{self, Error, Parameters, Request, Response};
use shared::ids::Signal;
use shared::logging::LogBucket;

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 50;

/// Returns the newest requested entries of the agent, newest first.
pub async fn handle(activity: &ActivityTable, log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let agent_id = parameters.agent_id();
    let query = read(&mut parameters);
    let no_others = parameters.no_others();
    let (Some(agent_id), Some(query), Some(())) = (agent_id, query, no_others) else {
        return Err(parameters.into_error());
    };
    let agent_id = request.caller().authorize(agent_id)?;
    // The type of the whole future would exceed the compiler's limit.
    let page = Box::pin(entries::newest(activity, log, &agent_id, &query)).await?;
    let lines: Vec<&RawValue> = page.rows.iter().map(|entry| &*entry.json).collect();
    Ok(http::page(&lines, page.next.map(|cursor| request.next_page(&cursor))))
}

fn read(parameters: &mut Parameters<'_>) -> Option<AgentEntryQuery> {
    let limit = parameters.query_number("limit", DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let span = parameters.span();
    let signal = parameters.query("signal", Signal::try_from);
    let last = parameters.cursor(RowPosition::parse);
    Some(AgentEntryQuery { signal: signal?, span: span?, last: last?, limit: limit? })
}
