//! The subcommand `alert`: sends a test alert to the configured webhook.

use anyhow::{Context, Result, bail};
use serde_json::json;
use shared::env::{ALERTS_QUEUE, WEBHOOK, is_no_webhook};
use shared::ids::EventId;
use shared::time::Timestamp;

use crate::target::StackTarget;

/// Sends an alert of the type `test` to the queue of the stack `target` and returns the alert's id. The alert is
/// delivered like every other alert. On AWS, only the function may read the webhook settings, so this command does not
/// check them.
///
/// # Errors
/// Fails if the stack on this machine has no webhook, or SQS is unavailable.
pub async fn test(target: &StackTarget) -> Result<String> {
    if target.setting(WEBHOOK).is_some_and(is_no_webhook) {
        bail!(
            "no webhook is configured: start the stack with {WEBHOOK}='{{\"url\":\"…\",\"secrets\":[\"whsec_…\"]}}', see \
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
    let sqs = target.aws.sqs();
    let send = sqs.send_message().queue_url(target.name(ALERTS_QUEUE)?).message_body(message.to_string());
    send.send().await.context("cannot send the alert to its queue")?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[tokio::test]
    async fn alert_test_is_refused_when_no_webhook_is_configured() {
        for nobody in ["", "none", " none\n"] {
            let nowhere = "http://127.0.0.1:9";
            let environment = BTreeMap::from(
                [
                    ("AWS_ACCESS_KEY_ID", "id"),
                    ("AWS_SECRET_ACCESS_KEY", "secret"),
                    ("AWS_REGION", "us-east-1"),
                    ("AWS_ENDPOINT_URL_DYNAMODB", nowhere),
                    ("AWS_ENDPOINT_URL_S3", nowhere),
                    ("AWS_ENDPOINT_URL_SQS", nowhere),
                    (WEBHOOK, nobody),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
            let target = StackTarget::local(&environment).expect("a stack");
            let error = test(&target).await.expect_err("nobody is there").to_string();
            assert!(error.starts_with("no webhook is configured: start the stack with SIGNALS_WEBHOOK="), "{error}");
        }
    }
}
