//! `POST /event`: stores one event, then judges it.

mod handler;

use shared::http::{self, Scope};
use shared::startup::{self, StartError, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let Startup { config, aws } = Startup::begin()?;
    let guard = startup::guard(&aws)?;
    let context = handler::Context { intake: startup::event_intake(&aws, &config)?, limits: config.limits };
    http::run("post-event", Scope::EventsWrite, guard, |request| handler::handle(&context, request)).await?;
    Ok(())
}
