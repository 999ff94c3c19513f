//! Decides which episode alerts to send: one when an episode opens and one when it escalates to critical. Anomalies may
//! arrive in any order.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::anomaly::{Anomaly, Severity};
use super::episode::Extent;
use super::key::EventKey;
use crate::ids::{AgentId, UserId};
use crate::time::Timestamp;

/// Number of a user's latest episodes kept in the state. An anomaly that arrives too late to find its episode among
/// them opens a new one.
const MAX_KNOWN: usize = 20;

/// Maximum rules and agents of an episode that are stored and reported, first by name. Callers control their number,
/// and DynamoDB limits an item to 400 KB and SQS a message to 256 KB.
const MAX_NAMES: usize = 10;

/// Id length of 80 bits, enough to rule out collisions.
const ID_BYTES: usize = 10;

/// Unique id of an episode. Derived from the user and the event of the first anomaly received, so the id is the same
/// however often that anomaly is delivered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpisodeId(String);

impl EpisodeId {
    /// Returns the id of the episode of `user` that the anomaly under `key` opens.
    pub fn of(user: &UserId, key: &EventKey) -> Self {
        // Names do not contain the separator `#`.
        let hash = Sha256::digest(format!("{user}#{key}"));
        Self(hex::encode(&hash[..ID_BYTES]))
    }
}

impl fmt::Display for EpisodeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Alert state of a user: the latest episodes and the pending alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    known: Vec<Known>,
    /// Messages decided but not known to be sent, in order.
    pub pending: Vec<String>,
}

/// An episode that was reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Id of the episode, derived from the first anomaly received.
    pub id: EpisodeId,
    /// Known time range and severity.
    pub extent: Extent,
}

/// Transition of an episode that causes an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The episode has begun.
    Opened,
    /// The episode has escalated from warning to critical.
    Escalated,
}

impl Turn {
    fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Escalated => "escalated",
        }
    }
}

impl Watch {
    /// Applies `anomaly` and decides which alerts to send, if the severity is at least `min_severity`. Applying an
    /// anomaly twice changes nothing. A gap longer than `quiet` separates episodes.
    pub fn take_in(&mut self, anomaly: &Anomaly, quiet: Duration, min_severity: Severity) {
        let mut extent = Extent::of(anomaly);
        let (touched, apart): (Vec<_>, Vec<_>) =
            self.known.drain(..).partition(|known| known.extent.touches(&extent, quiet));
        self.known = apart;
        // Both merged episodes were reported; the merged one keeps the id of the older.
        let told = touched.iter().map(|known| known.extent.severity).max();
        let id = touched.iter().min_by_key(|known| known.extent.start).map(|known| known.id.clone());
        let id = id.unwrap_or_else(|| EpisodeId::of(&anomaly.user_id, &anomaly.key));
        touched.into_iter().for_each(|known| extent.merge(known.extent));
        extent.keep_names(MAX_NAMES);
        let turn = match told {
            None => Some(Turn::Opened),
            Some(told) if extent.severity > told => Some(Turn::Escalated),
            Some(_) => None,
        };
        let known = Known { id, extent };
        if let Some(turn) = turn.filter(|_| known.extent.severity >= min_severity) {
            self.pending.extend(message(turn, anomaly, &known));
        }
        self.known.push(known);
        self.known.sort_by_key(|known| known.extent.start);
        let surplus = self.known.len().saturating_sub(MAX_KNOWN);
        self.known.drain(..surplus);
    }

    /// Returns the known episodes, ordered by start.
    pub fn known(&self) -> &[Known] {
        &self.known
    }
}

