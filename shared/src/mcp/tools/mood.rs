//! `mood_summary`: counts of an agent by signal and time.

use serde::Serialize;
use serde_json::value::RawValue;

use super::arguments::Arguments;
use super::{Failure, Tools, authorize, encoded};
use crate::activity::views::counts::{self, Bucket};
use crate::activity::views::{ActivityInterval, SlotRange};
use crate::auth::{Caller, Unauthorized};
use crate::mcp::output::{Rows, SignalCounts};
use crate::time::Timestamp;
use crate::validation::{literal, string};

#[derive(Serialize)]
struct Mood<'a> {
    since: String,
    until: String,
    counts: SignalCounts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    intervals: Option<Rows>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    start: String,
    counts: SignalCounts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stressed_users: Option<u64>,
}

impl<'a> Row<'a> {
    fn of(bucket: &'a Bucket) -> Self {
        Self {
            start: bucket.start.to_rfc3339_millis(),
            counts: SignalCounts::of(&bucket.counts),
            users: bucket.users.map(|users| users.all),
            stressed_users: bucket.users.map(|users| users.stressed),
        }
    }
}

/// Returns the counts of an agent over all users.
pub async fn mood_summary(
    tools: &Tools,
    caller: &Caller,
    mut arguments: Arguments<'_>,
) -> Result<Box<RawValue>, Failure> {
    let agent_id = arguments.agent_id();
    let since = arguments.time("since");
    let until = arguments.time("until");
    let interval = arguments.read("interval", |json| literal::<ActivityInterval>(string(json)?));
    let no_others = arguments.no_others();
    let (Some(agent_id), Some(since), Some(until), Some(interval), Some(())) =
        (agent_id, since, until, interval, no_others)
    else {
        return Err(arguments.into_failure());
    };
    let agent_id = authorize(caller, Unauthorized::new(agent_id.clone()), &agent_id)?;
    let range = SlotRange::new(since, until, Timestamp::now());
    range.check(interval).map_err(|violation| Failure::Refused(format!("The arguments are invalid. {violation}.")))?;
    let found = counts::count(&tools.activity, &agent_id, range, interval).await?;
    let intervals = interval.map(|_| Rows::fitting(found.buckets.iter().map(Row::of))).transpose()?;
    let left_out = intervals.as_ref().filter(|rows| rows.is_cut).and_then(|rows| found.buckets.get(rows.len()));
    encoded(&Mood {
        since: range.since().to_rfc3339_millis(),
        until: range.until().to_rfc3339_millis(),
        counts: SignalCounts::of(&found.total),
        next: left_out.map(|bucket| bucket.start.to_rfc3339_millis()),
        intervals,
    })
}
