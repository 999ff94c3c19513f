//! Handles requests for a user's events.

use shared::http::{self, Error, Request, Response};
use shared::ids::{AgentId, SignalType};
use shared::integrity::EventTable;
use shared::integrity::detection::WindowEvent;
use shared::integrity::store::ItemFilter;

/// Returns the user's events for the agents that the caller may access, newest first.
pub async fn handle(events: &EventTable, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let user_id = parameters.user_id();
    let page_request = parameters.page_request();
    let signal_type = parameters.query("signal_type", SignalType::try_from);
    let no_others = parameters.no_others();
    let (Some(user_id), Some(page_request), Some(signal_type), Some(())) =
        (user_id, page_request, signal_type, no_others)
    else {
        return Err(parameters.into_error());
    };
    let filter = ItemFilter {
        can_access: |agent: &AgentId| request.caller().can_access(agent),
        matches: |event: &WindowEvent| signal_type.as_ref().is_none_or(|signal_type| event.signal_type == *signal_type),
    };
    let page = events.newest(&user_id, &page_request, filter).await?;
    Ok(http::page(&page.items, page.next.and_then(|cursor| request.next_part(&page_request, &cursor))))
}
