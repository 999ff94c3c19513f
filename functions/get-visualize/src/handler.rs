//! From a request to a bar chart of the counts of a log.

use shared::http::{self, Error, Request, Response};
use shared::logging::{LogBucket, chart, reader};

/// Answers with the summary as a PNG image.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let Some(conversation) = parameters.conversation() else { return Err(parameters.into_error()) };
    request.caller().require_agent(&conversation.agent_id)?;
    let summary = reader::summarise(log, &conversation).await?;
    if summary.is_empty() {
        return Err(Error::NotFound("No data to visualize"));
    }
    let image = chart::draw(&summary, &conversation).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(http::png(image))
}
