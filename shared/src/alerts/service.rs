//! Sends an alert for each episode transition.

use super::outbox::{self, AlertSink, StateStore};
use super::state::AlertState;
use crate::aws::StoreError;
use crate::config::Alerts;
use crate::ids::UserId;
use crate::integrity::Anomaly;

/// Tracks episodes and sends their alerts.
#[derive(Clone, Debug)]
pub struct AlertService<K, S> {
    /// Store of the alert state of each user.
    pub states: K,
    /// Destination of the alerts.
    pub sink: S,
    /// Alert settings.
    pub settings: Alerts,
}

impl<K: StateStore<AlertState>, S: AlertSink> AlertService<K, S> {
    /// Applies `anomalies` of `user`, in any order, and sends the alert of every resulting transition and all alerts
    /// still pending from earlier calls.
    ///
    /// # Errors
    /// When the table or the queue fails. Retrying is safe.
    pub async fn process(&self, user: &UserId, anomalies: &[Anomaly]) -> Result<(), StoreError> {
        // Anomalies stored together arrive in any order: the first by key opened the episode.
        let mut anomalies: Vec<_> = anomalies.iter().collect();
        anomalies.sort_by(|a, b| a.key.cmp(&b.key));
        let anomalies = &anomalies;
        let apply = |mut state: AlertState| async move {
            for anomaly in anomalies {
                state.apply(anomaly, self.settings.quiet, self.settings.min_severity);
            }
            Ok(state)
        };
        outbox::update(&self.states, &self.sink, user.as_str(), apply).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::alerts::episode::episodes;
    use crate::alerts::episode::tests::{QUIET, some_anomalies};
    use crate::alerts::state::TrackedEpisode;
    use crate::aws::versioned::Versioned;
    use crate::integrity::anomaly::Severity;
    use crate::time::Timestamp;
    use proptest::prelude::*;
    use serde_json::Value;

    /// In-memory table and queue. Each step yields to the other processes. A process that is due to die either
    /// completes or skips its last step, and does not return.
    #[derive(Clone, Default)]
    struct World {
        current: Arc<Mutex<Versioned<AlertState>>>,
        sent: Arc<Mutex<Vec<String>>>,
    }

    /// A process's access to the world, which ends after a number of steps.
    struct Mortal {
        world: World,
        steps_left: AtomicUsize,
        does_last_step: bool,
    }

    impl Mortal {
        /// Performs `step`, or dies before or after it.
        async fn step<T>(&self, step: impl FnOnce(&World) -> T) -> Result<T, StoreError> {
            tokio::task::yield_now().await;
            let left = self.steps_left.fetch_sub(1, Ordering::Relaxed);
            let dead =
                || StoreError { store: "world", operation: "step", cause: "dead".to_owned(), is_transient: true };
            match left {
                0 => {
                    self.steps_left.store(0, Ordering::Relaxed);
                    Err(dead())
                }
                1 if self.does_last_step => {
                    step(&self.world);
                    Err(dead())
                }
                _ => Ok(step(&self.world)),
            }
        }
    }

    impl StateStore<AlertState> for Arc<Mortal> {
        async fn read(&self, _: &str) -> Result<Versioned<AlertState>, StoreError> {
            self.step(|world| world.current.lock().expect("a table").clone()).await
        }

        async fn write(&self, _: &str, state: &AlertState, version: u64, _: i64) -> Result<bool, StoreError> {
            let write = |world: &World| {
                let mut current = world.current.lock().expect("a table");
                let is_current = current.version == version;
                if is_current {
                    *current = Versioned { record: state.clone(), version: version + 1 };
                }
                is_current
            };
            self.step(write).await
        }
    }

    impl AlertSink for Arc<Mortal> {
        async fn send(&self, message: &str) -> Result<(), StoreError> {
            self.step(|world| world.sent.lock().expect("a queue").push(message.to_owned())).await
        }
    }

    fn process(world: &World, steps: usize, does_last_step: bool) -> AlertService<Arc<Mortal>, Arc<Mortal>> {
        let mortal = Arc::new(Mortal { world: world.clone(), steps_left: steps.into(), does_last_step });
        let settings = Alerts { quiet: QUIET, min_severity: Severity::Warning };
        AlertService { states: Arc::clone(&mortal), sink: mortal, settings }
    }

    proptest! {
        #[test]
        fn every_alert_is_sent_with_one_id_and_text_despite_crashes(
            anomalies in some_anomalies(),
            cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..8_usize, any::<bool>()), 0..6),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let world = World::default();
            let user = anomalies[0].user_id.clone();
            runtime.block_on(async {
                // Batches of any size, given to processes that may die on the way, two at a time.
                let mut doomed: Vec<_> = cuts.iter().map(|(cut, steps, does_last_step)| {
                    let service = process(&world, *steps, *does_last_step);
                    let batch = anomalies[cut.index(anomalies.len())..].to_vec();
                    let user = user.clone();
                    async move { drop(service.process(&user, &batch).await) }
                }).collect();
                while let Some(one) = doomed.pop() {
                    match doomed.pop() {
                        Some(other) => drop(tokio::join!(one, other)),
                        None => one.await,
                    }
                }
                // The stream redelivers until one process succeeds; here two processes have succeeded concurrently.
                let (one, other) = (process(&world, usize::MAX, false), process(&world, usize::MAX, false));
                let (one, other) = tokio::join!(one.process(&user, &anomalies), other.process(&user, &anomalies));
                one.expect("it lives");
                other.expect("it lives");
            });

            let current = world.current.lock().expect("a table").clone();
            prop_assert!(current.record.outbox.is_empty());
            let found: Vec<_> = current.record.episodes().iter().map(|episode| episode.summary.clone()).collect();
            let expected = episodes(&anomalies, QUIET);
            prop_assert_eq!(found, expected.iter().map(|episode| episode.summary.clone()).collect::<Vec<_>>());
            let mut words: BTreeMap<String, String> = BTreeMap::new();
            for message in world.sent.lock().expect("a queue").iter() {
                let id = serde_json::from_str::<Value>(message).expect("JSON")["id"].as_str().expect("an id").to_owned();
                let before = words.insert(id, message.clone());
                prop_assert!(before.is_none_or(|before| before == *message));
            }
            let alerts: Vec<Value> = words.values().map(|words| serde_json::from_str(words).expect("JSON")).collect();
            for TrackedEpisode { id, summary } in current.record.episodes() {
                let opened = format!("ep_{id}_opened");
                prop_assert!(words.contains_key(&opened));
                // When two episodes merge, either may have been reported as critical.
                let is_critical = alerts.iter().any(|message| {
                    let time = Timestamp::parse_rfc3339(message["timestamp"].as_str().expect("text")).expect("a time");
                    message["data"]["severity"] == "critical" && summary.start <= time && time <= summary.end
                });
                prop_assert_eq!(is_critical, summary.severity == Severity::Critical);
            }
        }
    }
}
