//! The subcommand `alert`: trying out where alerts go.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::json;
use shared::environment::ALERTS_QUEUE;
use shared::ids::EventId;
use shared::time::Timestamp;

use crate::queues::Sqs;

/// Puts an alert of the type `test` into the queue of the stack with this `environment`, from where it goes the way of all
/// alerts, and says under what id.
///
/// # Errors
/// When SQS does not answer.
pub async fn test(environment: &BTreeMap<String, String>) -> Result<String> {
    let variable = |name: &str| environment.get(name).cloned().with_context(|| format!("{name} is not set"));
    let id = format!("test_{}", EventId::generate());
    let message = json!({
        "id": id,
        "type": "test",
        "timestamp": Timestamp::now(),
        "data": { "message": "This is a test: alerts of Signals arrive here." },
    });
    let request = json!({ "QueueUrl": variable(ALERTS_QUEUE)?, "MessageBody": message.to_string() });
    Sqs::new(variable("AWS_ENDPOINT_URL_SQS")?).call("SendMessage", &request).await?;
    Ok(id)
}
