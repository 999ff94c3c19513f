//! The AWS clients, made once at start.
//!
//! Region, credentials and endpoints come from the environment variables that Lambda sets and the SDKs define. The
//! `aws-config` crate is left out on purpose: a Lambda sandbox needs none of its other sources, and they cost start-up
//! time and binary size.

mod ahead;
mod breaker;
mod ca_bundle;
mod connector;
mod failure;

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::endpoint::Endpoint;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use futures_util::FutureExt;

pub use ca_bundle::{CaBundle, CaBundleError};
pub use connector::Http;
pub use failure::StoreError;

use crate::environment::{self, MissingVariable};

/// How long one attempt of a call may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a call may take with all its retries.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);
/// As [`ATTEMPT_TIMEOUT`], for a queue: what goes there has waited for a store already.
const QUEUE_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(800);
/// As [`OPERATION_TIMEOUT`], for a queue.
const QUEUE_OPERATION_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ATTEMPTS: u32 = 4;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// Where AWS, or what stands in for it, is to be found.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The AWS region, such as `eu-central-1`.
    pub region: String,
    /// Who calls.
    pub credentials: Credentials,
    /// Address of DynamoDB in place of the region's own.
    pub dynamodb_endpoint: Option<String>,
    /// Address of S3 in place of the region's own.
    pub s3_endpoint: Option<String>,
    /// Address of SQS in place of the region's own.
    pub sqs_endpoint: Option<String>,
    /// Address of Systems Manager in place of the region's own.
    pub ssm_endpoint: Option<String>,
    /// Who else may vouch for an endpoint.
    pub authorities: CaBundle,
}

/// What the environment says of AWS is not enough, or wrong.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable is missing.
    #[error(transparent)]
    Missing(#[from] MissingVariable),
    /// The bundle of certificate authorities is of no use.
    #[error(transparent)]
    CaBundle(#[from] CaBundleError),
}

impl Settings {
    /// Reads `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, where they are set, `AWS_SESSION_TOKEN`,
    /// `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_SQS`,
    /// `AWS_ENDPOINT_URL_SSM`, `AWS_ENDPOINT_URL` and `AWS_CA_BUNDLE`.
    ///
    /// # Errors
    /// Names the first variable that is needed and not set, or the bundle that is of no use.
    pub fn from_env() -> Result<Self, SettingsError> {
        let any_endpoint = environment::optional("AWS_ENDPOINT_URL");
        Ok(Self {
            region: environment::required("AWS_REGION")?,
            credentials: Credentials::new(
                environment::required("AWS_ACCESS_KEY_ID")?,
                environment::required("AWS_SECRET_ACCESS_KEY")?,
                environment::optional("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            dynamodb_endpoint: environment::optional("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| any_endpoint.clone()),
            s3_endpoint: environment::optional("AWS_ENDPOINT_URL_S3").or_else(|| any_endpoint.clone()),
            sqs_endpoint: environment::optional("AWS_ENDPOINT_URL_SQS").or_else(|| any_endpoint.clone()),
            ssm_endpoint: environment::optional("AWS_ENDPOINT_URL_SSM").or(any_endpoint),
            authorities: CaBundle::from_env()?,
        })
    }
}

/// An SQS client that is made when it is needed: most sandboxes send nothing, and it costs a quarter of their start.
pub type LazySqs = Arc<LazyLock<aws_sdk_sqs::Client, Box<dyn FnOnce() -> aws_sdk_sqs::Client + Send>>>;

/// Makes clients that share their connections.
#[derive(Debug)]
pub struct Aws {
    settings: Settings,
    http: Http,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
}

impl Aws {
    /// Opens no connection yet.
    pub fn new(settings: Settings) -> Self {
        let http = Http::new(&settings.authorities);
        Self { settings, http, dynamodb: OnceLock::new() }
    }

    /// The DynamoDB client, with the time budget of a request.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        self.dynamodb.get_or_init(|| self.make_dynamodb()).clone()
    }

    fn make_dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(aws_sdk_dynamodb::config::Region::new(self.settings.region.clone()))
            .credentials_provider(self.settings.credentials.clone())
            .http_client(self.http.client())
            .retry_config(retries())
            .timeout_config(timeouts());
        config.set_endpoint_url(self.settings.dynamodb_endpoint.clone());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// An S3 client with the time budget of a request.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(aws_sdk_s3::config::Region::new(self.settings.region.clone()))
            .credentials_provider(self.settings.credentials.clone())
            .http_client(self.http.client())
            .retry_config(retries())
            .timeout_config(timeouts())
            // Buckets of an endpoint of our own are no host names.
            .force_path_style(self.settings.s3_endpoint.is_some());
        config.set_endpoint_url(self.settings.s3_endpoint.clone());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// An SQS client with the time budget of what waits in a queue for another try.
    pub fn sqs(&self) -> LazySqs {
        let Settings { region, credentials, sqs_endpoint, .. } = self.settings.clone();
        let http = self.http.client();
        let make = move || {
            let timeouts = TimeoutConfig::builder()
                .operation_attempt_timeout(QUEUE_ATTEMPT_TIMEOUT)
                .operation_timeout(QUEUE_OPERATION_TIMEOUT)
                .build();
            let mut config = aws_sdk_sqs::Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(aws_sdk_sqs::config::Region::new(region))
                .credentials_provider(credentials)
                .http_client(http)
                .retry_config(retries())
                .timeout_config(timeouts);
            config.set_endpoint_url(sqs_endpoint);
            aws_sdk_sqs::Client::from_conf(config.build())
        };
        Arc::new(LazyLock::new(Box::new(make)))
    }

    /// A client of Systems Manager, for parameters, with the time budget of a request.
    pub fn ssm(&self) -> aws_sdk_ssm::Client {
        let mut config = aws_sdk_ssm::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(aws_sdk_ssm::config::Region::new(self.settings.region.clone()))
            .credentials_provider(self.settings.credentials.clone())
            .http_client(self.http.client())
            .retry_config(retries())
            .timeout_config(timeouts());
        config.set_endpoint_url(self.settings.ssm_endpoint.clone());
        aws_sdk_ssm::Client::from_conf(config.build())
    }

    /// Begins to connect to DynamoDB, so that the first call need not. To be called in a tokio runtime.
    pub fn connect_dynamodb(&self) {
        use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
        let params = Params::builder().region(self.settings.region.clone());
        let params = params.set_endpoint(self.settings.dynamodb_endpoint.clone()).build();
        self.connect(params.ok().and_then(|params| DefaultResolver::new().resolve_endpoint(&params).now_or_never()));
    }

    /// Begins to connect to `bucket`, so that the first call need not. To be called in a tokio runtime.
    pub fn connect_bucket(&self, bucket: &str) {
        use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
        let params = Params::builder().region(self.settings.region.clone()).bucket(bucket);
        let params = params.force_path_style(self.settings.s3_endpoint.is_some());
        let params = params.set_endpoint(self.settings.s3_endpoint.clone()).build();
        self.connect(params.ok().and_then(|params| DefaultResolver::new().resolve_endpoint(&params).now_or_never()));
    }

    /// What cannot be resolved or connected to here, the call that needs it reports.
    fn connect(&self, endpoint: Option<Result<Endpoint, BoxError>>) {
        let uri = endpoint.and_then(Result::ok).and_then(|endpoint| endpoint.url().parse().ok());
        if let Some(uri) = uri {
            self.http.open_ahead(uri);
        }
    }
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(FIRST_BACKOFF)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build()
}
