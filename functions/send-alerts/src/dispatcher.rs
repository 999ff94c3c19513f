//! Delivers queued alerts to the configured webhook. Settings are cached and reloaded periodically.

use std::time::{Duration, Instant};

use serde::Deserialize;
use shared::queue::Failure;
use tokio::sync::Mutex;

use crate::endpoint_state::EndpointState;
use crate::settings::{Source, Target};
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
    client: WebhookClient,
    cached: Mutex<Option<CachedTarget>>,
}

/// The last result of reading the settings and the time of that read.
struct CachedTarget {
    target: Result<Target, String>,
    read_at: Instant,
}

impl CachedTarget {
    fn new(target: Result<Target, String>) -> Self {
        Self { target, read_at: Instant::now() }
    }

    fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < if self.target.is_ok() { TTL } else { FAILURE_TTL }
    }
}

impl AlertDispatcher {
    /// Creates a dispatcher that delivers to the endpoint in `source`, unless `endpoint_state` records that the
    /// endpoint has unsubscribed.
    pub fn new(source: Source, endpoint_state: EndpointState) -> Self {
        Self { source, endpoint_state, client: WebhookClient::new(TIMEOUT), cached: Mutex::new(None) }
    }

    /// Delivers `message`, whose text is the request body, under its own id.
    ///
    /// # Errors
    /// Returns whether the delivery may be retried, or whether the message is dropped because the endpoint or the
    /// settings are gone.
    pub async fn deliver(&self, message: String) -> Result<(), Failure> {
        let id = id(&message).ok_or_else(|| Failure::Permanent { reason: "message has no id".to_owned() })?;
        let webhook = match self.target().await.map_err(transient)? {
            Target::Webhook(webhook) => webhook,
            Target::Unsubscribed => {
                tracing::warn!(id, "dropped alert: endpoint has unsubscribed with 410; change the settings to resume");
                return Err(Failure::Dropped);
            }
            Target::Missing => {
                tracing::warn!(id, "dropped alert: no webhook is configured");
                return Err(Failure::Dropped);
            }
            Target::Off => {
                tracing::info!(id, "skipped alert: alerts are turned off");
                return Ok(());
            }
        };
        let host = webhook.url.host().unwrap_or_default();
        match self.client.send(&webhook, &id, message).await {
            Delivery::Delivered => {
                tracing::info!(id, host, "delivered alert");
                Ok(())
            }
            Delivery::Unsubscribed => {
                let recorded = self.endpoint_state.unsubscribe(&webhook.fingerprint).await;
                recorded.map_err(|failure| transient(failure.to_string()))?;
                *self.cached.lock().await = Some(CachedTarget::new(Ok(Target::Unsubscribed)));
                tracing::error!(id, host, "stopped alerts: endpoint responded 410; change the settings to resume");
                Err(Failure::Dropped)
            }
            Delivery::Retry { cause, after } => Err(Failure::Transient { cause: format!("{host}: {cause}"), after }),
        }
    }

    /// Returns the target of alerts and reloads stale settings. If the reload fails, the cached settings stay in use.
    /// Without cached settings, the failure itself is cached for a while.
    async fn target(&self) -> Result<Target, String> {
        let mut cached = self.cached.lock().await;
        if let Some(cached) = cached.as_ref().filter(|cached| cached.is_fresh()) {
            return cached.target.clone();
        }
        let target = match (self.read().await, cached.take()) {
            (Err(cause), Some(CachedTarget { target: Ok(target), .. })) => {
                tracing::warn!(cause, "failed to reload webhook settings; using cached ones");
                Ok(target)
            }
            (read, _) => read,
        };
        *cached = Some(CachedTarget::new(target.clone()));
        target
    }

    async fn read(&self) -> Result<Target, String> {
        let target = self.source.read().await?;
        if let Target::Webhook(webhook) = &target {
            let is_unsubscribed = self.endpoint_state.is_unsubscribed(&webhook.fingerprint).await;
            if is_unsubscribed.map_err(|failure| failure.to_string())? {
                return Ok(Target::Unsubscribed);
            }
        }
        Ok(target)
    }
}

fn transient(cause: String) -> Failure {
    Failure::Transient { cause, after: None }
}

/// Returns the delivery id of `message`, which is the same for every attempt.
fn id(message: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Alert {
        id: String,
    }
    let Alert { id } = serde_json::from_str(message).ok()?;
    let is_valid = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_valid.then_some(id)
}
