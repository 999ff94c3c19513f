//! Handles requests for the agents that have logs.

use shared::http::{self, Error, Request, Response};
use shared::logging::{LogBucket, directory};

/// Returns the agents that have logs and that the caller may access.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let query = parameters.names();
    let (Some(query), Some(())) = (query, parameters.no_others()) else { return Err(parameters.into_error()) };
    let page = directory::accessible_agents(log, request.caller().agents(), &query).await?;
    Ok(http::page(&page.names, page.next.map(|cursor| request.next_page(&cursor))))
}
