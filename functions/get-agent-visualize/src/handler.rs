//! Handles requests for a bar chart of the signal counts of an agent over all users.

use shared::activity::ActivityTable;
use shared::activity::views::counts;
use shared::http::{Error, Request, Response};
use shared::logging::Span;
use shared::logging::chart::ChartData;

/// Returns a chart of a time range, as PNG or, if the caller prefers it, as SVG.
pub async fn handle(activity: &ActivityTable, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let agent_id = parameters.agent_id();
    let range = parameters.slots(None);
    let options = parameters.chart_options();
    let no_others = parameters.no_others();
    let (Some(agent_id), Some(range), Some(options), Some(())) = (agent_id, range, options, no_others) else {
        return Err(parameters.into_error());
    };
    let agent_id = request.caller().authorize(agent_id)?;
    let counts = counts::count(activity, &agent_id, range, None).await?;
    let span = Span::new(Some(range.since()), Some(range.until()));
    let data = ChartData { agent_id: &agent_id, user_id: None, summary: &counts.total, span, is_complete: true };
    request.chart(&data, options)
}
