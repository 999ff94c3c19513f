//! Handles requests to record a batch of interactions, and returns a result per interaction. Entries that cannot be
//! stored at once are queued.

use serde::{Deserialize, Serialize};
use shared::aws::StoreError;
use shared::config::Limits;
use shared::http::{self, Error, Refusal, Request, Response, StatusCode};
use shared::ids::Signal;
use shared::intake::LogIntake;
use shared::logging::writer::WriteOutcome;
use shared::logging::{Entry, IdSource, Interaction};
use shared::metrics::Metrics;
use shared::telemetry;
use shared::unknown::UnknownNames;

const CONFLICT: &str = "Another interaction is stored under this log_id.";
const UNAVAILABLE: &str = "The store is unavailable. Send this interaction again, with its log_id if it had one.";
const REJECTED_BY_STORE: &str =
    "An internal error: the store rejects this interaction. Sending it again does not help. Report it to the operator.";
/// Maximum bytes of a response for the values that the errors of one entry repeat. With a thousand entirely invalid
/// entries the response stays below Lambda's 6 MB.
const MAX_ECHO_BYTES: usize = 1_024;

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub limits: Limits,
    pub intake: LogIntake,
}

#[derive(Serialize)]
struct ResponseBody {
    results: Vec<EntryResult>,
}

/// The outcome of one entry of the batch.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum EntryResult {
    Ok(Recorded),
    Duplicate(Recorded),
    Queued(Recorded),
    Conflict {
        detail: &'static str,
    },
    Unavailable {
        detail: &'static str,
    },
    #[serde(untagged)]
    Refused(Refusal),
}

impl From<Refusal> for EntryResult {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The part of a recorded entry that the caller did not send, and the unknown fields of its interaction.
#[derive(Serialize)]
struct Recorded {
    log_id: String,
    timestamp: String,
    detected_signal: Signal,
    #[serde(skip_serializing_if = "UnknownNames::is_empty")]
    ignored: UnknownNames,
}

/// The fields of a stored entry that can differ from those of its retry.
#[derive(Deserialize)]
struct StoredEntry {
    detected_signal: Signal,
}

/// Records the interactions in the body and returns the outcome of each interaction, in request order.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let limits = &context.limits;
    let body = request.decompressed_batch_body(limits.max_log_batch_bytes)?;
    let items = request.split_items(&body, limits.max_log_batch_entries)?;
    let (accepted, refused) = http::check_items(&items, |item| {
        record(context, &request, item).map_err(|refusal| refusal.with_echoes_within(MAX_ECHO_BYTES))
    });
    let (entries, ignored): (Vec<_>, Vec<_>) = accepted.into_iter().unzip();
    let outcomes = context.intake.accept_all(&entries, request.deadline()).await;
    http::require_stored(&outcomes)?;
    let mut metrics = Metrics::default();
    for ((entry, _), outcome) in entries.iter().zip(&outcomes) {
        context.intake.count(&mut metrics, entry, outcome);
    }
    telemetry::publish(&metrics);
    let results = entries.into_iter().zip(ignored).zip(outcomes);
    let results = results.map(|(((entry, _), ignored), outcome)| result(entry, ignored, outcome));
    Ok(http::json(StatusCode::MULTI_STATUS, &ResponseBody { results: refused.merge(results) }))
}

/// Parses one interaction and records it as an entry, not stored yet. Returns the entry with the source of its id, and
/// the unknown fields.
fn record(context: &Context, request: &Request, item: &[u8]) -> Result<((Entry, IdSource), UnknownNames), Refusal> {
    let mut interaction = request.parse_item(item, context.limits.max_body_bytes, Interaction::parse)?;
    let ignored = std::mem::take(&mut interaction.ignored);
    Ok((context.intake.record(interaction, None)?, ignored))
}

