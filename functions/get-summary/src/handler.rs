//! Handles requests for the signal counts of a log.

use serde::Serialize;
use shared::http::{self, Error, Request, Response};
use shared::logging::reader::{CountQuery, Counts, EntryCursor};
use shared::logging::{Interval, LogBucket, Summary, reader};
use shared::time::Timestamp;
use shared::validation::literal;

/// Returns the number of entries per signal, either of the newest entries or of a time range.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let span = parameters.span();
    let interval = parameters.query("bucket", literal::<Interval>);
    let cursor = parameters.cursor(EntryCursor::parse);
    let no_others = parameters.no_others();
    let (Some(conversation), Some(span), Some(interval), Some(cursor), Some(())) =
        (conversation, span, interval, cursor, no_others)
    else {
        return Err(parameters.into_error());
    };
    let conversation = request.caller().authorize(conversation)?;
    if span.is_all() && interval.is_none() && cursor.is_none() {
        return Ok(http::ok(&reader::summarise(log, &conversation).await?));
    }
    let query = CountQuery { span, interval, cursor };
    let counts = reader::count(log, &conversation, &query).await?;
    let next = counts.next.map(|cursor| request.next_page(&cursor));
    Ok(http::page(&Body::of(&counts, &query, next.as_deref()), next.clone()))
}

/// A page of the counts of a time range.
#[derive(Serialize)]
struct Body<'a> {
    since: Option<String>,
    until: Option<String>,
    covers_since: Option<String>,
    complete: bool,
    next: Option<&'a str>,
    counts: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<Vec<IntervalBody<'a>>>,
}

#[derive(Serialize)]
struct IntervalBody<'a> {
    start: String,
    counts: &'a Summary,
}

impl<'a> Body<'a> {
    fn of(counts: &'a Counts, query: &CountQuery, next: Option<&'a str>) -> Self {
        let buckets = counts.buckets.iter();
        let buckets = buckets.map(|(start, counts)| IntervalBody { start: start.to_rfc3339_millis(), counts });
        Self {
            since: query.span.since().map(Timestamp::to_rfc3339_millis),
            until: query.span.until().map(Timestamp::to_rfc3339_millis),
            covers_since: counts.covers_since.map(Timestamp::to_rfc3339_millis),
            complete: counts.is_complete(),
            next,
            counts: &counts.total,
            buckets: query.interval.map(|_| buckets.collect()),
        }
    }
}
