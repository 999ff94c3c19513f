//! Handles requests to store and evaluate one event. Events that cannot be stored at once are queued.

use serde::Serialize;
use shared::config::Limits;
use shared::http::{self, Error, Request, Response, StatusCode};
use shared::ids::EventId;
use shared::intake::EventIntake;
use shared::integrity::anomaly::CountVisibility;
use shared::integrity::pipeline::{Acknowledgement, CONFLICT, IngestOutcome};
use shared::integrity::{Event, ReceivedEvent};
use shared::time::Timestamp;
use shared::unknown::UnknownNames;

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub limits: Limits,
    pub intake: EventIntake,
}

#[derive(Serialize)]
struct ResponseBody {
    status: &'static str,
    #[serde(flatten)]
    acknowledgement: Acknowledgement,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
    #[serde(skip_serializing_if = "UnknownNames::is_empty")]
    ignored: UnknownNames,
}

/// Stores the event in the body and returns the anomaly that the event is or has caused.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let event = Event::parse(request.json_body(context.limits.max_body_bytes)?)?;
    let mut event = request.caller().authorize(event)?;
    if event.event_id.is_none() {
        event.event_id = request.idempotency_key()?;
    }
    let ignored = std::mem::take(&mut event.ignored);
    let event = ReceivedEvent::new(event, Timestamp::now(), &context.intake.pipeline.detection);
    let event_id = event.key.event_id.clone();
    if request.prefers_async() && context.intake.defer(event.clone(), request.deadline()).await.is_ok() {
        return Ok(http::as_preferred(queued(event_id, ignored)));
    }
    let (receipt, duplicate) = match context.intake.accept(event, request.deadline()).await? {
        IngestOutcome::Stored(receipt) => (receipt, false),
        IngestOutcome::Duplicate(receipt) => (receipt, true),
        IngestOutcome::Conflict => return Err(Error::Conflict(CONFLICT)),
        IngestOutcome::Queued => return Ok(queued(event_id, ignored)),
    };
    let visibility = CountVisibility::of(request.caller().can_access_all(), context.intake.pipeline.detection.scope);
    let acknowledgement = receipt.acknowledge(|agent| request.caller().can_access(agent), visibility);
    Ok(http::ok(&ResponseBody { status: "ingested", acknowledgement, duplicate, ignored }))
}

fn queued(event_id: EventId, ignored: UnknownNames) -> Response {
    #[derive(Serialize)]
    struct Queued {
        status: &'static str,
        event_id: EventId,
        #[serde(skip_serializing_if = "UnknownNames::is_empty")]
        ignored: UnknownNames,
    }
    http::json(StatusCode::ACCEPTED, &Queued { status: "queued", event_id, ignored })
}
