//! From a request to a stored and judged event.

use serde::Serialize;
use shared::config::Limits;
use shared::http::{self, Error, Request, Response};
use shared::integrity::ingest::{Acknowledgement, CONFLICT, Ingested, Monitor};
use shared::integrity::{AnomalyTable, Event, EventTable, ReceivedEvent};
use shared::time::Timestamp;

/// What the function needs, made once.
pub struct Context {
    pub limits: Limits,
    pub monitor: Monitor<EventTable, AnomalyTable>,
}

#[derive(Serialize)]
struct Answer {
    status: &'static str,
    #[serde(flatten)]
    acknowledgement: Acknowledgement,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

/// Stores the event in the body and answers with the anomaly that it is, or caused.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let mut event = Event::parse(request.json_body(context.limits.max_body_bytes)?)?;
    if event.event_id.is_none() {
        event.event_id = request.idempotency_key()?;
    }
    request.caller().require_agent(&event.agent_id)?;
    let event = ReceivedEvent::new(event, Timestamp::now(), &context.monitor.detection);
    let (receipt, duplicate) = match context.monitor.ingest(event).await? {
        Ingested::Stored(receipt) => (receipt, false),
        Ingested::Duplicate(receipt) => (receipt, true),
        Ingested::Conflict => return Err(Error::Conflict(CONFLICT)),
    };
    let acknowledgement = receipt.acknowledge(|agent| request.caller().sees(agent));
    Ok(http::ok(&Answer { status: "ingested", acknowledgement, duplicate }))
}
