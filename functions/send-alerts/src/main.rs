//! Delivers alerts from their queue as signed webhooks.
//!
//! Format: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

mod courier;
mod post;
mod settings;
mod switch;

use shared::background;
use shared::environment;
use shared::queue::{Batch, Consumer};
use shared::startup::{self, StartError};

use courier::Courier;
use settings::Source;
use switch::Switch;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::begin()?;
    let source = match environment::optional(environment::WEBHOOK) {
        Some(text) => Source::Laptop(text),
        None => Source::Parameter(aws.ssm(), environment::required(environment::WEBHOOK_PARAMETER)?),
    };
    let switch = Switch::new(aws.dynamodb(), environment::required(environment::EPISODES_TABLE)?);
    let courier = Courier::new(source, switch);
    let consumer = Consumer::new(
        startup::queue(&aws, environment::ALERTS_QUEUE)?,
        startup::queue(&aws, environment::DEAD_ALERTS_QUEUE)?,
    );
    let (courier, consumer) = (&courier, &consumer);
    background::run("send-alerts", |batch: Batch, deadline| async move {
        consumer.consume(&batch, deadline, |message| async move { courier.deliver(message).await }).await
    })
    .await?;
    Ok(())
}
