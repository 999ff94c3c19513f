//! Common start-up steps of all functions. They must run in a tokio runtime because some start to connect to AWS.

use std::fmt;
use std::thread;

use lambda_http::lambda_runtime::{self, Diagnostic, LambdaEvent, service_fn};
use serde::de::IgnoredAny;

use crate::activity::{ActivityTable, RollUp};
use crate::alerts::EpisodeTable;
use crate::auth::{Authenticator, KeyTable};
use crate::aws::{Aws, Settings, SettingsError};
use crate::config::{Config, ConfigError};
use crate::env::{self, InvalidDays, MissingVariable};
use crate::intake::{EventIntake, LogIntake, TurnIntake};
use crate::integrity::pipeline::EventPipeline;
use crate::integrity::{AnomalyTable, EventTable};
use crate::logging::{Classifier, FeedbackTable, LogBucket};
use crate::metrics::CountedSignals;
use crate::moods::MoodMonitor;
use crate::queue::Queue;
use crate::telemetry;

/// Installs the log and prepares AWS clients from the environment.
///
/// # Errors
/// One line that names the missing or invalid setting and its place.
pub fn init() -> Result<Aws, StartError> {
    telemetry::init();
    Ok(Aws::new(Settings::from_env()?))
}

/// Returns the authenticator over the API key table named in the environment. Starts to connect to DynamoDB.
pub fn authenticator(aws: &Aws) -> Result<Authenticator<KeyTable>, MissingVariable> {
    Ok(Authenticator::new(key_table(aws)?))
}

/// Returns the API key table named in the environment. Starts to connect to DynamoDB.
pub fn key_table(aws: &Aws) -> Result<KeyTable, MissingVariable> {
    let table = KeyTable::new(aws.dynamodb(), env::required(env::API_KEYS_TABLE)?);
    aws.connect_dynamodb();
    Ok(table)
}

/// Returns the log bucket named in the environment. Starts to connect to the bucket.
pub fn log_bucket(aws: &Aws) -> Result<LogBucket, MissingVariable> {
    let bucket = env::required(env::LOG_BUCKET)?;
    aws.connect_bucket(&bucket);
    Ok(LogBucket::new(aws.s3(), bucket))
}

/// Returns the feedback table named in the environment.
pub fn feedback_table(aws: &Aws) -> Result<FeedbackTable, MissingVariable> {
    Ok(FeedbackTable::new(aws.dynamodb(), env::required(env::FEEDBACK_TABLE)?))
}

/// Returns the pipeline over the tables of events and anomalies named in the environment, with the rules of `config`.
pub fn event_pipeline(
    dynamodb: aws_sdk_dynamodb::Client,
    config: &Config,
) -> Result<EventPipeline<EventTable, AnomalyTable>, MissingVariable> {
    Ok(EventPipeline {
        events: EventTable::new(dynamodb.clone(), env::required(env::EVENTS_TABLE)?),
        anomalies: AnomalyTable::new(dynamodb, env::required(env::ANOMALIES_TABLE)?),
        detection: config.detection.clone(),
        retention: config.retention,
    })
}

/// Returns the intake of events with the rules of `config`, over the tables and the queue named in the environment.
pub fn event_intake(aws: &Aws, config: &Config) -> Result<EventIntake, MissingVariable> {
    Ok(EventIntake { pipeline: event_pipeline(aws.dynamodb(), config)?, queue: queue(aws, env::RETRY_QUEUE)? })
}

/// Returns the intake of interactions with the rules of `config`, over the bucket and the queue named in the environment.
pub fn log_intake(aws: &Aws, config: &Config) -> Result<LogIntake, MissingVariable> {
    Ok(LogIntake {
        classifier: Classifier::new(&config.classifier),
        counted: CountedSignals::of(&config.classifier.rules),
        max_future: config.detection.max_future,
        log: log_bucket(aws)?,
        queue: queue(aws, env::RETRY_QUEUE)?,
    })
}

/// Returns the intake of turns with the rules of `config`, over the bucket and the queue named in the environment.
pub fn turn_intake(aws: &Aws, config: &Config) -> Result<TurnIntake, MissingVariable> {
    Ok(TurnIntake { max_entry_bytes: config.limits.max_body_bytes.bytes, log: log_intake(aws, config)? })
}

