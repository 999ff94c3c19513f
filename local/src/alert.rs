//! The subcommand `alert`: trying out where alerts go.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::json;
use shared::environment::{ALERTS_QUEUE, WEBHOOK, is_no_webhook};
use shared::ids::EventId;
use shared::time::Timestamp;

use crate::queues::Sqs;

/// Puts an alert of the type `test` into the queue of the stack with this `environment`, from where it goes the way of all
/// alerts, and says under what id.
///
/// # Errors
/// When the stack tells nobody of anything, or SQS does not answer.
pub async fn test(environment: &BTreeMap<String, String>) -> Result<String> {
    let variable = |name: &str| environment.get(name).cloned().with_context(|| format!("{name} is not set"));
    if is_no_webhook(&variable(WEBHOOK)?) {
        bail!(
            "the stack tells nobody of anything: start it with {WEBHOOK}='{{\"url\":\"…\",\"secrets\":[\"whsec_…\"]}}', see \
             docs/webhooks.md"
        );
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_said_to_be_on_its_way_to_nobody() {
        for nobody in ["", "none", " none\n"] {
            let environment = BTreeMap::from([(WEBHOOK.to_owned(), nobody.to_owned())]);
            let error = test(&environment).await.expect_err("nobody is there").to_string();
            assert!(error.starts_with("the stack tells nobody of anything: start it with SIGNALS_WEBHOOK="), "{error}");
        }
    }
}
