//! Handles requests for the feedback on an agent's entries.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::http::{self, Error, Request, Response};
use shared::ids::Signal;
use shared::logging::FeedbackTable;
use shared::logging::feedback::{self, Agreement, Feedback};

#[derive(Serialize)]
struct Page<'a> {
    feedback: &'a [Feedback],
    /// Agreement of the feedback on this page, by signal.
    agreement: BTreeMap<Signal, Agreement>,
}

/// Returns feedback, newest first, and how often it agrees with the detected signals.
pub async fn handle(table: &FeedbackTable, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let agent = parameters.agent_id();
    let query = parameters.feedback();
    let no_others = parameters.no_others();
    let (Some(agent), Some(query), Some(())) = (agent, query, no_others) else { return Err(parameters.into_error()) };
    let agent = request.caller().authorize(agent)?;
    let page = table.newest(&agent, &query).await?;
    let body = Page { feedback: &page.feedback, agreement: feedback::agreement(&page.feedback) };
    Ok(http::page(&body, page.next.map(|cursor| request.next_page(&cursor))))
}
