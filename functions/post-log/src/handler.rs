//! From a request to an entry in the log.

use serde::Serialize;
use shared::config::Limits;
use shared::http::{self, Error, Request, Response};
use shared::logging::{Classifier, Entry, Interaction, LogBucket, writer};

/// What the function needs, made once.
pub struct Context {
    pub classifier: Classifier,
    pub limits: Limits,
    pub log: LogBucket,
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
    writer::append(&context.log, &entry).await?;
    Ok(http::ok(&Logged { status: "ok", logged: &entry }))
}
