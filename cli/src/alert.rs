//! The subcommand `alert`: sends a test alert to the configured destinations.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use shared::env::{ALERTS_QUEUE, WEBHOOK, is_no_webhook};
use shared::ids::EventId;
use shared::time::Timestamp;

use crate::target::StackTarget;

/// The types of destinations.
const TYPES: [&str; 4] = ["webhook", "slack", "teams", "pagerduty"];

/// Sends an alert of the type `test` to the queue of the stack `target` and returns the alert's id. The alert is
/// delivered like every other alert, to every destination. On AWS, only the function may read the settings, so this
/// command does not check them.
///
/// # Errors
/// Fails if the stack on this machine has no destination, or SQS is unavailable.
pub async fn test(target: &StackTarget) -> Result<String> {
    if target.setting(WEBHOOK).is_some_and(is_no_webhook) {
        bail!(
            "no destination is configured: start the stack with {WEBHOOK}='{{\"url\":\"…\",\"secrets\":[\"whsec_…\"]}}' or a \
             list of destinations, see docs/webhooks.md"
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

/// Returns the types of the destinations of the stack `target`, in the order of the settings. Returns `None` on AWS, and
/// if the settings are not valid, which the log of `send-alerts` explains.
pub fn destinations(target: &StackTarget) -> Option<Vec<&'static str>> {
    match serde_json::from_str(target.setting(WEBHOOK)?).ok()? {
        Value::Object(_) => Some(vec!["webhook"]),
        Value::Array(items) => {
            let known = |item: &Value| TYPES.into_iter().find(|name| item["type"] == *name);
            items.iter().map(known).collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Returns a stack whose stores do not respond, with `settings` of alerts.
    fn stack(settings: &str) -> StackTarget {
        let nowhere = "http://127.0.0.1:9";
        let environment = BTreeMap::from(
            [
                ("AWS_ACCESS_KEY_ID", "id"),
                ("AWS_SECRET_ACCESS_KEY", "secret"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ENDPOINT_URL_DYNAMODB", nowhere),
                ("AWS_ENDPOINT_URL_S3", nowhere),
                ("AWS_ENDPOINT_URL_SQS", nowhere),
                (WEBHOOK, settings),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        StackTarget::local(&environment).expect("a stack")
    }

    #[tokio::test]
    async fn alert_test_is_refused_when_no_destination_is_configured() {
        for nobody in ["", "none", " none\n"] {
            let error = test(&stack(nobody)).await.expect_err("nobody is there").to_string();
            let expected = "no destination is configured: start the stack with SIGNALS_WEBHOOK=";
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn destinations_are_listed_by_type() {
        for (settings, expected) in [
            (r#"{"url":"http://127.0.0.1/","secrets":[]}"#, Some(vec!["webhook"])),
            (r#"[{"type":"slack"},{"type":"pagerduty"},{"type":"slack"}]"#, Some(vec!["slack", "pagerduty", "slack"])),
            (r#"[{"type":"s3cret"}]"#, None),
            ("{", None),
        ] {
            assert_eq!(destinations(&stack(settings)), expected, "{settings}");
        }
    }
}
