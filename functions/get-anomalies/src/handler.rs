//! Handles requests for a user's anomalies, listed individually or grouped into episodes.

use serde::Serialize;
use shared::config::{Alerts, WindowScope};
use shared::http::{self, Error, Parameters, Request, Response};
use shared::ids::{AgentId, UserId};
use shared::integrity::anomaly::{Counts, Severity};
use shared::integrity::episode::Extent;
use shared::integrity::store::{Reader, SeenEpisode, Slice};
use shared::integrity::{Anomaly, AnomalyTable};
use shared::time::Timestamp;
use shared::validation::Problem;

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub alerts: Alerts,
    pub scope: WindowScope,
    pub anomalies: AnomalyTable,
}

/// The parsed query of a request.
struct Query {
    user_id: UserId,
    slice: Slice,
    severity: Option<Severity>,
    by_episode: bool,
}

/// The public representation of an episode.
#[derive(Serialize)]
struct Shown<'a> {
    user_id: &'a UserId,
    agent_ids: Vec<&'a AgentId>,
    start: Timestamp,
    end: Timestamp,
    severity: Severity,
    escalated_at: Option<Timestamp>,
    peak_count: Option<u32>,
    anomalies: u32,
    rules: Vec<&'a String>,
    closed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
}

/// Returns the user's anomalies for the agents that the caller may access, newest first.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let Some(query) = read(&mut parameters) else { return Err(parameters.into_error()) };
    let Query { user_id, slice, severity, by_episode } = query;
    let is_severe = |found: Severity| severity.is_none_or(|severity| found == severity);
    let sees = |agent: &AgentId| request.caller().sees(agent);
    let counts = Counts::to_caller(request.caller().sees_all(), context.scope);
    if !by_episode {
        let reader = Reader { sees, asks_for: |anomaly: &Anomaly| is_severe(anomaly.severity) };
        let page = context.anomalies.newest(&user_id, &slice, &reader).await?;
        let shown: Vec<_> = page.items.into_iter().map(|anomaly| anomaly.show(counts)).collect();
        return Ok(http::page(&shown, page.next.and_then(|cursor| request.next_part(&slice, &cursor))));
    }
    let page = context.anomalies.newest_episodes(&user_id, &slice, context.alerts.quiet, sees).await?;
    let asked_for = page.episodes.iter().filter(|seen| is_severe(seen.episode.extent.severity));
    let shown: Vec<_> = asked_for.map(|seen| shown(&user_id, seen, &context.alerts, counts)).collect();
    Ok(http::page(&shown, page.next.and_then(|cursor| request.next_part(&slice, &cursor))))
}

fn read(parameters: &mut Parameters<'_>) -> Option<Query> {
    let user_id = parameters.path("user_id");
    let slice = parameters.slice();
    let severity = parameters.query("severity", Severity::try_from);
    let group = parameters.query("group", |group| match group.as_str() {
        "episode" => Ok(()),
        _ => Err(Problem::new("literal_error", "Input should be 'episode'")),
    });
    parameters.no_others()?;
    Some(Query { user_id: user_id?, slice: slice?, severity: severity?, by_episode: group?.is_some() })
}

fn shown<'a>(user_id: &'a UserId, seen: &'a SeenEpisode, alerts: &Alerts, counts: Counts) -> Shown<'a> {
    let SeenEpisode { episode, is_partial } = seen;
    let Extent { start, end, peak_count, severity, rules, agent_ids } = &episode.extent;
    Shown {
        user_id,
        agent_ids: agent_ids.iter().collect(),
        start: *start,
        end: *end,
        severity: *severity,
        escalated_at: episode.escalated_at,
        peak_count: counts.show(*peak_count),
        anomalies: episode.anomalies,
        rules: rules.iter().collect(),
        closed: episode.is_closed(Timestamp::now(), alerts.quiet),
        partial: *is_partial,
    }
}
