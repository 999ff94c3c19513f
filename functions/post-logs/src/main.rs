//! `POST /logs`: records a batch of interactions.

mod handler;

use shared::auth::Scope;
use shared::config::Config;
use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let config = Config::load()?;
    let authenticator = startup::authenticator(&aws)?;
    let context = handler::Context { intake: startup::log_intake(&aws, &config)?, limits: config.limits };
    http::run("post-logs", Scope::LogsWrite, authenticator, |request| handler::handle(&context, request)).await?;
    Ok(())
}
