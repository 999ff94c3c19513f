//! AWS clients, created once at start.
//!
//! Region, credentials and endpoints come from the environment variables that Lambda sets and the SDKs define. The
//! `aws-config` crate is omitted on purpose: a Lambda sandbox needs none of its other sources, and they cost start-up
//! time and binary size.

mod breaker;
mod ca_bundle;
mod connector;
mod failure;
pub mod item;
mod prewarm;

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

use crate::env::{self, MissingVariable};

/// Name of DynamoDB in errors.
pub const DYNAMODB: &str = "dynamodb";
/// Name of S3 in errors.
pub const S3: &str = "s3";
/// Name of SQS in errors.
pub const SQS: &str = "sqs";

/// Timeout of one attempt of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout of a call with all its retries.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4);
/// Equivalent of [`ATTEMPT_TIMEOUT`] for a queue. Shorter, because queued data has already waited for a store.
const QUEUE_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(800);
/// Equivalent of [`OPERATION_TIMEOUT`] for a queue.
const QUEUE_OPERATION_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ATTEMPTS: u32 = 4;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// Location of AWS, or of its emulators, and how to authenticate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The AWS region, such as `eu-central-1`.
    pub region: String,
    /// Credentials of the caller.
    pub credentials: Credentials,
    /// DynamoDB endpoint that replaces the region's.
    pub dynamodb_endpoint: Option<String>,
    /// S3 endpoint that replaces the region's.
    pub s3_endpoint: Option<String>,
    /// SQS endpoint that replaces the region's.
    pub sqs_endpoint: Option<String>,
    /// Systems Manager endpoint that replaces the region's.
    pub ssm_endpoint: Option<String>,
    /// Additional certificate authorities for the endpoints.
    pub authorities: CaBundle,
}

/// The AWS settings in the environment are incomplete or invalid.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable is missing.
    #[error(transparent)]
    Missing(#[from] MissingVariable),
    /// The bundle of certificate authorities is unusable.
    #[error(transparent)]
    CaBundle(#[from] CaBundleError),
}

impl Settings {
    /// Reads `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if set, `AWS_SESSION_TOKEN`,
    /// `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_SQS`, `AWS_ENDPOINT_URL_SSM`,
    /// `AWS_ENDPOINT_URL` and `AWS_CA_BUNDLE`.
    ///
    /// # Errors
    /// Names the first required variable that is not set, or the bundle that is unusable.
    pub fn from_env() -> Result<Self, SettingsError> {
        let any_endpoint = env::optional("AWS_ENDPOINT_URL");
        Ok(Self {
            region: env::required("AWS_REGION")?,
            credentials: Credentials::new(
                env::required("AWS_ACCESS_KEY_ID")?,
                env::required("AWS_SECRET_ACCESS_KEY")?,
                env::optional("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            dynamodb_endpoint: env::optional("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| any_endpoint.clone()),
            s3_endpoint: env::optional("AWS_ENDPOINT_URL_S3").or_else(|| any_endpoint.clone()),
            sqs_endpoint: env::optional("AWS_ENDPOINT_URL_SQS").or_else(|| any_endpoint.clone()),
            ssm_endpoint: env::optional("AWS_ENDPOINT_URL_SSM").or(any_endpoint),
            authorities: CaBundle::from_env()?,
        })
    }
}

/// Outcome of a conditional put, which stores an item or object only if its key is unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutResult<E = ()> {
    /// The item is stored.
    Stored,
    /// The key is in use, perhaps by an attempt of this put whose response was lost. Nothing has changed.
    Existing(E),
}

/// An SQS client created on first use: most sandboxes send nothing, and creating it takes a quarter of their start-up
/// time.
pub type LazySqs = Arc<LazyLock<aws_sdk_sqs::Client, Box<dyn FnOnce() -> aws_sdk_sqs::Client + Send>>>;

/// Creates clients that share their connections.
#[derive(Debug)]
pub struct Aws {
    settings: Settings,
    http: Http,
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
}

impl Aws {
    /// Creates a factory of clients. Opens no connection yet.
    pub fn new(settings: Settings) -> Self {
        let http = Http::new(&settings.authorities);
        Self { settings, http, dynamodb: OnceLock::new() }
    }

    /// Returns the DynamoDB client, with the timeouts of a request.
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

    /// Returns an S3 client, with the timeouts of a request.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(aws_sdk_s3::config::Region::new(self.settings.region.clone()))
            .credentials_provider(self.settings.credentials.clone())
            .http_client(self.http.client())
            .retry_config(retries())
            .timeout_config(timeouts())
            // Custom endpoints do not support bucket names as host names.
            .force_path_style(self.settings.s3_endpoint.is_some());
        config.set_endpoint_url(self.settings.s3_endpoint.clone());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// Returns an SQS client, with the timeouts for queues.
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

    /// Returns a Systems Manager client, for parameters, with the timeouts of a request.
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

    /// Starts to connect to DynamoDB, ahead of the first call. Must be called in a tokio runtime.
    pub fn connect_dynamodb(&self) {
        use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
        let params = Params::builder().region(self.settings.region.clone());
        let params = params.set_endpoint(self.settings.dynamodb_endpoint.clone()).build();
        self.connect(params.ok().and_then(|params| DefaultResolver::new().resolve_endpoint(&params).now_or_never()));
    }

    /// Starts to connect to `bucket`, ahead of the first call. Must be called in a tokio runtime.
    pub fn connect_bucket(&self, bucket: &str) {
        use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
        let params = Params::builder().region(self.settings.region.clone()).bucket(bucket);
        let params = params.force_path_style(self.settings.s3_endpoint.is_some());
        let params = params.set_endpoint(self.settings.s3_endpoint.clone()).build();
        self.connect(params.ok().and_then(|params| DefaultResolver::new().resolve_endpoint(&params).now_or_never()));
    }

    /// Starts to connect to `endpoint`. Errors in resolving or connecting are left to the call that needs the
    /// connection.
    fn connect(&self, endpoint: Option<Result<Endpoint, BoxError>>) {
        let uri = endpoint.and_then(Result::ok).and_then(|endpoint| endpoint.url().parse().ok());
        if let Some(uri) = uri {
            self.http.prewarm(uri);
        }
    }
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(FIRST_BACKOFF)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build()
}