/// Returns the webhook message. Format: <https://github.com/standard-webhooks/standard-webhooks>, "Payload structure".
fn message(turn: Turn, anomaly: &Anomaly, known: &Known) -> Option<String> {
    #[derive(Serialize)]
    struct Message<'a> {
        id: String,
        r#type: String,
        timestamp: Timestamp,
        data: Data<'a>,
    }
    #[derive(Serialize)]
    struct Data<'a> {
        episode_id: &'a EpisodeId,
        user_id: &'a UserId,
        agent_ids: Vec<&'a AgentId>,
        severity: Severity,
        rules: Vec<&'a String>,
        start: Timestamp,
        end: Timestamp,
        peak_count: u32,
    }
    let Known { id, extent } = known;
    let message = Message {
        id: format!("ep_{id}_{}", turn.name()),
        r#type: format!("anomaly.episode.{}", turn.name()),
        timestamp: anomaly.key.time,
        data: Data {
            episode_id: id,
            user_id: &anomaly.user_id,
            agent_ids: extent.agent_ids.iter().collect(),
            severity: extent.severity,
            rules: extent.rules.iter().collect(),
            start: extent.start,
            end: extent.end,
            peak_count: extent.peak_count,
        },
    };
    // Names and numbers always serialize.
    serde_json::to_string(&message).ok()
}

/// Storage format of the state.
#[derive(Serialize, Deserialize)]
struct Form {
    known: Vec<KnownForm>,
    pending: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct KnownForm {
    id: EpisodeId,
    start: String,
    end: String,
    peak_count: u32,
    severity: String,
    rules: Vec<String>,
    agent_ids: Vec<String>,
}

impl Watch {
    /// Returns the stored text of the state, or `None` if the state cannot be serialized.
    pub fn to_text(&self) -> Option<String> {
        let known = self.known.iter().map(|Known { id, extent }| KnownForm {
            id: id.clone(),
            start: extent.start.to_string(),
            end: extent.end.to_string(),
            peak_count: extent.peak_count,
            severity: extent.severity.name().to_owned(),
            rules: extent.rules.iter().cloned().collect(),
            agent_ids: extent.agent_ids.iter().map(AgentId::to_string).collect(),
        });
        serde_json::to_string(&Form { known: known.collect(), pending: self.pending.clone() }).ok()
    }

    /// Parses a text returned by [`Self::to_text`]. Returns `None` for any other text.
    pub fn from_text(text: &str) -> Option<Self> {
        let Form { known, pending } = serde_json::from_str(text).ok()?;
        let known = known.into_iter().map(|form| {
            let agents = form.agent_ids.into_iter().map(|agent| AgentId::try_from(agent).ok());
            let extent = Extent {
                start: Timestamp::parse_rfc3339(&form.start)?,
                end: Timestamp::parse_rfc3339(&form.end)?,
                peak_count: form.peak_count,
                severity: Severity::from_name(&form.severity)?,
                rules: form.rules.into_iter().collect(),
                agent_ids: agents.collect::<Option<_>>()?,
            };
            Some(Known { id: form.id, extent })
        });
        Some(Self { known: known.collect::<Option<_>>()?, pending })
    }
}

#[cfg(test)]
mod tests {
    use super::super::episode::episodes;
    use super::super::episode::tests::{QUIET, anomaly, some_anomalies};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const SECOND: i64 = 1_000_000;

    fn watch(anomalies: &[Anomaly]) -> Watch {
        let mut watch = Watch::default();
        anomalies.iter().for_each(|anomaly| watch.take_in(anomaly, QUIET, Severity::Warning));
        watch
    }

    fn told(watch: &Watch) -> Vec<(String, String)> {
        let read = |message: &String| {
            let message: Value = serde_json::from_str(message).expect("JSON");
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            (text(&message["type"]), text(&message["data"]["severity"]))
        };
        watch.pending.iter().map(read).collect()
    }

    fn turn(turn: &str, severity: &str) -> (String, String) {
        (format!("anomaly.episode.{turn}"), severity.to_owned())
    }

    #[test]
    fn only_opening_and_escalation_of_an_episode_are_reported() {
        let anomalies: Vec<_> = (0..20)
            .map(|n| anomaly(n * SECOND, u32::try_from(n).expect("small"), 11 + u32::try_from(n).expect("small")))
            .collect();
        let watch = watch(&anomalies);
        assert_eq!(told(&watch), [turn("opened", "warning"), turn("escalated", "critical")]);
        let first: Value = serde_json::from_str(&watch.pending[0]).expect("JSON");
        let id = EpisodeId::of(&anomalies[0].user_id, &anomalies[0].key).to_string();
        let noon = "2026-01-02T12:00:00.000000Z";
        let data = json!({
            "episode_id": id, "user_id": "user", "agent_ids": ["agent 0"], "severity": "warning", "rules": ["x:10"],
            "start": noon, "end": noon, "peak_count": 11,
        });
        let expected = json!({ "id": format!("ep_{id}_opened"), "type": "anomaly.episode.opened", "timestamp": noon, "data": data });
        assert_eq!(first, expected);
    }

