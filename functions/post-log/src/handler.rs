//! From a request to an entry in the log, or to one that waits in the queue.

use serde::Serialize;
use shared::config::Limits;
use shared::deferred::{Accepted, LogIntake};
use shared::http::{self, Error, Request, Response, StatusCode};
use shared::logging::{Classifier, Entry, Interaction};
use shared::metrics::{CountedSignals, Metrics};
use shared::telemetry;

/// What the function needs, made once.
pub struct Context {
    pub classifier: Classifier,
    pub counted: CountedSignals,
    pub limits: Limits,
    pub intake: LogIntake,
}

#[derive(Serialize)]
struct Logged<'a> {
    status: &'static str,
    logged: &'a Entry,
}

/// Records the interaction in the body and answers with its entry.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let interaction = Interaction::parse(request.json_body(context.limits.max_body_bytes)?)?;
    request.caller().require_agent(&interaction.conversation.agent_id)?;
    let entry = Entry::record(interaction, &context.classifier);
    let accepted = context.intake.accept(&entry).await?;
    let mut metrics = Metrics::default();
    metrics.add_interaction(&entry.detected_signal, &context.counted);
    telemetry::publish(&metrics);
    Ok(match accepted {
        Accepted::Stored(()) => http::ok(&Logged { status: "ok", logged: &entry }),
        Accepted::Queued => http::json(StatusCode::ACCEPTED, &Logged { status: "queued", logged: &entry }),
    })
}
