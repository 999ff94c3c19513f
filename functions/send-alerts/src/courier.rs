//! Delivers queued alerts to the configured webhook. Settings are cached and reloaded periodically.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use shared::queue::Failure;
use tokio::sync::Mutex;

use crate::post::{Outcome, Poster};
use crate::settings::{Settings, Source, Webhook};
use crate::switch::Switch;

/// The time for which settings are cached.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// The time for which a failure to read the settings is cached, so that the other messages of a batch do not wait for
/// another attempt.
const UNREADABLE: Duration = Duration::from_secs(5);
/// The maximum time for a delivery.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Delivers alerts.
pub struct Courier {
    source: Source,
    switch: Switch,
    poster: Poster,
    known: Mutex<Option<Known>>,
}

/// The last result of reading the settings and the time of that read.
struct Known {
    target: Result<Target, String>,
    read_at: Instant,
}

impl Known {
    fn is_current(&self) -> bool {
        self.read_at.elapsed() < if self.target.is_ok() { FRESH } else { UNREADABLE }
    }
}

/// The recipient of alerts.
#[derive(Clone)]
enum Target {
    /// No webhook is configured.
    Missing,
    /// Alerts are turned off in the settings.
    Off,
    /// The endpoint has unsubscribed.
    Gone,
    Somebody(Arc<Webhook>),
}

impl Courier {
    /// Creates a courier that delivers to the endpoint in `source`, unless `switch` has recorded that the endpoint
    /// unsubscribed.
    pub fn new(source: Source, switch: Switch) -> Self {
        Self { source, switch, poster: Poster::new(TIMEOUT), known: Mutex::new(None) }
    }

    /// Delivers `message`, whose text is the request body, under its own id.
    ///
    /// # Errors
    /// Returns whether the delivery may be retried, or whether the message is dropped because the endpoint or the
    /// settings are gone.
    pub async fn deliver(&self, message: String) -> Result<(), Failure> {
        let id = id(&message).ok_or_else(|| Failure::Permanent { reason: "no alert: it has no id".to_owned() })?;
        let webhook = match self.target().await.map_err(later)? {
            Target::Somebody(webhook) => webhook,
            Target::Gone => {
                tracing::warn!(id, "an alert is not sent: the endpoint has answered 410; new settings switch it on");
                return Err(Failure::Dropped);
            }
            Target::Missing => {
                tracing::warn!(id, "an alert is not sent: no webhook is set");
                return Err(Failure::Dropped);
            }
            Target::Off => {
                tracing::info!(id, "alert not sent: alerts are switched off");
                return Ok(());
            }
        };
        let host = webhook.url.host().unwrap_or_default();
        match self.poster.post(&webhook, &id, message).await {
            Outcome::Taken => {
                tracing::info!(id, host, "an alert was delivered");
                Ok(())
            }
            Outcome::Gone => {
                self.switch.turn_off(&webhook.fingerprint).await.map_err(|failure| later(failure.to_string()))?;
                *self.known.lock().await = Some(Known { target: Ok(Target::Gone), read_at: Instant::now() });
                tracing::error!(id, host, "the endpoint answered 410: alerts are off until there are new settings");
                Err(Failure::Dropped)
            }
            Outcome::Later { cause, after } => Err(Failure::Passing { cause: format!("{host}: {cause}"), after }),
        }
    }

    /// Returns the recipient of alerts and reloads stale settings. If the reload fails, the cached settings stay in
    /// use. Without cached settings, the failure itself is cached for a while.
    async fn target(&self) -> Result<Target, String> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.is_current()) {
            return known.target.clone();
        }
        let target = match (self.read().await, known.take()) {
            (Err(cause), Some(Known { target: Ok(target), .. })) => {
                tracing::warn!(cause, "failed to reload webhook settings; using cached ones");
                Ok(target)
            }
            (read, _) => read,
        };
        *known = Some(Known { target: target.clone(), read_at: Instant::now() });
        target
    }

    async fn read(&self) -> Result<Target, String> {
        let webhook = match self.source.read().await? {
            Settings::Webhook(webhook) => webhook,
            Settings::Missing => return Ok(Target::Missing),
            Settings::Off => return Ok(Target::Off),
        };
        let is_off = self.switch.is_off(&webhook.fingerprint).await.map_err(|failure| failure.to_string())?;
        Ok(if is_off { Target::Gone } else { Target::Somebody(Arc::new(webhook)) })
    }
}

fn later(cause: String) -> Failure {
    Failure::Passing { cause, after: None }
}

/// Returns the delivery id of `message`, which is the same for every attempt.
fn id(message: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Alert {
        id: String,
    }
    let Alert { id } = serde_json::from_str(message).ok()?;
    let is_one = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_one.then_some(id)
}
