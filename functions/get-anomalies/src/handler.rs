//! Handles requests for a user's anomalies, listed individually or grouped into episodes.

use std::collections::BTreeSet;

use serde::Serialize;
use shared::alerts::EpisodeSummary;
use shared::alerts::listing::{self, ListedEpisode};
use shared::config::{Alerts, WindowScope};
use shared::http::{self, Error, Parameters, Request, Response};
use shared::ids::{AgentId, UserId};
use shared::integrity::anomaly::{CountVisibility, Severity};
use shared::integrity::store::{ItemFilter, PageRequest};
use shared::integrity::{Anomaly, AnomalyTable};
use shared::time::Timestamp;
use shared::validation::{Violation, literal};

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub alerts: Alerts,
    pub scope: WindowScope,
    pub anomalies: AnomalyTable,
}

/// The parsed query of a request.
struct AnomalyQuery {
    user_id: UserId,
    page: PageRequest,
    severity: Option<Severity>,
    by_episode: bool,
}

/// The public representation of an episode.
#[derive(Serialize)]
struct EpisodeView<'a> {
    user_id: &'a UserId,
    agent_ids: &'a BTreeSet<AgentId>,
    start: Timestamp,
    end: Timestamp,
    severity: Severity,
    escalated_at: Option<Timestamp>,
    peak_count: Option<u32>,
    anomalies: u32,
    rules: &'a BTreeSet<String>,
    closed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
}

/// Returns the user's anomalies for the agents that the caller may access, newest first.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let Some(query) = read(&mut parameters) else { return Err(parameters.into_error()) };
    let AnomalyQuery { user_id, page: page_request, severity, by_episode } = query;
    let is_severe = |found: Severity| severity.is_none_or(|severity| found == severity);
    let can_access = |agent: &AgentId| request.caller().can_access(agent);
    let visibility = CountVisibility::of(request.caller().can_access_all(), context.scope);
    if !by_episode {
        let filter = ItemFilter { can_access, matches: |anomaly: &Anomaly| is_severe(anomaly.severity) };
        let page = context.anomalies.newest(&user_id, &page_request, &filter).await?;
        let shown: Vec<_> = page.items.into_iter().map(|anomaly| anomaly.show(visibility)).collect();
        return Ok(http::page(&shown, page.next.and_then(|cursor| request.next_part(&page_request, &cursor))));
    }
    let page = listing::newest(&context.anomalies, &user_id, &page_request, context.alerts.quiet, can_access).await?;
    let matching = page.items.iter().filter(|listed| is_severe(listed.episode.summary.severity));
    let shown: Vec<_> = matching.map(|listed| shown(&user_id, listed, &context.alerts, visibility)).collect();
    Ok(http::page(&shown, page.next.and_then(|cursor| request.next_part(&page_request, &cursor))))
}

fn read(parameters: &mut Parameters<'_>) -> Option<AnomalyQuery> {
    let user_id = parameters.user_id();
    let page = parameters.page_request();
    let severity = parameters.query("severity", literal::<Severity>);
    let group = parameters.query("group", |group| match group.as_str() {
        "episode" => Ok(()),
        _ => Err(Violation::new("literal_error", "Input should be 'episode'")),
    });
    parameters.no_others()?;
    Some(AnomalyQuery { user_id: user_id?, page: page?, severity: severity?, by_episode: group?.is_some() })
}

fn shown<'a>(
    user_id: &'a UserId,
    listed: &'a ListedEpisode,
    alerts: &Alerts,
    visibility: CountVisibility,
) -> EpisodeView<'a> {
    let ListedEpisode { episode, is_partial } = listed;
    let EpisodeSummary { start, end, peak_count, severity, rules, agent_ids } = &episode.summary;
    EpisodeView {
        user_id,
        agent_ids,
        start: *start,
        end: *end,
        severity: *severity,
        escalated_at: episode.escalated_at,
        peak_count: visibility.show(*peak_count),
        anomalies: episode.anomalies,
        rules,
        closed: episode.is_closed(Timestamp::now(), alerts.quiet),
        partial: *is_partial,
    }
}
