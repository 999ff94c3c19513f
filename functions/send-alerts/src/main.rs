//! Delivers alerts from their queue to their destinations: signed webhooks, Slack, Microsoft Teams and PagerDuty.
//!
//! Format of webhooks: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

mod alert;
mod destination;
mod dispatcher;
mod endpoint_state;
mod formats;
mod settings;
mod summary;
mod webhook_client;

use shared::background;
use shared::env;
use shared::queue::{Batch, Consumer};
use shared::startup::{self, StartError};

use dispatcher::AlertDispatcher;
use endpoint_state::EndpointState;
use settings::Source;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let source = match env::optional(env::WEBHOOK) {
        Some(text) => Source::Env(text),
        None => Source::Parameter(aws.ssm(), env::required(env::WEBHOOK_PARAMETER)?),
    };
    let endpoint_state = EndpointState::new(aws.dynamodb(), env::required(env::EPISODES_TABLE)?);
    let queue = startup::queue(&aws, env::ALERTS_QUEUE)?;
    let dispatcher = AlertDispatcher::new(source, endpoint_state, queue.clone(), env::optional(env::DASHBOARD_URL));
    let consumer = Consumer::new(queue, startup::queue(&aws, env::DEAD_ALERTS_QUEUE)?);
    let (dispatcher, consumer) = (&dispatcher, &consumer);
    background::run("send-alerts", |batch: Batch, deadline| async move {
        consumer.consume(&batch, deadline, |message| async move { dispatcher.deliver(message).await }).await
    })
    .await?;
    Ok(())
}
