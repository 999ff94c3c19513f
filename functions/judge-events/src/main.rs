//! Evaluates the events that the stream of the table `events` delivers.
//!
//! `POST /event` evaluates events too, but its sandbox can die after storing an event and before evaluating it. The
//! stream delivers every stored event, so no event is left unevaluated.

mod handler;

use shared::config::Config;
use shared::deferred::Judge;
use shared::environment;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::begin()?;
    let config = Config::load()?;
    let queue = startup::queue(&aws, environment::RETRY_QUEUE)?;
    let judge = Judge { monitor: startup::monitor(aws.dynamodb(), &config)?, queue };
    shared::background::run("judge-events", |changes, deadline| handler::handle(&judge, changes, deadline)).await?;
    Ok(())
}
