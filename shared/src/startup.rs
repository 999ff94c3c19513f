//! What every function does first, within its tokio runtime: some of it begins to connect to AWS.

use std::fmt;

use crate::aws::{Aws, Settings, SettingsError};
use crate::config::{Config, ConfigError};
use crate::deferred::EventIntake;
use crate::environment::{self, MissingVariable};
use crate::http::Guard;
use crate::http::keys::KeyTable;
use crate::integrity::ingest::Monitor;
use crate::integrity::{AnomalyTable, EventTable};
use crate::logging::LogBucket;
use crate::queue::Queue;
use crate::telemetry;

/// Installs the log, and makes ready to call AWS as the environment says.
///
/// # Errors
/// One line that names what is missing or wrong, and where.
pub fn begin() -> Result<Aws, StartError> {
    telemetry::init();
    Ok(Aws::new(Settings::from_env()?))
}

/// The guard over the table of API keys that the environment names. It begins to connect to DynamoDB.
///
/// # Errors
/// When it names none.
pub fn guard(aws: &Aws) -> Result<Guard<KeyTable>, MissingVariable> {
    Ok(Guard::new(key_table(aws)?))
}

/// The table of API keys that the environment names. It begins to connect to DynamoDB.
///
/// # Errors
/// When it names none.
pub fn key_table(aws: &Aws) -> Result<KeyTable, MissingVariable> {
    let table = KeyTable::new(aws.dynamodb(), environment::required(environment::API_KEYS_TABLE)?);
    aws.connect_dynamodb();
    Ok(table)
}

/// The bucket of logs that the environment names. It begins to connect to it.
///
/// # Errors
/// When it names none.
pub fn log_bucket(aws: &Aws) -> Result<LogBucket, MissingVariable> {
    let bucket = environment::required(environment::LOG_BUCKET)?;
    aws.connect_bucket(&bucket);
    Ok(LogBucket::new(aws.s3(), bucket))
}

/// The monitor over the tables of events and anomalies that the environment names, by the rules of `config`.
///
/// # Errors
/// When it does not name both.
pub fn monitor(
    dynamodb: aws_sdk_dynamodb::Client,
    config: &Config,
) -> Result<Monitor<EventTable, AnomalyTable>, MissingVariable> {
    Ok(Monitor {
        events: EventTable::new(dynamodb.clone(), environment::required(environment::EVENTS_TABLE)?),
        anomalies: AnomalyTable::new(dynamodb, environment::required(environment::ANOMALIES_TABLE)?),
        detection: config.detection.clone(),
        retention: config.retention,
    })
}

/// The intake of events by the rules of `config`, over the tables and the queue that the environment names.
///
/// # Errors
/// When it does not name all of them.
pub fn event_intake(aws: &Aws, config: &Config) -> Result<EventIntake, MissingVariable> {
    Ok(EventIntake { monitor: monitor(aws.dynamodb(), config)?, queue: queue(aws, environment::RETRY_QUEUE)? })
}

/// The queue whose URL is in the environment variable `name`.
///
/// # Errors
/// When it is not there.
pub fn queue(aws: &Aws, name: &'static str) -> Result<Queue, MissingVariable> {
    Ok(Queue::new(aws.sqs(), environment::required(name)?))
}

/// Why a function does not start. `main` returns it, so its debug form is the line that a person reads.
#[derive(thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The environment is incomplete.
    #[error(transparent)]
    Environment(#[from] MissingVariable),
    /// What the environment says of AWS is not enough, or wrong.
    #[error(transparent)]
    Aws(#[from] SettingsError),
    /// The Lambda runtime went away.
    #[error("the Lambda runtime: {0}")]
    Runtime(#[from] lambda_http::Error),
}

impl fmt::Debug for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
