//! Delivers queued alerts to the configured destinations. Settings are cached and reloaded periodically.
//!
//! An alert with several destinations is replaced in the queue by one message per destination, so that a destination
//! that fails is retried alone. See `docs/decisions/alert-destinations.md`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::queue::{Failure, Message, Queue};
use shared::time::Timestamp;
use tokio::sync::Mutex;

use crate::alert::{Alert, Route, parse_message, routed_message};
use crate::destination::Destination;
use crate::endpoint_state::EndpointState;
use crate::settings::{Destinations, Source, Target};
use crate::webhook_client::{Delivery, WebhookClient};

/// The time for which settings are cached.
const TTL: Duration = Duration::from_secs(5 * 60);
/// The time for which a failure to read the settings is cached, so that the other messages of a batch do not wait for
/// another attempt.
const FAILURE_TTL: Duration = Duration::from_secs(5);
/// The maximum time for a delivery.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Delivers alerts.
pub struct AlertDispatcher {
    source: Source,
    endpoint_state: EndpointState,
    queue: Queue,
    dashboard: Option<String>,
    client: WebhookClient,
    cached: Mutex<Option<CachedSettings>>,
}

/// Settings, with the keys of the destinations that have unsubscribed from them.
#[derive(Clone)]
struct Settings {
    target: Target,
    unsubscribed: BTreeSet<String>,
}

/// The last result of reading the settings and the time of that read.
struct CachedSettings {
    settings: Result<Settings, String>,
    read_at: Instant,
}

impl CachedSettings {
    fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < if self.settings.is_ok() { TTL } else { FAILURE_TTL }
    }
}

impl AlertDispatcher {
    /// Creates a dispatcher that delivers to the destinations in `source`, except those that `endpoint_state` records as
    /// unsubscribed. Messages for several destinations go through `queue`. Messages for people link to `dashboard`.
    pub fn new(source: Source, endpoint_state: EndpointState, queue: Queue, dashboard: Option<String>) -> Self {
        let client = WebhookClient::new(TIMEOUT);
        Self { source, endpoint_state, queue, dashboard, client, cached: Mutex::new(None) }
    }

    /// Delivers `message`, an alert, to its destination. If there are several destinations, enqueues a message for each.
    ///
    /// # Errors
    /// Returns whether the delivery may be retried, or whether the message is dropped because the endpoint or the
    /// settings are gone.
    pub async fn deliver(&self, message: String) -> Result<(), Failure> {
        let (alert, route) =
            parse_message(&message).ok_or_else(|| Failure::Permanent { reason: "message has no id".to_owned() })?;
        let id = &alert.id;
        let Settings { target, unsubscribed } = self.settings().await.map_err(transient)?;
        let destinations = match target {
            Target::Destinations(destinations) => destinations,
            Target::Missing => {
                tracing::warn!(id, "dropped alert: no destination is configured");
                return Err(Failure::Dropped);
            }
            Target::Off => {
                tracing::info!(id, "skipped alert: alerts are turned off");
                return Ok(());
            }
        };
        match recipients(&destinations.list, &alert, route.as_ref())[..] {
            [] => {
                tracing::info!(id, "skipped alert: no destination receives alerts of its type, severity and agents");
                Ok(())
            }
            [destination] if unsubscribed.contains(&destination.key) => {
                let destination = destinations.label(destination);
                tracing::warn!(
                    id,
                    destination,
                    "dropped alert: endpoint has unsubscribed with 410; change the settings to resume"
                );
                Err(Failure::Dropped)
            }
            [destination] => self.send(&alert, destination, &destinations).await,
            ref several => self.fan_out(&alert, several, &destinations).await,
        }
    }

    async fn send(&self, alert: &Alert, destination: &Destination, settings: &Destinations) -> Result<(), Failure> {
        let (id, label) = (&alert.id, settings.label(destination));
        // The rest of the address may be a secret.
        let host = destination.url.host().unwrap_or_default();
        let request = destination.request(alert, self.dashboard.as_deref(), Timestamp::now());
        let request = request.ok_or_else(|| transient("cannot sign webhook".to_owned()))?;
        match self.client.send(request).await {
            Delivery::Delivered => {
                tracing::info!(id, destination = label, host, "delivered alert");
                Ok(())
            }
            Delivery::Unsubscribed => {
                let Destinations { fingerprint, .. } = settings;
                let recorded = self.endpoint_state.unsubscribe(&settings.state_item(destination), fingerprint).await;
                recorded.map_err(|failure| transient(failure.to_string()))?;
                self.forget(destination, fingerprint).await;
                tracing::error!(
                    id,
                    destination = label,
                    host,
                    "stopped alerts: endpoint responded 410; change the settings to resume"
                );
                Err(Failure::Dropped)
            }
            Delivery::Retry { cause, after } => {
                Err(Failure::Transient { cause: format!("{label} {host}: {cause}"), after })
            }
        }
    }

    /// Enqueues a message with `alert` for each of `recipients`. If the function dies meanwhile, the alert stays in the
    /// queue, and a destination may receive the alert twice.
    async fn fan_out(
        &self,
        alert: &Alert,
        recipients: &[&Destination],
        settings: &Destinations,
    ) -> Result<(), Failure> {
        let known: Vec<_> = settings.list.iter().map(|destination| destination.key.clone()).collect();
        let message = |destination: &&Destination| {
            let route = Route { destination: destination.key.clone(), known: known.clone() };
            Ok(Message { body: routed_message(alert, route)?, group: destination.key.clone() })
        };
        let messages = recipients.iter().map(message).collect::<serde_json::Result<Vec<_>>>();
        let messages = messages.map_err(|_| Failure::Permanent { reason: "message cannot be encoded".to_owned() })?;
        self.queue.send_all(&messages).await.into_iter().collect::<Result<(), _>>()?;
        tracing::info!(id = alert.id, destinations = recipients.len(), "enqueued alert for each destination");
        Ok(())
    }

