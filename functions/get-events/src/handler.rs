//! Handles requests for a user's events.

use shared::http::{self, Error, Request, Response};
use shared::ids::{AgentId, SignalType, UserId};
use shared::integrity::EventTable;
use shared::integrity::detection::Occurrence;
use shared::integrity::store::Reader;

/// Returns the user's events for the agents that the caller may access, newest first.
pub async fn handle(events: &EventTable, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let user_id = parameters.path::<UserId>("user_id");
    let slice = parameters.slice();
    let signal_type = parameters.query("signal_type", SignalType::try_from);
    let no_others = parameters.no_others();
    let (Some(user_id), Some(slice), Some(signal_type), Some(())) = (user_id, slice, signal_type, no_others) else {
        return Err(parameters.into_error());
    };
    let reader = Reader {
        sees: |agent: &AgentId| request.caller().sees(agent),
        asks_for: |event: &Occurrence| signal_type.as_ref().is_none_or(|signal_type| event.signal_type == *signal_type),
    };
    let page = events.newest(&user_id, &slice, reader).await?;
    Ok(http::page(&page.items, page.next.and_then(|cursor| request.next_part(&slice, &cursor))))
}
