//! Handles requests for a bar chart of a log's signal counts.

use shared::aws::StoreError;
use shared::http::{self, Error, Image, Parameters, Request, Response};
use shared::logging::chart::{self, ChartData, ChartOptions, HEIGHTS, Theme, WIDTHS};
use shared::logging::reader::{CountQuery, Counts};
use shared::logging::{Conversation, LogBucket, Span, reader};
use shared::validation::literal;

/// Returns a chart of the newest entries or of a time range, as PNG or, if the caller prefers it, as SVG.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let span = parameters.span();
    let options = options(&mut parameters);
    let no_others = parameters.no_others();
    let (Some(conversation), Some(span), Some(options), Some(())) = (conversation, span, options, no_others) else {
        return Err(parameters.into_error());
    };
    let conversation = request.caller().authorize(conversation)?;
    let (summary, span, is_complete) = if span.is_all() {
        (reader::summarise(log, &conversation).await?, span, true)
    } else {
        let counts = first_counts(log, &conversation, span).await?;
        let is_complete = counts.is_complete();
        let shown = if is_complete { span } else { Span::new(counts.oldest, span.until()) };
        (counts.total, shown, is_complete)
    };
    if summary.is_empty() {
        return Err(Error::NotFound("No data to visualize"));
    }
    let data = ChartData { conversation: &conversation, summary: &summary, span, is_complete };
    let image = if request.preferred(Image::PNG, &[Image::SVG]) == Image::SVG {
        chart::svg(&data, options).map(Image::Svg)
    } else {
        chart::png(&data, options).map(Image::Png)
    };
    Ok(http::image(image.map_err(|error| Error::Internal(error.to_string()))?))
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

fn options(parameters: &mut Parameters<'_>) -> Option<ChartOptions> {
    let default = ChartOptions::default();
    let mut size = |name, default: u32, allowed| {
        let pixels = parameters.query_number(name, usize::try_from(default).unwrap_or_default(), allowed)?;
        u32::try_from(pixels).ok()
    };
    let width = size("width", default.width, WIDTHS);
    let height = size("height", default.height, HEIGHTS);
    let theme = parameters.query("theme", literal::<Theme>);
    Some(ChartOptions { width: width?, height: height?, theme: theme?.unwrap_or_default() })
}
