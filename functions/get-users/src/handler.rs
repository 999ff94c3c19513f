//! Handles requests for the users who have logs with an agent.

use shared::http::{self, Error, Request, Response};
use shared::logging::{LogBucket, directory};

/// Returns the users who have logs with the agent.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let agent_id = parameters.agent_id();
    let query = parameters.names();
    let (Some(agent_id), Some(query), Some(())) = (agent_id, query, parameters.no_others()) else {
        return Err(parameters.into_error());
    };
    let agent_id = request.caller().authorize(agent_id)?;
    let page = directory::users(log, &agent_id, &query).await?;
    Ok(http::page(&page.names, page.next.map(|cursor| request.next_page(&cursor))))
}
