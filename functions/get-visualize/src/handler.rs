//! From a request to a bar chart of the counts of a log.

use shared::http::{self, Error, Image, Parameters, Request, Response};
use shared::logging::chart::{self, HEIGHTS, Look, Subject, Theme, WIDTHS};
use shared::logging::{LogBucket, Span, reader};

/// Answers with a chart of the last entries, or of a part of time, as PNG or, where that is preferred, as SVG.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let span = parameters.span();
    let look = look(&mut parameters);
    let (Some(conversation), Some(span), Some(look)) = (conversation, span, look) else {
        return Err(parameters.into_error());
    };
    request.caller().require_agent(&conversation.agent_id)?;
    let (summary, span) = if span.is_all() {
        (reader::summarise(log, &conversation).await?, span)
    } else {
        let counts = reader::count(log, &conversation, span, None).await?;
        (counts.total, Span::new(counts.covers_since, span.until()))
    };
    if summary.is_empty() {
        return Err(Error::NotFound("No data to visualize"));
    }
    let subject = Subject { conversation: &conversation, summary: &summary, span };
    let image = if request.prefers(Image::SVG, Image::PNG) {
        chart::svg(&subject, look).map(Image::Svg)
    } else {
        chart::png(&subject, look).map(Image::Png)
    };
    Ok(http::image(image.map_err(|error| Error::Internal(error.to_string()))?))
}

fn look(parameters: &mut Parameters<'_>) -> Option<Look> {
    let default = Look::default();
    let mut size = |name, default: u32, allowed| {
        let pixels = parameters.query_number(name, usize::try_from(default).unwrap_or_default(), allowed)?;
        u32::try_from(pixels).ok()
    };
    let width = size("width", default.width, WIDTHS);
    let height = size("height", default.height, HEIGHTS);
    let theme = parameters.query("theme", Theme::try_from);
    Some(Look { width: width?, height: height?, theme: theme?.unwrap_or_default() })
}
