//! Handles requests for the users of an agent with their latest state.

use std::fmt::Display;

use serde::Serialize;
use shared::activity::user::KEPT_DAYS;
use shared::activity::views::{ActivityPage, BoardQuery, RowPosition, TimeSort, UserRow, board};
use shared::activity::{ActivityTable, Hour};
use shared::datetime;
use shared::http::{self, Error, Parameters, Request, Response};
use shared::ids::{Signal, UserId};
use shared::logging::{EntryOrder, Summary};
use shared::time::Timestamp;
use shared::validation::{Violation, literal};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 100;
/// Hours whose entries are counted by default.
const DEFAULT_HOURS: i64 = 24;

/// Order of the users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
enum Sort {
    /// The user with the newest entry first.
    #[default]
    Recent,
    /// The user with the newest stressed entry first.
    Stressed,
    /// By name.
    Name,
}

/// The order of the users and the end of the previous page.
enum Place {
    ByTime(TimeSort, Option<RowPosition>),
    ByName(Option<UserId>),
}

/// Returns the users of the agent in the requested order.
pub async fn handle(activity: &ActivityTable, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let agent_id = parameters.agent_id();
    let query = read(&mut parameters);
    let no_others = parameters.no_others();
    let (Some(agent_id), Some((query, place)), Some(())) = (agent_id, query, no_others) else {
        return Err(parameters.into_error());
    };
    let agent_id = request.caller().authorize(agent_id)?;
    Ok(match place {
        Place::ByTime(sort, last) => shown(&request, &board::by_time(activity, &agent_id, sort, &query, last).await?),
        Place::ByName(last) => shown(&request, &board::by_name(activity, &agent_id, &query, last).await?),
    })
}

fn read(parameters: &mut Parameters<'_>) -> Option<(BoardQuery, Place)> {
    let limit = parameters.query_number("limit", DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let signal = parameters.query("signal", Signal::try_from);
    let now = Hour::of(Timestamp::now().millis());
    let since = parameters.query("since", |text| first_hour(&text, now));
    let sort = parameters.query("sort", literal::<Sort>);
    // A cursor belongs to one order.
    let place = match sort.flatten().unwrap_or_default() {
        Sort::Recent => parameters.cursor(RowPosition::parse).map(|last| Place::ByTime(TimeSort::Recent, last)),
        Sort::Stressed => parameters.cursor(RowPosition::parse).map(|last| Place::ByTime(TimeSort::Stressed, last)),
        Sort::Name => parameters.cursor(|text| UserId::try_from(text).ok()).map(Place::ByName),
    };
    let since = since?.unwrap_or(now.earlier(DEFAULT_HOURS));
    sort?;
    Some((BoardQuery { signal: signal?, since, limit: limit? }, place?))
}

/// Returns the hour of the time `text`, whose counts are kept.
fn first_hour(text: &str, now: Hour) -> Result<Hour, Violation> {
    let hour = Hour::of(datetime::from_text(text)?.millis());
    if hour >= now.days_earlier(KEPT_DAYS) {
        return Ok(hour);
    }
    Err(Violation::value_error(format!("must be within the last {KEPT_DAYS} days, for which users are counted")))
}

fn shown<P: Display>(request: &Request, page: &ActivityPage<UserRow, P>) -> Response {
    let rows: Vec<_> = page.rows.iter().map(Row::of).collect();
    http::page(&rows, page.next.as_ref().map(|cursor| request.next_page(cursor)))
}

/// A user as shown.
#[derive(Serialize)]
struct Row<'a> {
    user_id: &'a UserId,
    last_seen: String,
    last_log_id: String,
    last_signal: &'a Signal,
    last_stressed: Option<String>,
    counts: &'a Summary,
    days: Vec<Day<'a>>,
}

#[derive(Serialize)]
struct Day<'a> {
    start: String,
    counts: &'a Summary,
}

impl<'a> Row<'a> {
    fn of(row: &'a UserRow) -> Self {
        let (newest, signal) = &row.newest;
        let day = |(day, counts)| Day { start: format!("{day}T00:00:00.000Z"), counts };
        Self {
            user_id: &row.user_id,
            last_seen: time(*newest),
            last_log_id: newest.1.to_string(),
            last_signal: signal,
            last_stressed: row.newest_stressed.map(time),
            counts: &row.counts,
            days: row.days.iter().map(day).collect(),
        }
    }
}

fn time((millis, _): EntryOrder) -> String {
    Timestamp::clamped_millis(millis).to_rfc3339_millis()
}
