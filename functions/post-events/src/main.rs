//! `POST /events`: stores and evaluates a batch of events.

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
    let context = handler::Context { intake: startup::event_intake(&aws, &config)?, limits: config.limits };
    http::run("post-events", Scope::EventsWrite, authenticator, |request| handler::handle(&context, request)).await?;
    Ok(())
}
