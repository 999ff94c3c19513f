//! Handles requests to store and evaluate a batch of events, and returns a result per event. Events that cannot be
//! stored at once are queued.

use serde::Serialize;
use shared::auth::Caller;
use shared::aws::StoreError;
use shared::config::Limits;
use shared::http::{self, Error, Refusal, Request, Response, StatusCode};
use shared::ids::EventId;
use shared::intake::EventIntake;
use shared::integrity::anomaly::CountVisibility;
use shared::integrity::pipeline::{Acknowledgement, CONFLICT, IngestOutcome, Receipt};
use shared::integrity::{Event, ReceivedEvent};
use shared::time::Timestamp;
use shared::unknown::UnknownNames;

/// Message for callers about an event whose store failed transiently.
const UNAVAILABLE: &str = "The store is unavailable. Send this event again, with its event_id if it had one.";
/// Message for callers about an event that the store rejected, although the event is valid.
const REJECTED_BY_STORE: &str =
    "An internal error: the store rejects this event. Sending it again does not help. Report it to the operator.";

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub limits: Limits,
    pub intake: EventIntake,
}

#[derive(Serialize)]
struct ResponseBody {
    results: Vec<EventResult>,
}

/// The outcome of one event of the batch.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum EventResult {
    Ingested(StoredEvent),
    Duplicate(StoredEvent),
    Conflict {
        detail: &'static str,
    },
    Queued {
        event_id: EventId,
        #[serde(skip_serializing_if = "UnknownNames::is_empty")]
        ignored: UnknownNames,
    },
    Unavailable {
        detail: &'static str,
    },
    #[serde(untagged)]
    Refused(Refusal),
}

/// The acknowledgement of a stored event, with the event's unknown fields.
#[derive(Serialize)]
struct StoredEvent {
    #[serde(flatten)]
    acknowledgement: Acknowledgement,
    #[serde(skip_serializing_if = "UnknownNames::is_empty")]
    ignored: UnknownNames,
}

impl From<Refusal> for EventResult {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Stores the events in the body and returns the outcome of each event, in request order.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let limits = &context.limits;
    let body = request.batch_body(limits.max_batch_bytes)?;
    let items = request.split_items(body, limits.max_batch_events)?;
    let received_at = Timestamp::now();
    let detection = &context.intake.pipeline.detection;
    let (accepted, refused) = http::check_items(&items, |item| {
        let mut event = request.parse_item(item, limits.max_body_bytes, Event::parse)?;
        let ignored = std::mem::take(&mut event.ignored);
        Ok((ReceivedEvent::new(event, received_at, detection), ignored))
    });
    let (accepted, ignored): (Vec<_>, Vec<_>) = accepted.into_iter().unzip();
    let ids: Vec<_> = accepted.iter().map(|event: &ReceivedEvent| event.key.event_id.clone()).collect();
    let (ingested, is_preferred) = ingest(&context.intake, accepted, &request).await;
    http::require_stored(&ingested)?;
    let visibility = CountVisibility::of(request.caller().can_access_all(), detection.scope);
    let results = ingested.into_iter().zip(ids.into_iter().zip(ignored));
    let results = results.map(|(result, (id, ignored))| outcome(result, id, ignored, request.caller(), visibility));
    let body = ResponseBody { results: refused.merge(results) };
    if is_preferred {
        return Ok(http::as_preferred(http::json(StatusCode::ACCEPTED, &body)));
    }
    Ok(http::json(StatusCode::MULTI_STATUS, &body))
}

/// Stores and evaluates `events`. If the caller prefers an asynchronous response and the queue accepts all events,
/// queues them instead. Returns the results, and `true` if the events were queued as the caller preferred.
async fn ingest(
    intake: &EventIntake,
    events: Vec<ReceivedEvent>,
    request: &Request,
) -> (Vec<Result<IngestOutcome, StoreError>>, bool) {
    let deadline = request.deadline();
    if request.prefers_async() && intake.defer_all(events.clone(), deadline).await.iter().all(Result::is_ok) {
        return (events.iter().map(|_| Ok(IngestOutcome::Queued)).collect(), true);
    }
    // Some events may also be in the queue. This is safe because storing an event is idempotent.
    (intake.accept_all(events, deadline).await, false)
}

