//! Decides which episode alerts to send: one when an episode opens and one when it escalates to critical, never a reminder.
//! Anomalies may arrive in any order. [`crate::queue`] delivers an alert again if the webhook fails.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::episode::EpisodeSummary;
use super::outbox::{self, OutboxState};
use super::webhook::{self, EpisodeTransition};
use crate::ids::UserId;
use crate::integrity::anomaly::{Anomaly, Severity};
use crate::integrity::key::EventKey;

/// Number of a user's latest episodes kept in the state. An anomaly that arrives too late to find its episode among
/// them opens a new one.
const MAX_TRACKED: usize = 20;

/// Maximum rules and agents of an episode that are stored and reported, first by name. Callers control their number,
/// and DynamoDB limits an item to 400 KB and SQS a message to 256 KB.
const MAX_NAMES: usize = 10;

/// Unique id of an episode. Derived from the user and the event of the first anomaly received, so the id is the same
/// however often that anomaly is delivered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpisodeId(String);

impl EpisodeId {
    /// Returns the id of the episode of `user` that the anomaly under `key` opens.
    pub fn of(user: &UserId, key: &EventKey) -> Self {
        // Names do not contain the separator `#`.
        Self(outbox::short_id(&format!("{user}#{key}")))
    }
}

impl fmt::Display for EpisodeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Alert state of a user: the latest episodes and the outbox of alerts. Its JSON form is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertState {
    #[serde(rename = "known")]
    episodes: Vec<TrackedEpisode>,
    /// Alerts persisted but not known to be sent, in order.
    #[serde(rename = "pending")]
    pub outbox: Vec<String>,
}

/// An episode that was reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedEpisode {
    /// Id of the episode, derived from the first anomaly received.
    pub id: EpisodeId,
    /// Time range and severity so far.
    #[serde(flatten)]
    pub summary: EpisodeSummary,
}

impl AlertState {
    /// Applies `anomaly` and decides which alerts to send, if the severity is at least `min_severity`. Applying an
    /// anomaly twice changes nothing. A gap longer than `quiet` separates episodes.
    pub fn apply(&mut self, anomaly: &Anomaly, quiet: Duration, min_severity: Severity) {
        let mut summary = EpisodeSummary::of(anomaly);
        let (overlapping, others): (Vec<_>, Vec<_>) =
            self.episodes.drain(..).partition(|episode| episode.summary.overlaps(&summary, quiet));
        self.episodes = others;
        // Both merged episodes were reported; the merged one keeps the id of the older.
        let reported = overlapping.iter().map(|episode| episode.summary.severity).max();
        let id = overlapping.iter().min_by_key(|episode| episode.summary.start).map(|episode| episode.id.clone());
        let id = id.unwrap_or_else(|| EpisodeId::of(&anomaly.user_id, &anomaly.key));
        overlapping.into_iter().for_each(|episode| summary.merge(episode.summary));
        summary.truncate_names(MAX_NAMES);
        let transition = match reported {
            None => Some(EpisodeTransition::Opened),
            Some(reported) if summary.severity > reported => Some(EpisodeTransition::Escalated),
            Some(_) => None,
        };
        let episode = TrackedEpisode { id, summary };
        if let Some(transition) = transition.filter(|_| episode.summary.severity >= min_severity) {
            self.outbox.extend(webhook::message(transition, anomaly, &episode));
        }
        self.episodes.push(episode);
        self.episodes.sort_by_key(|episode| episode.summary.start);
        let surplus = self.episodes.len().saturating_sub(MAX_TRACKED);
        self.episodes.drain(..surplus);
    }

    /// Returns the tracked episodes, ordered by start.
    pub fn episodes(&self) -> &[TrackedEpisode] {
        &self.episodes
    }
}

