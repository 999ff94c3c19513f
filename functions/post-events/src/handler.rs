//! From a request to stored and judged events, and a result for each.

use serde::Serialize;
use shared::aws::StoreError;
use shared::config::Limits;
use shared::http::{self, Caller, Error, Request, Response, StatusCode};
use shared::integrity::ingest::{Acknowledgement, CONFLICT, Ingested, Monitor, Receipt};
use shared::integrity::{AnomalyTable, Event, EventTable, ReceivedEvent};
use shared::time::Timestamp;
use shared::validation::{FieldError, Problem};

/// What the function needs, made once.
pub struct Context {
    pub limits: Limits,
    pub monitor: Monitor<EventTable, AnomalyTable>,
}

#[derive(Serialize)]
struct Answer {
    results: Vec<Outcome>,
}

/// What became of one event of the batch.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Outcome {
    Ingested(Acknowledgement),
    Duplicate(Acknowledgement),
    Conflict { detail: &'static str },
    Invalid { detail: Vec<FieldError> },
    Forbidden { detail: &'static str },
    Unavailable { detail: &'static str },
}

/// Stores the events in the body and answers with what became of each, in their order.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let items = request.json_items(context.limits.max_batch_bytes, context.limits.max_batch_events)?;
    let received_at = Timestamp::now();
    let mut refused: Vec<Option<Outcome>> = Vec::with_capacity(items.len());
    let mut accepted = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        refused.push(match accept(context, request.caller(), item) {
            Ok(event) => {
                accepted.push(ReceivedEvent::new(event, received_at, &context.monitor.detection));
                None
            }
            Err(Refusal::Invalid(errors)) => {
                Some(Outcome::Invalid { detail: errors.into_iter().map(|error| error.in_item(index)).collect() })
            }
            Err(Refusal::Forbidden) => Some(Outcome::Forbidden { detail: "Forbidden" }),
        });
    }
    let mut ingested = context.monitor.ingest_all(accepted).await;
    if let Some(Err(failure)) = ingested.iter().find(|result| result.is_err()) {
        tracing::error!(cause = %failure, "events of a batch failed");
        if ingested.iter().all(Result::is_err) && refused.iter().all(Option::is_none) {
            return Err(failure.clone().into());
        }
    }
    let mut ingested = ingested.drain(..).map(|result| outcome(result, request.caller()));
    let results = refused.into_iter().filter_map(|refusal| refusal.or_else(|| ingested.next())).collect();
    Ok(http::json(StatusCode::MULTI_STATUS, &Answer { results }))
}

/// Why an event is not stored.
enum Refusal {
    Invalid(Vec<FieldError>),
    Forbidden,
}

fn accept(context: &Context, caller: &Caller, item: &[u8]) -> Result<Event, Refusal> {
    let limit = context.limits.max_body_bytes.bytes;
    if item.len() > limit {
        let problem = Problem::new("bytes_too_long", format!("Data should have at most {limit} bytes"));
        let error = FieldError::new("body", None, problem, item.len().into());
        return Err(Refusal::Invalid(vec![error]));
    }
    let event = Event::parse(item).map_err(Refusal::Invalid)?;
    if caller.sees(&event.agent_id) { Ok(event) } else { Err(Refusal::Forbidden) }
}

fn outcome(result: Result<Ingested, StoreError>, caller: &Caller) -> Outcome {
    let acknowledge = |receipt: Receipt| receipt.acknowledge(|agent| caller.sees(agent));
    match result {
        Ok(Ingested::Stored(receipt)) => Outcome::Ingested(acknowledge(receipt)),
        Ok(Ingested::Duplicate(receipt)) => Outcome::Duplicate(acknowledge(receipt)),
        Ok(Ingested::Conflict) => Outcome::Conflict { detail: CONFLICT },
        Err(_) => Outcome::Unavailable {
            detail: "The store does not answer; send this event again, with its event_id if it had one.",
        },
    }
}
