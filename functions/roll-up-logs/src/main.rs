//! Counts new log objects in the read model over all users.

use shared::background;
use shared::env;
use shared::queue::{Batch, Consumer};
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let roll_up = &startup::roll_up(&aws)?;
    let consumer =
        &Consumer::new(startup::queue(&aws, env::ACTIVITY_QUEUE)?, startup::queue(&aws, env::DEAD_ACTIVITY_QUEUE)?);
    background::run("roll-up-logs", |batch: Batch, deadline| async move {
        let count = |messages: Vec<String>, deadline| async move { roll_up.handle(&messages, deadline).await };
        consumer.consume_together(&batch, deadline, count).await
    })
    .await?;
    Ok(())
}