    #[test]
    fn an_anomaly_that_grows_graver_escalates_its_episode() {
        let watch = watch(&[anomaly(0, 0, 11), anomaly(0, 0, 15), anomaly(0, 0, 16), anomaly(0, 0, 17)]);
        assert_eq!(told(&watch), [turn("opened", "warning"), turn("escalated", "critical")]);
    }

    #[test]
    fn what_is_not_grave_enough_is_not_told_until_it_is() {
        let mut watch = Watch::default();
        watch.take_in(&anomaly(0, 0, 11), QUIET, Severity::Critical);
        assert_eq!(told(&watch), []);
        watch.take_in(&anomaly(SECOND, 1, 16), QUIET, Severity::Critical);
        assert_eq!(told(&watch), [turn("escalated", "critical")]);
        watch.take_in(&anomaly(600 * SECOND, 2, 17), QUIET, Severity::Critical);
        assert_eq!(told(&watch), [turn("escalated", "critical"), turn("opened", "critical")]);
    }

    #[test]
    fn late_anomaly_between_two_episodes_merges_them_silently() {
        let watch = watch(&[anomaly(0, 0, 11), anomaly(100 * SECOND, 1, 11), anomaly(50 * SECOND, 2, 11)]);
        assert_eq!(told(&watch).len(), 2);
        let [known] = watch.known() else { panic!("{:?}", watch.known()) };
        assert_eq!(known.id, EpisodeId::of(&anomaly(0, 0, 11).user_id, &anomaly(0, 0, 11).key));
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
        let watch = watch(&anomalies);
        assert_eq!(watch.pending.len(), 60);
        assert!(watch.pending.iter().all(|message| message.len() < 256 * 1_024));
        // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
        assert!(watch.to_text().expect("a text").len() < 400_000, "{}", watch.to_text().expect("a text").len());
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let anomalies: Vec<_> = (0..30).map(|n| anomaly(n * 100 * SECOND, 0, 11)).collect();
        let watch = watch(&anomalies);
        assert_eq!((watch.known().len(), watch.pending.len()), (MAX_KNOWN, 30));
        assert_eq!(watch.known()[0].extent.start, anomalies[10].key.time);
    }

    proptest! {
        #[test]
        fn episodes_match_the_rule_for_any_order_of_anomalies(
            anomalies in some_anomalies(), keys in proptest::collection::vec(any::<u32>(), 30)
        ) {
            let mut shuffled: Vec<_> = anomalies.iter().cloned().zip(keys).collect();
            shuffled.sort_by_key(|(_, key)| *key);
            let shuffled: Vec<_> = shuffled.into_iter().map(|(anomaly, _)| anomaly).collect();
            let mut watch = watch(&shuffled);
            let found: Vec<_> = watch.known().iter().map(|known| known.extent.clone()).collect();
            let expected: Vec<_> = episodes(&anomalies, QUIET).into_iter().map(|episode| episode.extent).collect();
            prop_assert_eq!(&found, &expected);
            // Each episode was reported, and as critical if it is critical.
            let told = watch.pending.iter().map(|message| serde_json::from_str::<Value>(message).expect("JSON"));
            let told: Vec<_> = told.collect();
            for extent in &expected {
                let within = |message: &&Value| {
                    let time = Timestamp::parse_rfc3339(message["timestamp"].as_str().expect("text")).expect("a time");
                    extent.start <= time && time <= extent.end
                };
                prop_assert!(told.iter().any(|message| within(&message)));
                let critical = told.iter().filter(within).any(|message| message["data"]["severity"] == "critical");
                prop_assert_eq!(critical, extent.severity == Severity::Critical);
            }
            // Applying the anomalies again changes nothing.
            let before = watch.clone();
            shuffled.iter().for_each(|anomaly| watch.take_in(anomaly, QUIET, Severity::Warning));
            prop_assert_eq!(&watch, &before);
            prop_assert_eq!(Watch::from_text(&watch.to_text().expect("a text")), Some(before));
        }
    }
}
