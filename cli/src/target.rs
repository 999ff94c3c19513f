//! The stack that a command works on: the stack on this machine, or a stack on AWS.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use shared::activity::{ActivityTable, RollUp};
use shared::aws::item::Item;
use shared::aws::{Aws, CaBundle, Http, Settings};
use shared::env::{
    self, ACTIVITY_QUEUE, ACTIVITY_TABLE, ALERTS_QUEUE, ANOMALIES_TABLE, API_KEYS_TABLE, DEAD_ACTIVITY_QUEUE,
    DEAD_ALERTS_QUEUE, DEAD_RETRIES_QUEUE, EPISODES_TABLE, EVENTS_TABLE, FEEDBACK_TABLE, LOG_BUCKET, LOG_DAYS,
    RETRY_QUEUE,
};
use shared::logging::LogBucket;

/// The variable with the base address of the API's paths.
pub const API: &str = "SIGNALS_URL";
/// The variable with the address of the dashboard.
pub const DASHBOARD: &str = "SIGNALS_DASHBOARD";

/// The outputs of the CloudFormation stack, with the environment variables in which functions and tests find the same
/// values.
const OUTPUTS: [(&str, &str); 16] = [
    (API_KEYS_TABLE, "ApiKeysTable"),
    (EVENTS_TABLE, "EventsTable"),
    (ANOMALIES_TABLE, "AnomaliesTable"),
    (EPISODES_TABLE, "EpisodesTable"),
    (FEEDBACK_TABLE, "FeedbackTable"),
    (LOG_BUCKET, "LogBucket"),
    (ACTIVITY_TABLE, "ActivityTable"),
    (LOG_DAYS, "LogDays"),
    (ACTIVITY_QUEUE, "ActivityQueue"),
    (DEAD_ACTIVITY_QUEUE, "DeadActivityQueue"),
    (RETRY_QUEUE, "RetryQueue"),
    (DEAD_RETRIES_QUEUE, "DeadRetriesQueue"),
    (ALERTS_QUEUE, "AlertsQueue"),
    (DEAD_ALERTS_QUEUE, "DeadAlertsQueue"),
    (API, "ApiUrl"),
    (DASHBOARD, "DashboardUrl"),
];
/// The number of items deleted concurrently.
const PARALLEL_DELETES: usize = 16;
/// `aws login` is left to the AWS CLI: reading its session would add 26 crates for elliptic curves.
const SIGN_IN: &str = "sign in as for the AWS CLI: `aws configure`, or `aws sso login` with AWS_PROFILE set; \
                       after `aws login`, run `eval \"$(aws configure export-credentials --format env)\"`";

/// Clients for the stores of a stack, with the names of its resources.
#[derive(Debug)]
pub struct StackTarget {
    /// Creates the clients.
    pub aws: Aws,
    /// The display name.
    pub label: String,
    names: BTreeMap<String, String>,
}

impl StackTarget {
    /// Returns the stack on this machine with this `environment`.
    ///
    /// # Errors
    /// Fails if the environment lacks a variable.
    pub fn local(environment: &BTreeMap<String, String>) -> Result<Self> {
        let variable = |name: &str| environment.get(name).cloned().with_context(|| format!("{name} is not set"));
        let aws = Aws::new(Settings {
            region: variable("AWS_REGION")?,
            credentials: Credentials::new(
                variable("AWS_ACCESS_KEY_ID")?,
                variable("AWS_SECRET_ACCESS_KEY")?,
                None,
                None,
                "local",
            ),
            dynamodb_endpoint: Some(variable("AWS_ENDPOINT_URL_DYNAMODB")?),
            s3_endpoint: Some(variable("AWS_ENDPOINT_URL_S3")?),
            sqs_endpoint: Some(variable("AWS_ENDPOINT_URL_SQS")?),
            ssm_endpoint: None,
            authorities: CaBundle::default(),
        });
        Ok(Self { aws, label: "the stack on this machine".to_owned(), names: environment.clone() })
    }

