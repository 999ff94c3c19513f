//! Handles requests to record an interaction. Entries that cannot be stored at once are queued.

use serde::Serialize;
use shared::config::Limits;
use shared::http::{self, Error, Request, Response, StatusCode};
use shared::intake::LogIntake;
use shared::logging::Interaction;
use shared::logging::writer::WriteOutcome;
use shared::metrics::Metrics;
use shared::telemetry;
use shared::unknown::UnknownNames;

const CONFLICT: &str = "Another interaction is stored under this log_id, or under this Idempotency-Key and timestamp.";

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub limits: Limits,
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
    let (entry, id_source) = context.intake.record(interaction, key.as_ref())?;
    let outcome = context.intake.accept(&entry, id_source, request.deadline()).await;
    let mut metrics = Metrics::default();
    context.intake.count(&mut metrics, &entry, &outcome);
    telemetry::publish(&metrics);
    let (status_code, status) = match outcome? {
        WriteOutcome::Stored => (StatusCode::OK, "ok"),
        WriteOutcome::Duplicate(logged) => {
            return Ok(http::ok(&Logged { status: "ok", logged, duplicate: true, ignored: &ignored }));
        }
        WriteOutcome::Conflict => return Err(Error::Conflict(CONFLICT)),
        WriteOutcome::Queued => (StatusCode::ACCEPTED, "queued"),
    };
    Ok(http::json(status_code, &Logged { status, logged: &entry, duplicate: false, ignored: &ignored }))
}