/// Returns the worker that keeps the read model up to date, over the table and the bucket named in the environment.
pub fn roll_up(aws: &Aws) -> Result<RollUp<ActivityTable, LogBucket>, StartError> {
    let (table, log_days) = (env::required(env::ACTIVITY_TABLE)?, env::days(env::LOG_DAYS)?);
    aws.connect_dynamodb();
    Ok(RollUp::new(aws.dynamodb(), table, log_bucket(aws)?, log_days))
}

/// Returns the monitor of moods with the rules of `config`, over `activity` and the table and the queues named in the
/// environment.
pub fn mood_monitor(
    aws: &Aws,
    config: Config,
    activity: ActivityTable,
) -> Result<MoodMonitor<ActivityTable, EpisodeTable, Queue, Queue>, MissingVariable> {
    Ok(MoodMonitor {
        rules: config.moods,
        activity,
        states: EpisodeTable::new(aws.dynamodb(), env::required(env::EPISODES_TABLE)?),
        alerts: queue(aws, env::ALERTS_QUEUE)?,
        checks: queue(aws, env::ACTIVITY_QUEUE)?,
    })
}

/// Returns the read model over the table named in the environment, for reads. Starts to connect to DynamoDB.
pub fn activity(aws: &Aws) -> Result<ActivityTable, MissingVariable> {
    // Only writes set the time at which an item expires.
    let table = ActivityTable::new(aws.dynamodb(), env::required(env::ACTIVITY_TABLE)?, 0);
    aws.connect_dynamodb();
    Ok(table)
}

/// Returns the queue whose URL is in the environment variable `name`.
pub fn queue(aws: &Aws, name: &'static str) -> Result<Queue, MissingVariable> {
    Ok(Queue::new(aws.sqs(), env::required(name)?))
}

/// Log message of a function that does not start.
pub const FAILED: &str = "failed to start";
/// Variable with the address of the Lambda runtime API, which only a Lambda runtime sets.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
/// Name of the error in responses to invocations.
const ERROR_TYPE: &str = "Signals.StartError";

/// Reason why a function does not start. `main` returns it, so its debug form is the line that people read.
///
/// Under a Lambda runtime, creating this error does not return as long as the runtime runs: the process answers every
/// invocation with the error. If the process ended instead, callers of `cargo lambda watch` would wait without an answer.
#[derive(thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(ConfigError),
    /// The environment is incomplete.
    #[error(transparent)]
    Environment(MissingVariable),
    /// A number in the environment is invalid.
    #[error(transparent)]
    Days(InvalidDays),
    /// The AWS settings in the environment are incomplete or invalid.
    #[error(transparent)]
    Aws(SettingsError),
    /// The Lambda runtime stopped responding.
    #[error("cannot reach the Lambda runtime: {0}")]
    Runtime(#[from] lambda_http::Error),
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error).answer_invocations()
    }
}

impl From<MissingVariable> for StartError {
    fn from(error: MissingVariable) -> Self {
        Self::Environment(error).answer_invocations()
    }
}

impl From<InvalidDays> for StartError {
    fn from(error: InvalidDays) -> Self {
        Self::Days(error).answer_invocations()
    }
}

impl From<SettingsError> for StartError {
    fn from(error: SettingsError) -> Self {
        Self::Aws(error).answer_invocations()
    }
}

impl StartError {
    /// Logs the error and answers invocations with the error until the runtime ends. Returns at once without a runtime.
    fn answer_invocations(self) -> Self {
        if env::optional(RUNTIME_API).is_none() {
            return self;
        }
        let message = self.to_string();
        tracing::error!(cause = message, "{FAILED}");
        // A thread of its own: `main` may be in a tokio runtime, in which no other can run.
        let answering = thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            let message = &message;
            let answer = |_: LambdaEvent<IgnoredAny>| async move {
                Err::<(), _>(Diagnostic { error_type: ERROR_TYPE.to_owned(), error_message: message.clone() })
            };
            // The process ends with the error in any case.
            let _ended = runtime.block_on(lambda_runtime::run(service_fn(answer)));
        });
        let _panicked = answering.join();
        self
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
