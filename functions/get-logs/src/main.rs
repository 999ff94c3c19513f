//! `GET /logs/{agent_id}/{user_id}`: the newest entries of a log.

mod handler;

use shared::auth::Scope;
use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let authenticator = startup::authenticator(&aws)?;
    let context = handler::Context { log: startup::log_bucket(&aws)?, feedback: startup::feedback_table(&aws)? };
    http::run("get-logs", Scope::LogsRead, authenticator, |request| handler::handle(&context, request)).await?;
    Ok(())
}
