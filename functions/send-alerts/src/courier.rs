//! From a message of the queue to a delivery, by settings that are read now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use shared::queue::Failure;
use tokio::sync::Mutex;

use crate::post::{Outcome, Poster};
use crate::settings::{Settings, Source, Webhook};
use crate::switch::Switch;

/// How long settings are believed without reading them again.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// For how long settings that could not be read are not read again: no message of a batch waits for them once more.
const UNREADABLE: Duration = Duration::from_secs(5);
/// How long a delivery may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Delivers alerts.
pub struct Courier {
    source: Source,
    switch: Switch,
    poster: Poster,
    known: Mutex<Option<Known>>,
}

/// Settings, or why they could not be read, and when that was.
struct Known {
    target: Result<Target, String>,
    read_at: Instant,
}

impl Known {
    fn is_current(&self) -> bool {
        self.read_at.elapsed() < if self.target.is_ok() { FRESH } else { UNREADABLE }
    }
}

/// Whom alerts go to.
#[derive(Clone)]
enum Target {
    /// Nobody has said where.
    Missing,
    /// Somebody has said that alerts go nowhere.
    Off,
    /// Somebody who answered that they want no more.
    Gone,
    Somebody(Arc<Webhook>),
}

impl Courier {
    /// Delivers to whom `source` names, unless `switch` says that they want no more.
    pub fn new(source: Source, switch: Switch) -> Self {
        Self { source, switch, poster: Poster::new(TIMEOUT), known: Mutex::new(None) }
    }

    /// Delivers `message`, whose text is what is posted, under the id that it has.
    ///
    /// # Errors
    /// Whether it may be delivered later, or is dropped because the endpoint or the settings are gone.
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

    /// Returns whom alerts go to, read again when it was long ago. When that fails, settings read before still hold;
    /// without any, the failure holds for a while.
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

/// The id under which `message` is delivered, however often it is.
fn id(message: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Alert {
        id: String,
    }
    let Alert { id } = serde_json::from_str(message).ok()?;
    let is_one = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_one.then_some(id)
}
