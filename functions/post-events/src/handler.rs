//! Handles requests to store and evaluate a batch of events, and returns a result per event. Events that cannot be
//! stored at once are queued.

use serde::Serialize;
use shared::auth::Caller;
use shared::aws::StoreError;
use shared::config::Limits;
use shared::http::{self, Error, Request, Response, StatusCode};
use shared::ids::EventId;
use shared::intake::EventIntake;
use shared::integrity::anomaly::CountVisibility;
use shared::integrity::pipeline::{Acknowledgement, CONFLICT, IngestOutcome, Receipt};
use shared::integrity::{Event, ReceivedEvent};
use shared::json::Echo;
use shared::time::Timestamp;
use shared::unknown::UnknownNames;
use shared::validation::{FieldError, Violation};

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
    Invalid {
        detail: Vec<FieldError>,
    },
    Forbidden {
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
}

/// The acknowledgement of a stored event, with the event's unknown fields.
#[derive(Serialize)]
struct StoredEvent {
    #[serde(flatten)]
    acknowledgement: Acknowledgement,
    #[serde(skip_serializing_if = "UnknownNames::is_empty")]
    ignored: UnknownNames,
}

/// Stores the events in the body and returns the outcome of each event, in request order.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let items = request.json_items(context.limits.max_batch_bytes, context.limits.max_batch_events)?;
    let received_at = Timestamp::now();
    let mut refused: Vec<Option<EventResult>> = Vec::with_capacity(items.len());
    let (mut accepted, mut ignored) = (Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        refused.push(match accept(context, request.caller(), item) {
            Ok(mut event) => {
                ignored.push(std::mem::take(&mut event.ignored));
                accepted.push(ReceivedEvent::new(event, received_at, &context.intake.pipeline.detection));
                None
            }
            Err(Refusal::Invalid(errors)) => {
                Some(EventResult::Invalid { detail: errors.into_iter().map(|error| error.in_item(index)).collect() })
            }
            Err(Refusal::Forbidden) => Some(EventResult::Forbidden { detail: "Forbidden" }),
        });
    }
    let ids: Vec<_> = accepted.iter().map(|event: &ReceivedEvent| event.key.event_id.clone()).collect();
    let (accepted, is_preferred) = ingest(&context.intake, accepted, &request).await;
    for failure in [first_failure(&accepted, true), first_failure(&accepted, false)].into_iter().flatten() {
        tracing::error!(cause = %failure, is_transient = failure.is_transient, "failed to store events of a batch");
    }
    // A caller that checks only the status sends the batch again; the retry then reports the refused events.
    if let Some(failure) = common_failure(&accepted) {
        return Err(failure.clone().into());
    }
    let visibility = CountVisibility::of(request.caller().can_access_all(), context.intake.pipeline.detection.scope);
    let mut accepted = accepted
        .into_iter()
        .zip(ids.into_iter().zip(ignored))
        .map(|(result, (id, ignored))| outcome(result, id, ignored, request.caller(), visibility));
    let results = refused.into_iter().filter_map(|refusal| refusal.or_else(|| accepted.next())).collect();
    let body = ResponseBody { results };
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

/// Returns the first failure of `results` that is transient or permanent.
fn first_failure(results: &[Result<IngestOutcome, StoreError>], is_transient: bool) -> Option<&StoreError> {
    results.iter().filter_map(|result| result.as_ref().err()).find(|failure| failure.is_transient == is_transient)
}

/// Returns the failure to report for the whole batch if all `results` are failures. If some failures are transient, the
/// batch is worth a retry, so the reported failure is transient.
fn common_failure(results: &[Result<IngestOutcome, StoreError>]) -> Option<&StoreError> {
    if results.iter().any(Result::is_ok) {
        return None;
    }
    first_failure(results, true).or_else(|| first_failure(results, false))
}

/// The reason why an event is not stored.
enum Refusal {
    Invalid(Vec<FieldError>),
    Forbidden,
}

fn accept(context: &Context, caller: &Caller, item: &[u8]) -> Result<Event, Refusal> {
    let limit = context.limits.max_body_bytes.bytes;
    if item.len() > limit {
        let violation = Violation::new("bytes_too_long", format!("Data should have at most {limit} bytes"));
        let error = FieldError::new("body", None, violation, Echo::of(&item.len()));
        return Err(Refusal::Invalid(vec![error]));
    }
    let event = Event::parse(item).map_err(Refusal::Invalid)?;
    caller.authorize(event).map_err(|_| Refusal::Forbidden)
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

    /// Returns the result of a store that failed transiently or permanently.
    fn failed(is_transient: bool) -> Result<IngestOutcome, StoreError> {
        Err(StoreError { store: "dynamodb", operation: "PutItem", cause: "some cause".to_owned(), is_transient })
    }

    /// Returns the status of the response to a batch with `results` and no refused events, and whether the response has
    /// the header `Retry-After`.
    fn status(results: &[Result<IngestOutcome, StoreError>]) -> (u16, bool) {
        let Some(failure) = common_failure(results) else { return (207, false) };
        let response = Error::from(failure.clone()).into_response();
        (response.status().as_u16(), response.headers().contains_key("retry-after"))
    }

    #[test]
    fn batch_is_worth_a_retry_if_one_failure_is_transient() {
        let (transient, permanent) = (|| failed(true), || failed(false));
        assert_eq!(status(&[transient(), transient()]), (503, true));
        assert_eq!(status(&[transient(), permanent()]), (503, true));
        assert_eq!(status(&[permanent(), permanent(), transient()]), (503, true));
        assert_eq!(status(&[permanent(), permanent()]), (500, false));
        assert_eq!(status(&[permanent(), Ok(IngestOutcome::Queued), transient()]), (207, false));
        assert_eq!(status(&[]), (207, false));
    }

    fn answer_bytes(event: &str) -> usize {
        let errors = Event::parse(event.as_bytes()).expect_err("an invalid event");
        let invalid =
            |index| EventResult::Invalid { detail: errors.iter().map(|error| error.clone().in_item(index)).collect() };
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
