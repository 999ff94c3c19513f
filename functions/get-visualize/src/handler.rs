//! Handles requests for a bar chart of a log's signal counts.

use shared::aws::StoreError;
use shared::http::{Error, Request, Response};
use shared::logging::chart::ChartData;
use shared::logging::reader::{CountQuery, Counts};
use shared::logging::{Conversation, LogBucket, Span, reader};

/// Returns a chart of the newest entries or of a time range, as PNG or, if the caller prefers it, as SVG.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let span = parameters.span();
    let options = parameters.chart_options();
    let no_others = parameters.no_others();
    let (Some(conversation), Some(span), Some(options), Some(())) = (conversation, span, options, no_others) else {
        return Err(parameters.into_error());
    };
    let conversation = request.caller().authorize(conversation)?;
    if span.is_all() {
        let summary = reader::summarise(log, &conversation).await?;
        return request.chart(&ChartData::of(&conversation, &summary, span), options);
    }
    let counts = first_counts(log, &conversation, span).await?;
    let is_complete = counts.is_complete();
    let shown = if is_complete { span } else { Span::new(counts.oldest, span.until()) };
    let data = ChartData { is_complete, ..ChartData::of(&conversation, &counts.total, shown) };
    request.chart(&data, options)
}

/// Returns the first page with counts, or the last page if every page is empty. The request's deadline bounds the
/// search.
async fn first_counts(log: &LogBucket, conversation: &Conversation, span: Span) -> Result<Counts, StoreError> {
    let mut query = CountQuery { span, ..CountQuery::default() };
    loop {
        let counts = reader::count(log, conversation, &query).await?;
        if !counts.total.is_empty() || counts.is_complete() {
            return Ok(counts);
        }
        query.cursor = counts.next;
    }
}
