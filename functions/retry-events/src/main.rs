//! Stores the events and log entries in the retry queue.
//!
//! They were accepted during a store outage, or from a caller who preferred an asynchronous response.

use shared::background;
use shared::config::Config;
use shared::deferred::Retrier;
use shared::environment;
use shared::queue::{Batch, Consumer};
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::begin()?;
    let config = Config::load()?;
    let retrier = Retrier { monitor: startup::monitor(aws.dynamodb(), &config)?, log: startup::log_bucket(&aws)? };
    let consumer = Consumer::new(
        startup::queue(&aws, environment::RETRY_QUEUE)?,
        startup::queue(&aws, environment::DEAD_RETRIES_QUEUE)?,
    );
    let (retrier, consumer) = (&retrier, &consumer);
    background::run("retry-events", |batch: Batch, deadline| async move {
        let store = |messages: Vec<String>, deadline| async move { retrier.store_all(&messages, deadline).await };
        consumer.consume_together(&batch, deadline, store).await
    })
    .await?;
    Ok(())
}
