//! Checks the health of the stores and caches the result for a short time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::auth::KeyTable;
use shared::aws::StoreError;
use shared::http::{self, Error, Response, StatusCode};
use shared::logging::LogBucket;

/// The time after which a store that has not responded counts as unavailable.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The time for which a result is cached. The endpoint is public; caching keeps callers from overloading the stores.
const TTL: Duration = Duration::from_secs(5);

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    keys: KeyTable,
    log: LogBucket,
    last: Mutex<Option<(Instant, Health)>>,
}

impl Context {
    pub fn new(keys: KeyTable, log: LogBucket) -> Self {
        Self { keys, log, last: Mutex::default() }
    }
}

#[derive(Clone, Copy)]
struct Health {
    dynamodb: bool,
    s3: bool,
}

/// Returns 200 if both stores respond, or 503 with the names of the stores that do not.
pub async fn handle(context: &Context) -> Result<Response, Error> {
    let recent = cached(context);
    let health = match recent {
        Some(health) => health,
        None => probe(context).await,
    };
    let (status, body) = describe(health);
    Ok(http::json(status, &body))
}

fn cached(context: &Context) -> Option<Health> {
    let last = context.last.lock().unwrap_or_else(PoisonError::into_inner);
    last.filter(|(probed_at, _)| probed_at.elapsed() < TTL).map(|(_, health)| health)
}

async fn probe(context: &Context) -> Health {
    let (dynamodb, s3) = tokio::join!(responds(context.keys.probe()), responds(context.log.probe()));
    let health = Health { dynamodb, s3 };
    *context.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), health));
    health
}

async fn responds(probe: impl Future<Output = Result<(), StoreError>>) -> bool {
    matches!(tokio::time::timeout(TIMEOUT, probe).await, Ok(Ok(())))
}

fn describe(health: Health) -> (StatusCode, Value) {
    if health.dynamodb && health.s3 {
        return (StatusCode::OK, json!({ "status": "ok" }));
    }
    let name = |is_up: bool| if is_up { "ok" } else { "unavailable" };
    let body = json!({ "status": "unavailable", "dynamodb": name(health.dynamodb), "s3": name(health.s3) });
    (StatusCode::SERVICE_UNAVAILABLE, body)
}
