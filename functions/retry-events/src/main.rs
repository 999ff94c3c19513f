//! Stores the events and log entries in the retry queue.
//!
//! They were accepted during a store outage, or from a caller who preferred an asynchronous response.

use shared::background;
use shared::config::Config;
use shared::env;
use shared::queue::{Batch, Consumer};
use shared::retry::RetryWorker;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let config = Config::load()?;
    let worker =
        RetryWorker { pipeline: startup::event_pipeline(aws.dynamodb(), &config)?, log: startup::log_bucket(&aws)? };
    let consumer =
        Consumer::new(startup::queue(&aws, env::RETRY_QUEUE)?, startup::queue(&aws, env::DEAD_RETRIES_QUEUE)?);
    let (worker, consumer) = (&worker, &consumer);
    background::run("retry-events", |batch: Batch, deadline| async move {
        let store = |messages: Vec<String>, deadline| async move { worker.store_all(&messages, deadline).await };
        consumer.consume_together(&batch, deadline, store).await
    })
    .await?;
    Ok(())
}
