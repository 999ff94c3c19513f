//! Verifies the information that a key for some agents can gain about other agents' events, by enumerating every small
//! set of events of two agents.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use shared::aws::StoreError;
use shared::config::Config;
use shared::ids::AgentId;
use shared::integrity::Event;
use shared::integrity::anomaly::CountVisibility;
use shared::integrity::event::ReceivedEvent;
use shared::integrity::pipeline::{EventPipeline, IngestOutcome};

use crate::rules::Rules;
use crate::scenario::{at, event};
use crate::scheduler::Task;
use crate::store::{Flaws, Operation, Reply, Tables};
use crate::tables::{Backend, TableClient};

const SECOND: i64 = 1_000_000;
/// The times of events: four within one window, two in the next.
const TIMES: [i64; 6] = [0, 1, 2, SECOND, 5 * SECOND, 5 * SECOND + 1];

/// Tables whose calls take effect immediately.
#[derive(Clone)]
struct Direct(Arc<Mutex<Tables>>);

impl Direct {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Tables::new(Flaws::default(), true))))
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Direct {
    async fn call(&self, operation: Operation) -> Result<Reply, StoreError> {
        Ok(self.tables().apply(&operation, false))
    }
}

/// Returns the events of agent `agent` selected by the bits of `set`.
fn events(agent: &str, set: u32) -> Vec<Event> {
    let chosen = TIMES.iter().enumerate().filter(|(index, _)| set & (1 << index) != 0);
    let event = |(index, micros): (usize, &i64)| Event {
        agent_id: AgentId::try_from(agent).expect("an agent"),
        ..event(&format!("{agent}{index}"), *micros, "x")
    };
    chosen.map(event).collect()
}

/// Returns all information available to a key for agent `a`: the responses to its own events and the anomalies it can
/// list.
fn observation(config: &Config, visibility: CountVisibility, own: &[Event], others: &[Event]) -> Vec<Value> {
    let tables = Direct::new();
    let Config { detection, retention, .. } = config.clone();
    let pipeline = EventPipeline {
        events: TableClient(tables.clone()),
        anomalies: TableClient(tables.clone()),
        detection,
        retention,
    };
    let can_access = |agent: &AgentId| agent.as_str() == "a";
    let mut observed = Vec::new();
    for event in others.iter().chain(own) {
        let event = ReceivedEvent::new(event.clone(), at(60 * SECOND), &config.detection);
        let (pipeline, is_own) = (pipeline.clone(), can_access(&event.key.agent_id));
        let ingested = Task::new(async move { pipeline.ingest(event).await }).run().expect("done at once");
        match ingested.expect("tables answer") {
            IngestOutcome::Stored(receipt) if is_own => {
                observed.push(json!(receipt.acknowledge(can_access, visibility)))
            }
            IngestOutcome::Stored(_) => {}
            other => panic!("{other:?}"),
        }
    }
    let listed: Vec<_> = tables.tables().anomalies.values().cloned().collect();
    let listed = listed.into_iter().filter(|anomaly| can_access(&anomaly.key.agent_id));
    observed.extend(listed.map(|anomaly| json!(anomaly.show(visibility))));
    observed
}

/// Returns the part of an observation that docs/api.md concedes to such a key: which of its events are anomalies, and
/// their severity.
fn conceded(observation: &[Value]) -> Vec<Value> {
    let anomaly = |observed: &Value| observed.get("anomaly").unwrap_or(observed).clone();
    let observed = observation.iter().map(anomaly);
    observed.map(|anomaly| json!([anomaly["event_id"], anomaly["severity"]])).collect()
}

/// Counts the observations that differ although the key's own events, and the results of `also` for them, are the same.
fn differing(rules: Rules, visibility: Option<CountVisibility>, also: impl Fn(&[Value]) -> Vec<Value>) -> usize {
    let config = rules.config();
    let visibility = visibility.unwrap_or(CountVisibility::of(false, config.detection.scope));
    let mut seen: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut differing = 0;
    for own in 0..1 << TIMES.len() {
        for others in 0..1 << TIMES.len() {
            let observation = observation(&config, visibility, &events("a", own), &events("b", others));
            let known = json!([own, also(&observation)]).to_string();
            differing += usize::from(*seen.entry(known).or_insert_with(|| observation.clone()) != observation);
        }
    }
    differing
}

const RULES: [Rules; 2] = [Rules::uniform(1, 2), Rules::uniform(2, 4)];

#[test]
fn limited_key_learns_which_events_are_anomalies_and_no_more() {
    for rules in RULES {
        assert_eq!(differing(rules, None, conceded), 0, "{rules:?}");
    }
}

#[test]
fn limited_key_learns_nothing_when_agents_count_apart() {
    for rules in RULES {
        assert_eq!(differing(Rules { by_agent: true, ..rules }, None, |_| Vec::new()), 0, "{rules:?}");
    }
}

#[test]
fn counts_and_window_starts_would_tell_more() {
    for rules in RULES {
        assert!(differing(rules, Some(CountVisibility::Shown), conceded) > 0, "{rules:?}");
        assert!(differing(rules, None, |_| Vec::new()) > 0, "{rules:?}");
    }
}
