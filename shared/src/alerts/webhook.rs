//! Webhook messages. Format: <https://github.com/standard-webhooks/standard-webhooks>, "Payload structure".

use std::collections::BTreeSet;

use serde::Serialize;

use super::state::{EpisodeId, TrackedEpisode};
use crate::ids::{AgentId, UserId};
use crate::integrity::anomaly::{Anomaly, Severity};
use crate::time::Timestamp;

/// Transition of an episode that causes an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum EpisodeTransition {
    /// The episode has begun.
    Opened,
    /// The episode has escalated from warning to critical.
    Escalated,
}

#[derive(Serialize)]
struct Message<D> {
    id: String,
    r#type: String,
    timestamp: Timestamp,
    data: D,
}

/// Returns the message `id` of the type `kind`, about what happened at `timestamp`.
pub(crate) fn text(id: String, kind: String, timestamp: Timestamp, data: impl Serialize) -> Option<String> {
    // Names and numbers always serialize.
    serde_json::to_string(&Message { id, r#type: kind, timestamp, data }).ok()
}

#[derive(Serialize)]
struct Data<'a> {
    episode_id: &'a EpisodeId,
    user_id: &'a UserId,
    agent_ids: &'a BTreeSet<AgentId>,
    severity: Severity,
    rules: &'a BTreeSet<String>,
    start: Timestamp,
    end: Timestamp,
    peak_count: u32,
}

/// Returns the message about the `transition` of `episode` that `anomaly` caused.
pub(super) fn message(transition: EpisodeTransition, anomaly: &Anomaly, episode: &TrackedEpisode) -> Option<String> {
    let TrackedEpisode { id, summary } = episode;
    let data = Data {
        episode_id: id,
        user_id: &anomaly.user_id,
        agent_ids: &summary.agent_ids,
        severity: summary.severity,
        rules: &summary.rules,
        start: summary.start,
        end: summary.end,
        peak_count: summary.peak_count,
    };
    text(format!("ep_{id}_{transition}"), format!("anomaly.episode.{transition}"), anomaly.key.time, data)
}