    /// Returns the CloudFormation stack named `stack`. Region and credentials are resolved like in the AWS CLI.
    ///
    /// # Errors
    /// Fails if credentials are missing, the stack does not exist, or the stack is not a Signals stack.
    pub async fn on_aws(stack: &str) -> Result<Self> {
        let authorities = CaBundle::from_env()?;
        let http = Http::new(&authorities).client();
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http).load().await;
        let region = config.region().context("no AWS region is set: set AWS_REGION, or `aws configure`")?.to_string();
        let provider = config.credentials_provider().with_context(|| format!("no AWS credentials: {SIGN_IN}"))?;
        let credentials = match provider.provide_credentials().await {
            Ok(credentials) => credentials,
            // The original message lists, over several lines, every place that was searched.
            Err(CredentialsError::CredentialsNotLoaded(_)) => bail!("no AWS credentials are found: {SIGN_IN}"),
            Err(error) => return Err(error).with_context(|| format!("no AWS credentials: {SIGN_IN}")),
        };
        let names = names(&config, stack, &region).await?;
        let endpoint = |service: &str| {
            let own = env::optional(&format!("AWS_ENDPOINT_URL_{service}"));
            own.or_else(|| config.endpoint_url().map(str::to_owned))
        };
        let aws = Aws::new(Settings {
            credentials,
            dynamodb_endpoint: endpoint("DYNAMODB"),
            s3_endpoint: endpoint("S3"),
            sqs_endpoint: endpoint("SQS"),
            ssm_endpoint: endpoint("SSM"),
            region: region.clone(),
            authorities,
        });
        Ok(Self { aws, label: format!("the stack {stack} in {region}"), names })
    }

    /// Returns the worker that counts log objects in the read model of the stack.
    ///
    /// # Errors
    /// Fails if the stack does not provide a name.
    pub fn roll_up(&self) -> Result<RollUp<ActivityTable, LogBucket>> {
        let log = LogBucket::new(self.aws.s3(), self.name(LOG_BUCKET)?);
        let log_days = self.name(LOG_DAYS)?;
        let log_days = log_days.parse().with_context(|| format!("{LOG_DAYS} is not a number of days: {log_days}"))?;
        Ok(RollUp::new(self.aws.dynamodb(), self.name(ACTIVITY_TABLE)?, log, log_days))
    }

    /// Deletes the items under `keys` in `table`.
    ///
    /// # Errors
    /// Fails if DynamoDB fails. Some of the items may be deleted then.
    pub async fn delete_items(&self, table: &str, keys: Vec<Item>) -> Result<()> {
        let client = self.aws.dynamodb();
        let deletes = keys.into_iter().map(|key| client.delete_item().table_name(table).set_key(Some(key)).send());
        let deletes: Vec<_> = deletes.collect();
        let deleted = stream::iter(deletes).buffer_unordered(PARALLEL_DELETES).try_collect::<Vec<_>>().await;
        deleted.map(drop).with_context(|| format!("items of {table} cannot be deleted"))
    }

    /// Returns the value of the environment variable `name` of the stack on this machine. On AWS only the variables for
    /// outputs are known.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.names.get(name).map(String::as_str)
    }

    /// Returns the name that functions find in the environment variable `variable`.
    ///
    /// # Errors
    /// Fails if the stack does not provide the name.
    pub fn name(&self, variable: &str) -> Result<String> {
        let output = OUTPUTS.into_iter().find(|(known, _)| *known == variable).map_or(variable, |(_, output)| output);
        self.names.get(variable).cloned().with_context(|| {
            format!("{} has no output {output}: is it one of Signals, deployed from this version?", self.label)
        })
    }
}

/// Returns the names in the outputs of `stack`.
async fn names(config: &aws_config::SdkConfig, stack: &str, region: &str) -> Result<BTreeMap<String, String>> {
    let described = aws_sdk_cloudformation::Client::new(config).describe_stacks().stack_name(stack).send().await;
    let described = match described {
        Ok(described) => described,
        Err(error) => match (error.code(), error.message()) {
            (Some(code), Some(message)) => bail!("CloudFormation in {region}: {message} ({code})"),
            _ => return Err(error).with_context(|| format!("CloudFormation in {region} does not answer")),
        },
    };
    let outputs = described.stacks().iter().flat_map(aws_sdk_cloudformation::types::Stack::outputs);
    let outputs: BTreeMap<_, _> =
        outputs.filter_map(|output| Some((output.output_key()?, output.output_value()?))).collect();
    let named = OUTPUTS.into_iter();
    Ok(named.filter_map(|(name, output)| Some((name.to_owned(), (*outputs.get(output)?).to_owned()))).collect())
}
