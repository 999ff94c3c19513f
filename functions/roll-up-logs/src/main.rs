//! Counts new log objects in the read model over all users, and alerts of moods.

mod handler;

use shared::background;
use shared::config::Config;
use shared::env;
use shared::queue::{Batch, Consumer};
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let roll_up = startup::roll_up(&aws)?;
    let moods = startup::mood_monitor(&aws, Config::load()?, roll_up.store.clone())?;
    let context = &handler::Context { roll_up, moods };
    let consumer =
        &Consumer::new(startup::queue(&aws, env::ACTIVITY_QUEUE)?, startup::queue(&aws, env::DEAD_ACTIVITY_QUEUE)?);
    background::run("roll-up-logs", |batch: Batch, deadline| async move {
        consumer.consume_together(&batch, deadline, |bodies, deadline| context.handle(bodies, deadline)).await
    })
    .await?;
    Ok(())
}