fn outcome(
    result: Result<IngestOutcome, StoreError>,
    event_id: EventId,
    ignored: UnknownNames,
    caller: &Caller,
    visibility: CountVisibility,
) -> EventResult {
    let stored = |receipt: Receipt, ignored| StoredEvent {
        acknowledgement: receipt.acknowledge(|agent| caller.can_access(agent), visibility),
        ignored,
    };
    match result {
        Ok(IngestOutcome::Stored(receipt)) => EventResult::Ingested(stored(receipt, ignored)),
        Ok(IngestOutcome::Duplicate(receipt)) => EventResult::Duplicate(stored(receipt, ignored)),
        Ok(IngestOutcome::Conflict) => EventResult::Conflict { detail: CONFLICT },
        Ok(IngestOutcome::Queued) => EventResult::Queued { event_id, ignored },
        Err(failure) if failure.is_transient => EventResult::Unavailable { detail: UNAVAILABLE },
        Err(_) => EventResult::Unavailable { detail: REJECTED_BY_STORE },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::limits::escaped_len;

    /// The maximum size of a Lambda response, in bytes.
    const MAX_ANSWER_BYTES: usize = 6_000_000;
    /// The maximum batch size that a configuration may allow.
    const MAX_EVENTS: usize = 600;

    fn answer_bytes(event: &str) -> usize {
        let errors = Event::parse(event.as_bytes()).expect_err("an invalid event");
        let invalid = |index| {
            let errors: Vec<_> = errors.iter().map(|error| error.clone().in_item(index)).collect();
            EventResult::from(Refusal::from(errors))
        };
        let body = ResponseBody { results: (0..MAX_EVENTS).map(invalid).collect() };
        escaped_len(&serde_json::to_string(&body).expect("JSON"))
    }

    #[test]
    fn answer_fits_lambda_whatever_is_wrong_with_a_batch() {
        let quotes = |bytes: usize| json!("\"".repeat(bytes / 4));
        let fields = ["user_id", "agent_id", "signal_type", "timestamp", "sent_at", "event_id", "payload"];
        // Includes every field in the echo, each at its maximum length.
        let every_field: serde_json::Map<_, _> =
            fields.iter().map(|field| ((*field).to_owned(), quotes(1_018))).collect();
        let lists: serde_json::Map<_, _> =
            fields.iter().map(|field| ((*field).to_owned(), json!(vec![""; 200]))).collect();
        for event in [
            json!({ "x": quotes(1_000) }).to_string(),
            json!({ "x": vec![""; 195] }).to_string(),
            json!(every_field).to_string(),
            json!(lists).to_string(),
            json!({ "x": "\"".repeat(30_000) }).to_string(),
            format!("[{}", "{\"a\":".repeat(130)),
        ] {
            let bytes = answer_bytes(&event);
            assert!(bytes < MAX_ANSWER_BYTES, "{bytes} bytes for {event:.60}");
        }
        assert!(answer_bytes(&json!(every_field).to_string()) > MAX_EVENTS * 7 * 1_000, "the echoes are there");
    }

    #[test]
    fn answer_fits_lambda_when_every_name_is_quotes() {
        let name = "\"".repeat(128);
        let anomaly = json!({
            "user_id": name, "agent_id": name, "signal_type": &name[..64], "event_id": name, "rule": &name[..64],
            "detected_at": "2026-01-01T12:00:00.000000Z", "window_start": "2026-01-01T12:00:00.000000Z",
            "severity": "critical", "count": 1_000,
        });
        // A batch has at most 1 MiB, in which a quote takes two bytes: these names are longer than those of any batch.
        let ignored: Vec<String> = (0..16).map(|n| format!("{n:02}{}", &name[..56])).collect();
        let result = json!({
            "status": "duplicate", "event_id": name, "received_at": "2026-01-01T12:00:00.000000Z", "anomaly": anomaly,
            "ignored": ignored,
        });
        let bytes = escaped_len(&json!(vec![result; MAX_EVENTS]).to_string());
        assert!(bytes < MAX_ANSWER_BYTES, "{bytes}");
    }
}
