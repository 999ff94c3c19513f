//! From a request to the last entries of a log.

use serde_json::value::RawValue;
use shared::answer::escaped_bytes;
use shared::http::{self, Error, Request, Response};
use shared::logging::reader::RecordedEntry;
use shared::logging::{LogBucket, reader};

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;
/// Below the 6 MB that a wrapped answer of Lambda's may have.
const MAX_ANSWER_BYTES: usize = 5_500_000;

/// Answers with the last entries of the log, oldest first: as many as are asked for and fit in an answer.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let limit = parameters.query_number("limit", DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let (Some(conversation), Some(limit)) = (conversation, limit) else { return Err(parameters.into_error()) };
    request.caller().require_agent(&conversation.agent_id)?;
    let entries = reader::last_entries(log, &conversation, limit).await?;
    let lines: Vec<&RawValue> = entries.iter().map(RecordedEntry::json).collect();
    Ok(http::ok(&newest_that_fit(&lines)))
}

fn newest_that_fit<'a, 'b>(lines: &'a [&'b RawValue]) -> &'a [&'b RawValue] {
    let mut bytes = 0;
    let too_old = lines.iter().rposition(|line| {
        bytes += escaped_bytes(line.get());
        bytes > MAX_ANSWER_BYTES
    });
    &lines[too_old.map_or(0, |index| index + 1)..]
}
