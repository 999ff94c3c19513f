//! Judges the events that come in by the stream of the table `events`.
//!
//! `POST /event` judges too; but its sandbox can die between storing and judging. The stream tells of every event that
//! is stored, so that none is left unjudged.

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
