//! Handles requests to give feedback on an entry, or to withdraw feedback.

use serde::Serialize;
use shared::config::Limits;
use shared::http::{self, Error, Request, Response};
use shared::logging::feedback::{self, Feedback, Statement};
use shared::logging::{FeedbackTable, LogBucket, LogId, reader};
use shared::time::Timestamp;
use shared::unknown::UnknownNames;

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub limits: Limits,
    pub log: LogBucket,
    pub feedback: FeedbackTable,
    /// Days until the bucket deletes an object, or 0.
    pub log_days: u32,
}

#[derive(Serialize)]
struct Given {
    status: &'static str,
    /// Null if the feedback was withdrawn.
    feedback: Option<Feedback>,
    #[serde(skip_serializing_if = "UnknownNames::is_empty")]
    ignored: UnknownNames,
}

/// Stores the signal in the body as feedback on the entry, and returns the stored feedback. The entry does not change.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let (statement, errors) = match Statement::parse(request.json_body(context.limits.max_body_bytes)?) {
        Ok(statement) => (Some(statement), Vec::new()),
        Err(errors) => (None, errors),
    };
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let log_id = parameters.log_id();
    let (Some(conversation), Some(LogId(log_id)), Some(statement)) = (conversation, log_id, statement) else {
        return Err(parameters.into_error_with(errors));
    };
    let conversation = request.caller().authorize(conversation)?;
    let located = reader::locate(&context.log, &conversation, log_id).await?;
    let located = located.ok_or(Error::NotFound("No interaction with this log_id"))?;
    let Statement { signal, ignored } = statement;
    let Some(signal) = signal else {
        context.feedback.withdraw(&conversation, log_id).await?;
        return Ok(http::ok(&Given { status: "ok", feedback: None, ignored }));
    };
    let expires_at = feedback::expiry(&context.log, &located.key, context.log_days).await?;
    let given = Feedback::of(conversation, &located.entry, signal, Timestamp::now(), request.caller().name())?;
    let stored = context.feedback.give(given, expires_at).await?;
    Ok(http::ok(&Given { status: "ok", feedback: Some(stored), ignored }))
}
