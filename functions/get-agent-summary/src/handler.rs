//! Handles requests for the signal counts of an agent over all users.

use serde::Serialize;
use shared::activity::ActivityTable;
use shared::activity::views::counts::{self, AgentCounts, Bucket};
use shared::activity::views::{ActivityInterval, SlotRange};
use shared::http::{self, Error, Request, Response};
use shared::logging::Summary;
use shared::validation::literal;

/// Returns the number of entries per signal in a time range, also by interval if wanted.
pub async fn handle(activity: &ActivityTable, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let agent_id = parameters.agent_id();
    let interval = parameters.query("interval", literal::<ActivityInterval>);
    let range = parameters.slots(interval.flatten());
    let no_others = parameters.no_others();
    let (Some(agent_id), Some(interval), Some(range), Some(())) = (agent_id, interval, range, no_others) else {
        return Err(parameters.into_error());
    };
    let agent_id = request.caller().authorize(agent_id)?;
    let counts = counts::count(activity, &agent_id, range, interval).await?;
    Ok(http::ok(&Body::of(&counts, range, interval)))
}

/// The counts of a time range.
#[derive(Serialize)]
struct Body<'a> {
    since: String,
    until: String,
    counts: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<Vec<BucketBody<'a>>>,
}

#[derive(Serialize)]
struct BucketBody<'a> {
    start: String,
    counts: &'a Summary,
    #[serde(flatten)]
    users: Option<UsersBody>,
}

#[derive(Serialize)]
struct UsersBody {
    users: u64,
    stressed_users: u64,
}

impl<'a> Body<'a> {
    fn of(counts: &'a AgentCounts, range: SlotRange, interval: Option<ActivityInterval>) -> Self {
        let bucket = |bucket: &'a Bucket| BucketBody {
            start: bucket.start.to_rfc3339_millis(),
            counts: &bucket.counts,
            users: bucket.users.map(|users| UsersBody { users: users.all, stressed_users: users.stressed }),
        };
        Self {
            since: range.since().to_rfc3339_millis(),
            until: range.until().to_rfc3339_millis(),
            counts: &counts.total,
            buckets: interval.map(|_| counts.buckets.iter().map(bucket).collect()),
        }
    }
}
