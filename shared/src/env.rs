//! Environment variables used by the suite.

use std::env;

/// A required variable is not set.
#[derive(Debug, thiserror::Error)]
#[error(
    "environment variable {0} is not set: deploy template.yaml, start the stack with `make run`, or pass its file .local/env to \
     `cargo lambda watch --env-file`"
)]
pub struct MissingVariable(&'static str);

/// The value of a variable is invalid.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {name} is {value:?}, which is not a number of days from 0 on")]
pub struct InvalidDays {
    name: &'static str,
    value: String,
}

/// Name of the DynamoDB table of API keys.
pub const API_KEYS_TABLE: &str = "SIGNALS_API_KEYS_TABLE";
/// Name of the DynamoDB table of events.
pub const EVENTS_TABLE: &str = "SIGNALS_EVENTS_TABLE";
/// Name of the DynamoDB table of anomalies.
pub const ANOMALIES_TABLE: &str = "SIGNALS_ANOMALIES_TABLE";
/// Name of the DynamoDB table of feedback.
pub const FEEDBACK_TABLE: &str = "SIGNALS_FEEDBACK_TABLE";
/// Name of the S3 bucket of logs.
pub const LOG_BUCKET: &str = "SIGNALS_LOG_BUCKET";
/// Number of days until the bucket deletes a log object, or 0 to keep objects.
pub const LOG_DAYS: &str = "SIGNALS_LOG_DAYS";
/// Name of the DynamoDB table of episodes.
pub const EPISODES_TABLE: &str = "SIGNALS_EPISODES_TABLE";
/// URL of the SQS queue of alerts to be delivered.
pub const ALERTS_QUEUE: &str = "SIGNALS_ALERTS_QUEUE";
/// URL of the SQS queue of alerts that could not be delivered.
pub const DEAD_ALERTS_QUEUE: &str = "SIGNALS_DEAD_ALERTS_QUEUE";
/// Address of the dashboard, if there is one, to which alerts link.
pub const DASHBOARD_URL: &str = "SIGNALS_DASHBOARD_URL";
/// Name of the SSM parameter with the destinations of alerts.
pub const WEBHOOK_PARAMETER: &str = "SIGNALS_WEBHOOK_PARAMETER";
/// Value of that parameter, for stacks on a developer's machine.
pub const WEBHOOK: &str = "SIGNALS_WEBHOOK";
/// Value of the variable or the parameter which, like its absence, disables alerts.
pub const NO_WEBHOOK: &str = "none";
/// Name of the table with the activity of users and agents.
pub const ACTIVITY_TABLE: &str = "SIGNALS_ACTIVITY_TABLE";
/// URL of the queue of S3's notifications about new log objects.
pub const ACTIVITY_QUEUE: &str = "SIGNALS_ACTIVITY_QUEUE";
/// URL of the dead-letter queue of notifications.
pub const DEAD_ACTIVITY_QUEUE: &str = "SIGNALS_DEAD_ACTIVITY_QUEUE";
/// URL of the SQS queue of data to store later, after a store failed.
pub const RETRY_QUEUE: &str = "SIGNALS_RETRY_QUEUE";
/// URL of the SQS dead-letter queue of data that cannot be stored.
pub const DEAD_RETRIES_QUEUE: &str = "SIGNALS_DEAD_RETRIES_QUEUE";
/// Origin of a website that may call the API from a browser, if any.
pub const ALLOWED_ORIGIN: &str = "SIGNALS_ALLOWED_ORIGIN";
/// Path of a PEM file with certificate authorities to trust in addition to those compiled in.
pub const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
/// Path of a configuration file that replaces the one compiled in.
pub const CONFIG: &str = "SIGNALS_CONFIG";

/// Returns whether the value `setting` of [`WEBHOOK`] or of the parameter disables alerts.
pub fn is_no_webhook(setting: &str) -> bool {
    ["", NO_WEBHOOK].contains(&setting.trim())
}

/// Returns the value of `name`.
pub fn required(name: &'static str) -> Result<String, MissingVariable> {
    optional(name).ok_or(MissingVariable(name))
}

/// Returns the number of days in `name`.
///
/// # Errors
/// When the value is not a whole number from 0 on, or not set.
pub fn days(name: &'static str) -> Result<u32, InvalidDays> {
    let value = optional(name).unwrap_or_default();
    value.trim().parse().map_err(|_| InvalidDays { name, value })
}

/// Returns the value of `name`, if it is set and not empty.
pub fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
