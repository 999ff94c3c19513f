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
pub mod versioned;

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

/// Returns the configuration builder of the crate `$sdk`, for a client with its own endpoint and timeouts.
macro_rules! client_config {
    ($sdk:ident, $settings:expr, $http:expr, $timeouts:expr, $endpoint:ident) => {{
        let mut config = $sdk::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region($sdk::config::Region::new($settings.region.clone()))
            .credentials_provider($settings.credentials.clone())
            .http_client($http)
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(FIRST_BACKOFF))
            .timeout_config($timeouts);
        config.set_endpoint_url($settings.$endpoint.clone());
        config
    }};
}

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
        let timeouts = timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT);
        let config = client_config!(aws_sdk_dynamodb, self.settings, self.http.client(), timeouts, dynamodb_endpoint);
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// Returns an S3 client, with the timeouts of a request.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let timeouts = timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT);
        let config = client_config!(aws_sdk_s3, self.settings, self.http.client(), timeouts, s3_endpoint);
        // Custom endpoints do not support bucket names as host names.
        let config = config.force_path_style(self.settings.s3_endpoint.is_some());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// Returns an SQS client, with the timeouts for queues.
    pub fn sqs(&self) -> LazySqs {
        let (settings, http) = (self.settings.clone(), self.http.client());
        Arc::new(LazyLock::new(Box::new(move || {
            let timeouts = timeouts(QUEUE_ATTEMPT_TIMEOUT, QUEUE_OPERATION_TIMEOUT);
            let config = client_config!(aws_sdk_sqs, settings, http, timeouts, sqs_endpoint);
            aws_sdk_sqs::Client::from_conf(config.build())
        })))
    }

    /// Returns a Systems Manager client, for parameters, with the timeouts of a request.
    pub fn ssm(&self) -> aws_sdk_ssm::Client {
        let timeouts = timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT);
        let config = client_config!(aws_sdk_ssm, self.settings, self.http.client(), timeouts, ssm_endpoint);
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

fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(operation).build()
}

/// Returns a random share between a half and one of a pause, so that requests that failed together are not retried
/// together. Without randomness, returns one.
pub(crate) fn jitter() -> f64 {
    0.5 + 0.5 * getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}