impl OutboxState for AlertState {
    fn outbox(&mut self) -> &mut Vec<String> {
        &mut self.outbox
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::episode::episodes;
    use crate::alerts::episode::tests::{QUIET, anomaly, some_anomalies};
    use crate::time::Timestamp;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const SECOND: i64 = 1_000_000;

    fn state(anomalies: &[Anomaly]) -> AlertState {
        let mut state = AlertState::default();
        anomalies.iter().for_each(|anomaly| state.apply(anomaly, QUIET, Severity::Warning));
        state
    }

    fn alerts(state: &AlertState) -> Vec<(String, String)> {
        let read = |message: &String| {
            let message: Value = serde_json::from_str(message).expect("JSON");
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            (text(&message["type"]), text(&message["data"]["severity"]))
        };
        state.outbox.iter().map(read).collect()
    }

    fn transition(transition: &str, severity: &str) -> (String, String) {
        (format!("anomaly.episode.{transition}"), severity.to_owned())
    }

    #[test]
    fn only_opening_and_escalation_of_an_episode_are_reported() {
        let anomalies: Vec<_> = (0..20)
            .map(|n| anomaly(n * SECOND, u32::try_from(n).expect("small"), 11 + u32::try_from(n).expect("small")))
            .collect();
        let state = state(&anomalies);
        assert_eq!(alerts(&state), [transition("opened", "warning"), transition("escalated", "critical")]);
        let first: Value = serde_json::from_str(&state.outbox[0]).expect("JSON");
        let id = EpisodeId::of(&anomalies[0].user_id, &anomalies[0].key).to_string();
        let noon = "2026-01-02T12:00:00.000000Z";
        let data = json!({
            "episode_id": id, "user_id": "user", "agent_ids": ["agent 0"], "severity": "warning", "rules": ["x:10"],
            "start": noon, "end": noon, "peak_count": 11,
        });
        let expected = json!({ "id": format!("ep_{id}_opened"), "type": "anomaly.episode.opened", "timestamp": noon, "data": data });
        assert_eq!(first, expected);
    }

    /// The state is stored: another version must read and write the same format.
    #[test]
    fn state_has_its_documented_format() {
        let state = AlertState { outbox: vec!["{}".to_owned()], ..state(&[anomaly(0, 0, 11)]) };
        let noon = "2026-01-02T12:00:00.000000Z";
        let known = json!({
            "id": state.episodes()[0].id, "start": noon, "end": noon, "peak_count": 11, "severity": "warning",
            "rules": ["x:10"], "agent_ids": ["agent 0"],
        });
        let expected = json!({ "known": [known], "pending": ["{}"] });
        let text = serde_json::to_string(&state).expect("a text");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), expected);
        assert_eq!(serde_json::from_str(&expected.to_string()).ok(), Some(state));
    }

    #[test]
    fn anomaly_that_becomes_critical_escalates_its_episode() {
        let state = state(&[anomaly(0, 0, 11), anomaly(0, 0, 15), anomaly(0, 0, 16), anomaly(0, 0, 17)]);
        assert_eq!(alerts(&state), [transition("opened", "warning"), transition("escalated", "critical")]);
    }

    #[test]
    fn episodes_below_min_severity_are_not_reported() {
        let mut state = AlertState::default();
        state.apply(&anomaly(0, 0, 11), QUIET, Severity::Critical);
        assert_eq!(alerts(&state), []);
        state.apply(&anomaly(SECOND, 1, 16), QUIET, Severity::Critical);
        assert_eq!(alerts(&state), [transition("escalated", "critical")]);
        state.apply(&anomaly(600 * SECOND, 2, 17), QUIET, Severity::Critical);
        assert_eq!(alerts(&state), [transition("escalated", "critical"), transition("opened", "critical")]);
    }

    #[test]
    fn late_anomaly_between_two_episodes_merges_them_silently() {
        let state = state(&[anomaly(0, 0, 11), anomaly(100 * SECOND, 1, 11), anomaly(50 * SECOND, 2, 11)]);
        assert_eq!(alerts(&state).len(), 2);
        let [episode] = state.episodes() else { panic!("{:?}", state.episodes()) };
        assert_eq!(episode.id, EpisodeId::of(&anomaly(0, 0, 11).user_id, &anomaly(0, 0, 11).key));
    }

    #[test]
    fn state_and_messages_fit_the_limits_for_any_number_of_names() {
        // Names of maximum length. Each anomaly has names of its own, and each episode becomes critical at its end.
        let named = |episode: i64, n: u32| {
            let count = if n == 299 { 16 } else { 11 };
            let mut anomaly = anomaly(episode * 1_000 * SECOND + i64::from(n) * SECOND, n, count);
            let name = |length: usize| format!("{n:\"<length$}");
            anomaly.signal_type = name(64).try_into().expect("a signal type");
            anomaly.key.agent_id = name(128).try_into().expect("an agent");
            anomaly
        };
        let anomalies: Vec<_> = (0..30).flat_map(|episode| (0..300).map(move |n| named(episode, n))).collect();
        let state = state(&anomalies);
        assert_eq!(state.outbox.len(), 60);
        assert!(state.outbox.iter().all(|message| message.len() < 256 * 1_024));
        // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
        assert!(
            serde_json::to_string(&state).expect("a text").len() < 400_000,
            "{}",
            serde_json::to_string(&state).expect("a text").len()
        );
    }

    #[test]
    fn only_the_latest_episodes_are_tracked() {
        let anomalies: Vec<_> = (0..30).map(|n| anomaly(n * 100 * SECOND, 0, 11)).collect();
        let state = state(&anomalies);
        assert_eq!((state.episodes().len(), state.outbox.len()), (MAX_TRACKED, 30));
        assert_eq!(state.episodes()[0].summary.start, anomalies[10].key.time);
    }

    proptest! {
        #[test]
        fn episodes_match_the_rule_for_any_order_of_anomalies(
            anomalies in some_anomalies(), keys in proptest::collection::vec(any::<u32>(), 30)
        ) {
            let mut shuffled: Vec<_> = anomalies.iter().cloned().zip(keys).collect();
            shuffled.sort_by_key(|(_, key)| *key);
            let shuffled: Vec<_> = shuffled.into_iter().map(|(anomaly, _)| anomaly).collect();
            let mut state = state(&shuffled);
            let found: Vec<_> = state.episodes().iter().map(|episode| episode.summary.clone()).collect();
            let expected: Vec<_> = episodes(&anomalies, QUIET).into_iter().map(|episode| episode.summary).collect();
            prop_assert_eq!(&found, &expected);
            // Each episode was reported, and as critical if it is critical.
            let alerts = state.outbox.iter().map(|message| serde_json::from_str::<Value>(message).expect("JSON"));
            let alerts: Vec<_> = alerts.collect();
            for summary in &expected {
                let within = |message: &&Value| {
                    let time = Timestamp::parse_rfc3339(message["timestamp"].as_str().expect("text")).expect("a time");
                    summary.start <= time && time <= summary.end
                };
                prop_assert!(alerts.iter().any(|message| within(&message)));
                let critical = alerts.iter().filter(within).any(|message| message["data"]["severity"] == "critical");
                prop_assert_eq!(critical, summary.severity == Severity::Critical);
            }
            // Applying the anomalies again changes nothing.
            let before = state.clone();
            shuffled.iter().for_each(|anomaly| state.apply(anomaly, QUIET, Severity::Warning));
            prop_assert_eq!(&state, &before);
            prop_assert_eq!(serde_json::from_str(&serde_json::to_string(&state).expect("a text")).ok(), Some(before));
        }
    }
}
