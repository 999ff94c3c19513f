//! From a request to the counts of a log.

use shared::http::{self, Error, Request, Response};
use shared::logging::{LogBucket, reader};

/// Answers with the number of entries of each signal that occurs.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let Some(conversation) = parameters.conversation() else { return Err(parameters.into_error()) };
    request.caller().require_agent(&conversation.agent_id)?;
    Ok(http::ok(&reader::summarise(log, &conversation).await?))
}
