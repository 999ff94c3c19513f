//! Handles requests to record an interaction. Entries that cannot be stored at once are queued.

use std::time::Duration;

use serde::Serialize;
use shared::config::Limits;
use shared::http::{self, Error, Request, Response, StatusCode};
use shared::intake::LogIntake;
use shared::logging::writer::WriteOutcome;
use shared::logging::{Classifier, Entry, EntryId, Interaction};
use shared::metrics::{CountedSignals, Metrics};
use shared::telemetry;
use shared::time::Timestamp;
use shared::unknown::UnknownNames;

const CONFLICT: &str = "Another interaction is stored under this log_id, or under this Idempotency-Key and timestamp.";

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub classifier: Classifier,
    pub counted: CountedSignals,
    pub limits: Limits,
    /// The maximum time that an entry's timestamp may be ahead of the server's clock.
    pub max_future: Duration,
    pub intake: LogIntake,
}

#[derive(Serialize)]
struct Logged<'a, E> {
    status: &'static str,
    logged: E,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
    #[serde(skip_serializing_if = "UnknownNames::is_empty")]
    ignored: &'a UnknownNames,
}

/// Records the interaction in the body and returns its log entry.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let interaction = Interaction::parse(request.json_body(context.limits.max_body_bytes)?)?;
    let mut interaction = request.caller().authorize(interaction)?;
    let ignored = std::mem::take(&mut interaction.ignored);
    let key = request.idempotency_key()?;
    let id = EntryId::determine(&interaction, key.as_ref(), Timestamp::now(), context.max_future)?;
    let entry = Entry::record(interaction, id.log_id, &context.classifier);
    let (status_code, status) = match context.intake.accept(&entry, id.source, request.deadline()).await? {
        WriteOutcome::Stored => (StatusCode::OK, "ok"),
        WriteOutcome::Duplicate(logged) => {
            return Ok(http::ok(&Logged { status: "ok", logged, duplicate: true, ignored: &ignored }));
        }
        WriteOutcome::Conflict => return Err(Error::Conflict(CONFLICT)),
        WriteOutcome::Queued => (StatusCode::ACCEPTED, "queued"),
    };
    let mut metrics = Metrics::default();
    metrics.add_interaction(&entry.detected_signal, &context.counted);
    telemetry::publish(&metrics);
    Ok(http::json(status_code, &Logged { status, logged: &entry, duplicate: false, ignored: &ignored }))
}
