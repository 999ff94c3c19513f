//! Handles requests for one log entry.

use shared::http::{self, Error, Request, Response};
use shared::logging::{LogBucket, LogId, reader};

/// Returns the entry, which never changes, so that callers may keep it.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let log_id = parameters.log_id();
    let no_others = parameters.no_others();
    let (Some(conversation), Some(LogId(log_id)), Some(())) = (conversation, log_id, no_others) else {
        return Err(parameters.into_error());
    };
    let conversation = request.caller().authorize(conversation)?;
    match reader::entry(log, &conversation, log_id).await? {
        Some(entry) => Ok(http::immutable(&request, &entry.json)),
        None => Err(Error::NotFound("No interaction with this log_id")),
    }
}
