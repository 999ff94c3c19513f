//! From a request to the counts of a log.

use serde::Serialize;
use shared::http::{self, Error, Request, Response};
use shared::logging::reader::Counts;
use shared::logging::{Bucket, LogBucket, Span, Summary, reader};
use shared::time::Timestamp;

/// Answers with the number of entries of each signal that occurs: of the last ones, or of a part of time.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let span = parameters.span();
    let bucket = parameters.query("bucket", Bucket::try_from);
    let (Some(conversation), Some(span), Some(bucket)) = (conversation, span, bucket) else {
        return Err(parameters.into_error());
    };
    request.caller().require_agent(&conversation.agent_id)?;
    if span.is_all() && bucket.is_none() {
        return Ok(http::ok(&reader::summarise(log, &conversation).await?));
    }
    let counts = reader::count(log, &conversation, span, bucket).await?;
    Ok(http::ok(&Body::of(&counts, span, bucket.is_some())))
}

/// The answer about a part of time.
#[derive(Serialize)]
struct Body<'a> {
    since: Option<String>,
    until: Option<String>,
    covers_since: Option<String>,
    complete: bool,
    counts: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<Vec<BucketBody<'a>>>,
}

#[derive(Serialize)]
struct BucketBody<'a> {
    start: String,
    counts: &'a Summary,
}

impl<'a> Body<'a> {
    fn of(counts: &'a Counts, span: Span, in_buckets: bool) -> Self {
        let buckets = counts.buckets.iter();
        let buckets = buckets.map(|(start, counts)| BucketBody { start: start.to_rfc3339_millis(), counts });
        Self {
            since: span.since().map(Timestamp::to_rfc3339_millis),
            until: span.until().map(Timestamp::to_rfc3339_millis),
            covers_since: counts.covers_since.map(Timestamp::to_rfc3339_millis),
            complete: counts.is_complete,
            counts: &counts.total,
            buckets: in_buckets.then(|| buckets.collect()),
        }
    }
}
