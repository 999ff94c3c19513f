//! Sends an alert for each episode transition.
//!
//! Transactional outbox: the alert is persisted with the state change in one conditional write, then enqueued, then
//! removed. A process that finds a persisted alert sends it again with the same id and the same text. So a crash
//! between any two steps loses no alert.

use std::time::Duration;

use super::state::AlertState;
use crate::aws::{DYNAMODB, StoreError};
use crate::config::Alerts;
use crate::ids::UserId;
use crate::integrity::Anomaly;
use crate::queue::Queue;
use crate::time::Timestamp;

/// Maximum attempts for a write that conflicts with concurrent writers.
const MAX_CONFLICTS: usize = 8;
/// Retention of a user's state after the last anomaly. Events are late by seconds, or by days when they come from a
/// queue, which keeps messages for at most fourteen days.
const STATE_RETENTION: Duration = Duration::from_secs(15 * 24 * 60 * 60);

/// Stores the alert state of each user.
pub trait AlertStateStore {
    /// Returns the alert state of `user`, using a strongly consistent read.
    fn read(&self, user: &UserId) -> impl Future<Output = Result<VersionedState, StoreError>> + Send;

    /// Replaces the alert state of `user` by `state`. Returns `false` if the stored version is no longer `version`.
    /// `expires_at` is in Unix seconds.
    fn write(
        &self,
        user: &UserId,
        state: &AlertState,
        version: u64,
        expires_at: i64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// Alert state of a user with its version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionedState {
    /// Episodes and pending alerts.
    pub state: AlertState,
    /// Number of writes so far.
    pub version: u64,
}

/// Sends alerts.
pub trait AlertSink {
    /// Enqueues `message`, a JSON text. The message is durable when this returns.
    fn send(&self, message: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

impl AlertSink for Queue {
    async fn send(&self, message: &str) -> Result<(), StoreError> {
        self.send(message).await
    }
}

/// Tracks episodes and sends their alerts.
#[derive(Clone, Debug)]
pub struct AlertService<K, S> {
    /// Store of the alert state.
    pub states: K,
    /// Destination of the alerts.
    pub sink: S,
    /// Alert settings.
    pub settings: Alerts,
}

impl<K: AlertStateStore + Sync, S: AlertSink + Sync> AlertService<K, S> {
    /// Applies `anomalies` of `user`, in any order, and sends the alert of every resulting transition and all alerts
    /// still pending from earlier calls.
    ///
    /// # Errors
    /// When the table or the queue fails. Retrying is safe.
    pub async fn process(&self, user: &UserId, anomalies: &[Anomaly]) -> Result<(), StoreError> {
        // Anomalies stored together arrive in any order: the first by key opened the episode.
        let mut anomalies: Vec<_> = anomalies.iter().collect();
        anomalies.sort_by(|a, b| a.key.cmp(&b.key));
        for _ in 0..MAX_CONFLICTS {
            let VersionedState { state: before, mut version } = self.states.read(user).await?;
            let mut state = before.clone();
            for anomaly in &anomalies {
                state.apply(anomaly, self.settings.quiet, self.settings.min_severity);
            }
            if state != before {
                if !self.write(user, &state, version).await? {
                    continue;
                }
                version += 1;
            }
            if state.outbox.is_empty() {
                return Ok(());
            }
            for message in &state.outbox {
                self.sink.send(message).await?;
            }
            state.outbox.clear();
            if self.write(user, &state, version).await? {
                return Ok(());
            }
            // A concurrent process found the same pending alerts and sends them too.
        }
        let cause = "conflicting concurrent writes".to_owned();
        Err(StoreError { store: DYNAMODB, operation: "PutItem", cause, is_transient: true })
    }

    async fn write(&self, user: &UserId, state: &AlertState, version: u64) -> Result<bool, StoreError> {
        let expires_at = Timestamp::now().after(STATE_RETENTION).seconds();
        self.states.write(user, state, version, expires_at).await
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
    use crate::integrity::anomaly::Severity;
    use proptest::prelude::*;
    use serde_json::Value;

    /// In-memory table and queue. Each step yields to the other processes. A process that is due to die either
    /// completes or skips its last step, and does not return.
    #[derive(Clone, Default)]
    struct World {
        current: Arc<Mutex<VersionedState>>,
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

    impl AlertStateStore for Mortal {
        async fn read(&self, _: &UserId) -> Result<VersionedState, StoreError> {
            self.step(|world| world.current.lock().expect("a table").clone()).await
        }

        async fn write(&self, _: &UserId, state: &AlertState, version: u64, _: i64) -> Result<bool, StoreError> {
            let write = |world: &World| {
                let mut current = world.current.lock().expect("a table");
                let is_current = current.version == version;
                if is_current {
                    *current = VersionedState { state: state.clone(), version: version + 1 };
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

    impl AlertStateStore for Arc<Mortal> {
        async fn read(&self, user: &UserId) -> Result<VersionedState, StoreError> {
            self.as_ref().read(user).await
        }

        async fn write(
            &self,
            user: &UserId,
            state: &AlertState,
            version: u64,
            expires: i64,
        ) -> Result<bool, StoreError> {
            self.as_ref().write(user, state, version, expires).await
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
            prop_assert!(current.state.outbox.is_empty());
            let found: Vec<_> = current.state.episodes().iter().map(|episode| episode.summary.clone()).collect();
            let expected = episodes(&anomalies, QUIET);
            prop_assert_eq!(found, expected.iter().map(|episode| episode.summary.clone()).collect::<Vec<_>>());
            let mut words: BTreeMap<String, String> = BTreeMap::new();
            for message in world.sent.lock().expect("a queue").iter() {
                let id = serde_json::from_str::<Value>(message).expect("JSON")["id"].as_str().expect("an id").to_owned();
                let before = words.insert(id, message.clone());
                prop_assert!(before.is_none_or(|before| before == *message));
            }
            let alerts: Vec<Value> = words.values().map(|words| serde_json::from_str(words).expect("JSON")).collect();
            for TrackedEpisode { id, summary } in current.state.episodes() {
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
