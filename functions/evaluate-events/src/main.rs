//! Evaluates the events that the stream of the table `events` delivers.
//!
//! `POST /event` evaluates events too, but its sandbox can die after storing an event and before evaluating it. The
//! stream delivers every stored event, so no event is left unevaluated.

mod handler;

use shared::config::Config;
use shared::env;
use shared::intake::StreamEvaluator;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let config = Config::load()?;
    let queue = startup::queue(&aws, env::RETRY_QUEUE)?;
    let evaluator = StreamEvaluator { pipeline: startup::event_pipeline(aws.dynamodb(), &config)?, queue };
    shared::background::run("evaluate-events", |changes, deadline| handler::handle(&evaluator, changes, deadline))
        .await?;
    Ok(())
}
