//! `POST /logs/{agent_id}/{user_id}/{log_id}/feedback`: stores the signal that an entry should have.

mod handler;

use shared::auth::Scope;
use shared::config::Config;
use shared::env;
use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let config = Config::load()?;
    let authenticator = startup::authenticator(&aws)?;
    let context = handler::Context {
        limits: config.limits,
        log: startup::log_bucket(&aws)?,
        feedback: startup::feedback_table(&aws)?,
        log_days: env::days(env::LOG_DAYS)?,
    };
    http::run("post-feedback", Scope::LogsWrite, authenticator, |request| handler::handle(&context, request)).await?;
    Ok(())
}
