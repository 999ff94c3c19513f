//! Handles requests for log entries.

use serde_json::value::RawValue;
use shared::http::{self, Error, Request, Response};
use shared::ids::Signal;
use shared::logging::reader::{Cursor, EntryQuery, RecordedEntry};
use shared::logging::{LogBucket, reader};

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;

/// Returns the newest requested entries of the log, oldest first: as many as fit in a response.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let limit = parameters.query_number("limit", DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let span = parameters.span();
    let signal = parameters.query("signal", Signal::try_from);
    let cursor = parameters.cursor(Cursor::parse);
    let no_others = parameters.no_others();
    let (Some(conversation), Some(limit), Some(span), Some(signal), Some(cursor), Some(())) =
        (conversation, limit, span, signal, cursor, no_others)
    else {
        return Err(parameters.into_error());
    };
    request.caller().require_agent(&conversation.agent_id)?;
    let page = reader::entries(log, &conversation, &EntryQuery { span, signal, cursor, limit }).await?;
    let lines: Vec<&RawValue> = page.entries.iter().map(RecordedEntry::json).collect();
    Ok(http::page(&lines, page.next.map(|cursor| request.next_page(&cursor))))
}
