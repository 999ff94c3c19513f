//! From a request to a user's events.

use shared::http::{self, Error, Request, Response};
use shared::ids::{SignalType, UserId};
use shared::integrity::EventTable;
use shared::integrity::detection::Occurrence;

/// Answers with the user's events at the agents that the caller may see, newest first.
pub async fn handle(events: &EventTable, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let user_id = parameters.path::<UserId>("user_id");
    let slice = parameters.slice();
    let signal_type = parameters.query("signal_type", SignalType::try_from);
    let (Some(user_id), Some(slice), Some(signal_type)) = (user_id, slice, signal_type) else {
        return Err(parameters.into_error());
    };
    let is_asked_for = |event: &Occurrence| {
        request.caller().sees(&event.key.agent_id)
            && signal_type.as_ref().is_none_or(|signal_type| event.signal_type == *signal_type)
    };
    let page = events.newest(&user_id, &slice, is_asked_for).await?;
    Ok(http::page(&page.items, page.next.map(|cursor| request.next_page(&cursor))))
}