    /// Marks `destination` as unsubscribed in the cached settings, if they still have this fingerprint.
    async fn forget(&self, destination: &Destination, fingerprint: &str) {
        let mut cached = self.cached.lock().await;
        if let Some(CachedSettings { settings: Ok(Settings { target, unsubscribed }), .. }) = cached.as_mut()
            && let Target::Destinations(current) = target
            && current.fingerprint == fingerprint
        {
            unsubscribed.insert(destination.key.clone());
        }
    }

    /// Returns the settings, reloaded if stale. If the reload fails, the cached settings stay in use. Without cached
    /// settings, the failure itself is cached for a while.
    async fn settings(&self) -> Result<Settings, String> {
        let mut cached = self.cached.lock().await;
        if let Some(cached) = cached.as_ref().filter(|cached| cached.is_fresh()) {
            return cached.settings.clone();
        }
        let settings = match (self.read().await, cached.take()) {
            (Err(cause), Some(CachedSettings { settings: Ok(settings), .. })) => {
                tracing::warn!(cause, "failed to reload alert settings; using cached ones");
                Ok(settings)
            }
            (read, _) => read,
        };
        *cached = Some(CachedSettings { settings: settings.clone(), read_at: Instant::now() });
        settings
    }

    async fn read(&self) -> Result<Settings, String> {
        let target = self.source.read().await?;
        let mut unsubscribed = BTreeSet::new();
        if let Target::Destinations(destinations) = &target {
            let reads = destinations.list.iter().map(|destination| async {
                let item = destinations.state_item(destination);
                let read = self.endpoint_state.is_unsubscribed(&item, &destinations.fingerprint).await;
                read.map(|is_unsubscribed| is_unsubscribed.then(|| destination.key.clone()))
            });
            let reads = futures_util::future::try_join_all(reads).await.map_err(|failure| failure.to_string())?;
            unsubscribed.extend(reads.into_iter().flatten());
        }
        Ok(Settings { target, unsubscribed })
    }
}

fn transient(cause: String) -> Failure {
    Failure::Transient { cause, after: None }
}

/// Returns the destinations of a message with `alert`. A message that is for one destination is not filtered again. If its
/// destination is no longer in the settings, for example because its address was corrected, the message is for the
/// destinations that were not in the settings when the message was made: the others have messages of their own.
fn recipients<'a>(destinations: &'a [Arc<Destination>], alert: &Alert, route: Option<&Route>) -> Vec<&'a Destination> {
    let all = || destinations.iter().map(AsRef::as_ref);
    match route {
        None => all().filter(|destination| destination.receives(alert)).collect(),
        Some(Route { destination, known }) => match all().find(|one| one.key == *destination) {
            Some(found) => vec![found],
            None => all().filter(|one| !known.contains(&one.key) && one.receives(alert)).collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::MOOD_OPENED;
    use crate::alert::tests::{alert, mood};
    use crate::destination::tests::destination;
    use crate::destination::{Filter, Format};

    /// Returns destinations at these paths. Those that end with `!` receive only other alerts.
    fn at(paths: &[&str]) -> Vec<Arc<Destination>> {
        let one = |path: &&str| {
            let types = path.ends_with('!').then(|| vec!["anomaly.".to_owned()]);
            let filter = Filter { types, ..Filter::default() };
            let url = format!("https://example.com/{}", path.trim_end_matches('!'));
            Arc::new(destination(&url, Format::Slack, filter))
        };
        paths.iter().map(one).collect()
    }

    fn paths(destinations: &[Arc<Destination>], route: Option<&Route>) -> Vec<String> {
        let found = recipients(destinations, &alert(&mood(MOOD_OPENED)), route);
        found.into_iter().map(|destination| destination.url.path().to_owned()).collect()
    }

    fn route(from: &[Arc<Destination>], to: usize) -> Route {
        let known = from.iter().map(|destination| destination.key.clone()).collect();
        Route { destination: from[to].key.clone(), known }
    }

    #[test]
    fn alert_is_for_every_destination_whose_filter_selects_it() {
        assert_eq!(paths(&at(&["a", "b!", "c"]), None), ["/a", "/c"]);
        assert!(paths(&at(&["a!"]), None).is_empty());
    }

    #[test]
    fn message_of_a_destination_is_for_no_other() {
        let before = at(&["a", "b", "c"]);
        assert_eq!(paths(&before, Some(&route(&before, 1))), ["/b"]);
        // Whatever the order, and however the filters or other destinations have changed.
        assert_eq!(paths(&at(&["d", "c", "b!"]), Some(&route(&before, 1))), ["/b"]);
    }

    #[test]
    fn message_of_a_removed_destination_is_for_new_ones_alone() {
        let before = at(&["a", "b", "c!"]);
        let message = route(&before, 1);
        assert_eq!(paths(&at(&["a", "b2", "c"]), Some(&message)), ["/b2"]);
        assert_eq!(paths(&at(&["b2", "b3", "b4!"]), Some(&message)), ["/b2", "/b3"]);
        assert!(paths(&at(&["a", "c"]), Some(&message)).is_empty());
    }
}
