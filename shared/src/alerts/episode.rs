//! Episodes: anomalies that belong together, however many events caused them.
//!
//! An episode opens with an anomaly and lasts as long as each next anomaly follows within `alerts.quiet_seconds`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::AgentId;
use crate::integrity::anomaly::{Anomaly, Severity};
use crate::integrity::key::EventKey;
use crate::time::Timestamp;

/// Summary of the anomalies of an episode: time range and severity. The result is the same for any order of anomalies
/// and for repeated ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpisodeSummary {
    /// `detected_at` of the first anomaly.
    pub start: Timestamp,
    /// `detected_at` of the last anomaly.
    pub end: Timestamp,
    /// Largest count of an anomaly.
    pub peak_count: u32,
    /// Highest severity of an anomaly.
    pub severity: Severity,
    /// Violated rules, as in [`Anomaly::rule`].
    pub rules: BTreeSet<String>,
    /// Agents that reported the offending events.
    pub agent_ids: BTreeSet<AgentId>,
}

impl EpisodeSummary {
    /// Returns the summary of a single `anomaly`.
    pub fn of(anomaly: &Anomaly) -> Self {
        Self {
            start: anomaly.key.time,
            end: anomaly.key.time,
            peak_count: anomaly.count,
            severity: anomaly.severity,
            rules: BTreeSet::from([anomaly.rule()]),
            agent_ids: BTreeSet::from([anomaly.key.agent_id.clone()]),
        }
    }

    /// Merges `other` into the summary.
    pub fn merge(&mut self, other: Self) {
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        self.peak_count = self.peak_count.max(other.peak_count);
        self.severity = self.severity.max(other.severity);
        self.rules.extend(other.rules);
        self.agent_ids.extend(other.agent_ids);
    }

    /// Keeps the first `most` rules and the first `most` agents. The result still does not depend on the order of
    /// anomalies.
    pub fn truncate_names(&mut self, most: usize) {
        while self.rules.len() > most {
            self.rules.pop_last();
        }
        while self.agent_ids.len() > most {
            self.agent_ids.pop_last();
        }
    }

    /// Returns whether the two summaries belong to one episode: no gap between them is longer than `quiet`.
    pub fn overlaps(&self, other: &Self, quiet: Duration) -> bool {
        other.start <= self.end.after(quiet) && self.start <= other.end.after(quiet)
    }
}

/// Anomalies of one user that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// Time range and severity.
    pub summary: EpisodeSummary,
    /// `detected_at` of the first critical anomaly, unless the episode opened with one.
    pub escalated_at: Option<Timestamp>,
    /// Number of anomalies.
    pub anomalies: u32,
    /// Key of the first anomaly.
    pub first: EventKey,
    opened_as: Severity,
}

impl Episode {
    fn open(anomaly: &Anomaly) -> Self {
        Self {
            summary: EpisodeSummary::of(anomaly),
            escalated_at: None,
            anomalies: 1,
            first: anomaly.key.clone(),
            opened_as: anomaly.severity,
        }
    }

    fn extend(&mut self, anomaly: &Anomaly) {
        self.summary.merge(EpisodeSummary::of(anomaly));
        self.anomalies += 1;
        if self.escalated_at.is_none() && anomaly.severity > self.opened_as {
            self.escalated_at = Some(anomaly.key.time);
        }
    }

    /// Returns whether the episode has been quiet for longer than `quiet` at `now`.
    pub fn is_closed(&self, now: Timestamp, quiet: Duration) -> bool {
        self.summary.end.after(quiet) < now
    }
}

