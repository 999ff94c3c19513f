//! From a request to the last entries of a log.

use serde_json::value::RawValue;
use shared::http::{self, Error, Request, Response};
use shared::logging::reader::RecordedEntry;
use shared::logging::{LogBucket, reader};

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;

/// Answers with the last entries of the log, oldest first.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let limit = parameters.query_number("limit", DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let (Some(conversation), Some(limit)) = (conversation, limit) else { return Err(parameters.into_error()) };
    request.caller().require_agent(&conversation.agent_id)?;
    let entries = reader::last_entries(log, &conversation, limit).await?;
    let lines: Vec<&RawValue> = entries.iter().map(RecordedEntry::json).collect();
    Ok(http::ok(&lines))
}