fn result(entry: Entry, ignored: UnknownNames, outcome: Result<WriteOutcome, StoreError>) -> EntryResult {
    let mut recorded = Recorded {
        log_id: entry.log_id.to_string(),
        timestamp: entry.timestamp.to_rfc3339_millis(),
        detected_signal: entry.detected_signal,
        ignored,
    };
    match outcome {
        Ok(WriteOutcome::Stored) => EntryResult::Ok(recorded),
        Ok(WriteOutcome::Duplicate(stored)) => {
            if let Ok(StoredEntry { detected_signal }) = serde_json::from_str(stored.get()) {
                recorded.detected_signal = detected_signal;
            }
            EntryResult::Duplicate(recorded)
        }
        Ok(WriteOutcome::Conflict) => EntryResult::Conflict { detail: CONFLICT },
        Ok(WriteOutcome::Queued) => EntryResult::Queued(recorded),
        Err(failure) if failure.is_transient => EntryResult::Unavailable { detail: UNAVAILABLE },
        Err(_) => EntryResult::Unavailable { detail: REJECTED_BY_STORE },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use shared::json::escaped_len;

    /// The maximum size of a Lambda response, in bytes.
    const MAX_RESPONSE_BYTES: usize = 6_000_000;
    /// The maximum number of entries that a configuration may allow.
    const MAX_ENTRIES: usize = 1_000;
    const FIELDS: [&str; 12] = [
        "agent_id",
        "user_id",
        "user_input",
        "agent_output",
        "detected_signal",
        "response_type",
        "coherence_score_impact",
        "escalation_flag",
        "session_id",
        "metadata",
        "log_id",
        "timestamp",
    ];

    fn object(value: impl Fn(&str) -> Value) -> Value {
        FIELDS.iter().map(|field| ((*field).to_owned(), value(field))).collect::<serde_json::Map<_, _>>().into()
    }

    fn response_bytes(results: Vec<EntryResult>) -> usize {
        escaped_len(&serde_json::to_string(&ResponseBody { results }).expect("JSON"))
    }

    fn refused_bytes(interaction: &str) -> usize {
        let errors = Interaction::parse(interaction.as_bytes()).expect_err("an invalid interaction");
        let refuse = |index| {
            let errors: Vec<_> = errors.iter().map(|error| error.clone().in_item(index)).collect();
            Refusal::from(errors).with_echoes_within(MAX_ECHO_BYTES).into()
        };
        response_bytes((0..MAX_ENTRIES).map(refuse).collect())
    }

    #[test]
    fn response_fits_lambda_whatever_is_wrong_with_a_batch() {
        let quotes = |bytes: usize| json!("\"".repeat(bytes / 4));
        let long_key = "\u{1}".repeat(64);
        let interactions = [
            json!({ "x": quotes(1_000) }),
            json!({ "x": vec![""; 195] }),
            object(|_| quotes(1_018)),
            object(|_| json!(vec![""; 200])),
            object(|_| json!("never")),
            object(|field| if field == "metadata" { json!({ &*long_key: null }) } else { json!([quotes(80)]) }),
            json!({ "x": "\"".repeat(30_000) }),
        ];
        for interaction in interactions {
            let bytes = refused_bytes(&interaction.to_string());
            assert!(bytes < MAX_RESPONSE_BYTES, "{bytes} bytes for {:.60}", interaction.to_string());
        }
        let nested = refused_bytes(&format!("[{}", "{\"a\":".repeat(130)));
        assert!(nested < MAX_RESPONSE_BYTES, "{nested}");
        let echoed = refused_bytes(&json!({ "agent_id": quotes(1_000) }).to_string());
        assert!(echoed > MAX_ENTRIES * 900, "values are repeated: {echoed}");
    }

    #[test]
    fn response_fits_lambda_when_every_name_is_quotes() {
        let quotes = "\"".repeat(64);
        // A quote takes four bytes of a response and two of a request. No character takes more in relation to the
        // request, which is limited.
        let unknown: Vec<String> = (0..16).map(|n| format!("{n:02}{}", &quotes[2..])).collect();
        let names = UnknownNames::among(unknown.iter().map(String::as_str), &[]);
        let recorded = |_| {
            EntryResult::Duplicate(Recorded {
                log_id: "019b796d-d600-7c2a-8a53-5d1c54f1a6c1".to_owned(),
                timestamp: "2026-01-01T12:00:00.000Z".to_owned(),
                detected_signal: Signal::try_from(&quotes[..32]).expect("a signal"),
                ignored: names.clone(),
            })
        };
        let bytes = response_bytes((0..MAX_ENTRIES).map(recorded).collect());
        assert!(bytes < MAX_RESPONSE_BYTES, "{bytes}");
        assert!(json!(names).to_string().len() > 2_000);
    }
}