/// Returns the episodes of one user's `anomalies`, which are ordered by key. The episodes have the same order.
pub fn episodes<'a>(anomalies: impl IntoIterator<Item = &'a Anomaly>, quiet: Duration) -> Vec<Episode> {
    let mut episodes: Vec<Episode> = Vec::new();
    for anomaly in anomalies {
        match episodes.last_mut() {
            Some(episode) if anomaly.key.time <= episode.summary.end.after(quiet) => episode.extend(anomaly),
            _ => episodes.push(Episode::open(anomaly)),
        }
    }
    episodes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ids::{EventId, SignalType, UserId};
    use proptest::prelude::*;

    pub(in crate::alerts) const QUIET: Duration = Duration::from_secs(60);

    /// Returns the anomaly of an event `micros` after a fixed noon, with a threshold of ten.
    pub(in crate::alerts) fn anomaly(micros: i64, id: u32, count: u32) -> Anomaly {
        let noon = Timestamp::parse_rfc3339("2026-01-02T12:00:00Z").expect("a time");
        let key = EventKey {
            time: noon.offset(micros),
            agent_id: AgentId::try_from(format!("agent {}", id % 3)).expect("an agent"),
            event_id: EventId::try_from(format!("{id:03}")).expect("an event"),
        };
        Anomaly {
            user_id: UserId::try_from("user").expect("a user"),
            window_start: key.time,
            received_at: key.time,
            key,
            signal_type: SignalType::try_from(["x", "y"][id as usize % 2]).expect("a type"),
            count,
            threshold: 10,
            severity: Severity::of(count, 10).expect("too many"),
        }
    }

    /// Generates anomalies ordered by key, some of them exactly one quiet minute apart.
    pub(in crate::alerts) fn some_anomalies() -> impl Strategy<Value = Vec<Anomaly>> {
        let time = prop_oneof![(0..20_i64).prop_map(|step| step * 30_000_000), 0..600_000_000_i64];
        proptest::collection::vec((time, 0..2_i64, 11..20_u32), 1..30).prop_map(|drawn| {
            let anomaly = |(id, (time, micros, count)): (usize, (i64, i64, u32))| {
                anomaly(time + micros, u32::try_from(id).expect("small"), count)
            };
            let mut anomalies: Vec<_> = drawn.into_iter().enumerate().map(anomaly).collect();
            anomalies.sort_by(|a, b| a.key.cmp(&b.key));
            anomalies
        })
    }

    #[test]
    fn episode_ends_after_exactly_one_quiet_minute() {
        let minute = 60_000_000;
        let together = [anomaly(0, 0, 11), anomaly(minute, 1, 12)];
        let apart = [anomaly(0, 0, 11), anomaly(minute + 1, 1, 12)];
        assert_eq!(episodes(&together, QUIET).len(), 1);
        assert_eq!(episodes(&apart, QUIET).len(), 2);
        let episode = &episodes(&together, QUIET)[0];
        assert!(!episode.is_closed(together[1].key.time.after(QUIET), QUIET));
        assert!(episode.is_closed(together[1].key.time.after(QUIET).offset(1), QUIET));
    }

    #[test]
    fn episode_escalates_once_if_it_opened_as_a_warning() {
        let escalating = [anomaly(0, 0, 15), anomaly(1, 1, 16), anomaly(2, 2, 17), anomaly(3, 3, 11)];
        let episode = &episodes(&escalating, QUIET)[0];
        assert_eq!(
            (episode.escalated_at, episode.summary.severity),
            (Some(escalating[1].key.time), Severity::Critical)
        );
        assert_eq!((episode.summary.peak_count, episode.anomalies), (17, 4));
        assert_eq!(episodes(&escalating[1..], QUIET)[0].escalated_at, None);
    }

    proptest! {
        #[test]
        fn episodes_match_their_definition(anomalies in some_anomalies()) {
            let found = episodes(&anomalies, QUIET);
            // Two neighbours belong to the same episode exactly if they are at most a minute apart.
            let mut groups: Vec<Vec<&Anomaly>> = Vec::new();
            for (index, anomaly) in anomalies.iter().enumerate() {
                let is_first = index == 0 || anomaly.key.time.micros_since(anomalies[index - 1].key.time) > 60_000_000;
                if is_first { groups.push(Vec::new()); }
                groups.last_mut().expect("a group").push(anomaly);
            }
            prop_assert_eq!(found.len(), groups.len());
            for (episode, group) in found.iter().zip(groups) {
                let times = || group.iter().map(|anomaly| anomaly.key.time);
                prop_assert_eq!(Some(episode.summary.start), times().min());
                prop_assert_eq!(Some(episode.summary.end), times().max());
                prop_assert_eq!(Some(episode.summary.peak_count), group.iter().map(|anomaly| anomaly.count).max());
                prop_assert_eq!(Some(episode.summary.severity), group.iter().map(|anomaly| anomaly.severity).max());
                prop_assert_eq!(episode.anomalies as usize, group.len());
                prop_assert_eq!(&episode.first, &group[0].key);
                let escalation = group.iter().find(|anomaly| anomaly.severity == Severity::Critical);
                let escalation = escalation.filter(|_| group[0].severity == Severity::Warning);
                prop_assert_eq!(episode.escalated_at, escalation.map(|anomaly| anomaly.key.time));
            }
        }

        #[test]
        fn summary_is_the_same_for_any_order_and_repetition(
            anomalies in some_anomalies(), order in any::<proptest::sample::Index>()
        ) {
            let merged = |anomalies: &[&Anomaly]| {
                let mut summary = EpisodeSummary::of(anomalies[0]);
                anomalies.iter().for_each(|anomaly| summary.merge(EpisodeSummary::of(anomaly)));
                summary
            };
            let in_order: Vec<_> = anomalies.iter().collect();
            let mut otherwise: Vec<_> = in_order.iter().chain(&in_order).copied().collect();
            otherwise.rotate_left(order.index(in_order.len()));
            otherwise.reverse();
            prop_assert_eq!(merged(&in_order), merged(&otherwise));
        }
    }
}
