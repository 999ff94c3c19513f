//! The complete stack: stores, functions and the gateway, started and stopped in order.

use std::collections::BTreeMap;
use std::env;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use cli::data_folder::{DataFolder, Description, Lock};
use cli::{keys, link};
use shared::config::Config;
use tokio::task::{JoinHandle, JoinSet};

use crate::credentials::Credentials;
use crate::developer_files;
use crate::functions::{self, Functions};
use crate::gateway::{self, Backend};
use crate::ports::{Claimed, Hidden, Ports};
use crate::queues::{self, Sqs};
use crate::schedules;
use crate::services::dynamodb::Changes;
use crate::services::s3::store::Store;
use crate::services::{Service, dynamodb, s3, sqs};
use crate::template::Template;
use crate::template::names::REGION;
use crate::{notifications, ready, streams, toolchain};

/// Number of addresses to try for `cargo lambda watch` if another program takes the port first.
const PORT_ATTEMPTS: usize = 5;
/// The time that queued messages have to be processed when the stack is stopped, and the interval at which the queues
/// are checked.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const DRAIN_PERIOD: Duration = Duration::from_millis(50);

/// The environment variables with the endpoints of the stores.
const DYNAMODB: &str = "AWS_ENDPOINT_URL_DYNAMODB";
const S3: &str = "AWS_ENDPOINT_URL_S3";
const SQS: &str = "AWS_ENDPOINT_URL_SQS";

/// The settings for starting a stack.
#[derive(Debug)]
pub struct Options {
    /// The folder with `Cargo.toml` and `static/`.
    pub root: PathBuf,
    /// The file that defines the resources: `template.yaml`.
    pub template: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// The ports to listen on.
    pub ports: Ports,
    /// The cargo profile of the functions.
    pub profile: String,
    /// The number of processes per function. With more than one, requests run concurrently as on AWS.
    pub processes: u16,
    /// This crate's program, which has the subcommand `supervisor`.
    pub program: PathBuf,
    /// Variables that replace the stack's own in the functions' environment, such as the address of a proxy in front of
    /// a store.
    pub overrides: BTreeMap<String, String>,
}

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    /// DynamoDB.
    pub dynamodb: Service,
    /// S3.
    pub s3: Service,
    /// SQS.
    pub sqs: Service,
    /// The dashboard and the API.
    pub gateway: Service,
    /// The proxy to `cargo lambda watch`.
    pub invocations: Service,
    functions: Functions,
    _hidden: Hidden,
    sweep: JoinHandle<()>,
    streams: JoinSet<()>,
    notifications: JoinHandle<()>,
    objects: Arc<Store>,
    queues: JoinSet<()>,
    schedules: JoinSet<()>,
    queue_client: Sqs,
    template: Template,
    data: DataFolder,
    description: Description,
    api_key: String,
    _lock: Lock,
}

impl Stack {
    /// Builds the functions, starts all parts and waits until every endpoint has responded.
    ///
    /// # Errors
    /// Fails if a port is taken, another stack uses the data, the configuration is invalid, or a part does not start.
    /// Nothing is left running.
    pub async fn start(options: &Options) -> Result<Self> {
        // Otherwise every function would report the mistake, all at once.
        Config::load().map_err(|mistake| anyhow!("{mistake}"))?;
        let cargo_lambda = toolchain::cargo_lambda(&options.root)?;
        let data = DataFolder::create(&options.data)?;
        let lock = data.lock()?;
        let Claimed { gateway, dynamodb, s3, sqs, functions } = options.ports.claim()?;
        let sqs_endpoint = format!("http://{}", sqs.local_addr().context("sqs has no address")?);
        let template = Template::load(&options.template, &sqs_endpoint)?;
        let binaries: Vec<_> = template.functions.iter().map(|function| function.name.clone()).collect();
        let programs = toolchain::build(&options.root, &options.profile, &binaries).await?;

        let database = dynamodb::open(&data.dynamodb(), &template.tables)?;
        let objects = Store::open(&data.s3(), &template.buckets)?.notifying(template.notifications.clone());
        let objects = Arc::new(objects);
        let credentials = Credentials::load_or_create(&data.store_secret())?;
        let changes = Changes::default();
        let dynamodb = dynamodb::start(dynamodb, &database, &credentials, &changes)?;
        let s3 = s3::start(s3, Arc::clone(&objects), &credentials)?;
        let sqs = sqs::start(sqs, &template.queues, &credentials).await?;
        for (variable, service) in [DYNAMODB, S3, SQS].into_iter().zip([&dynamodb, &s3, &sqs]) {
            if let Some(proxy) = options.overrides.get(variable) {
                let proxy = reqwest::Url::parse(proxy).with_context(|| format!("{variable} is not a URL"))?;
                service.accept_port(proxy.port_or_known_default().unwrap_or_default());
            }
        }
        let mut environment = environment(&template, [&dynamodb, &s3, &sqs], &credentials)?;
        let dashboard = gateway.local_addr().context("the gateway has no address")?;
        environment.insert(shared::env::DASHBOARD_URL.to_owned(), format!("http://{dashboard}"));
        let api_key = keys::first(&environment, &data.api_key()).await?;

        let mut functions_environment = environment.clone();
        functions_environment.extend(options.overrides.clone());
        let hidden = Hidden::claim()?;
        let settings = functions::Settings {
            root: &options.root,
            program: &options.program,
            cargo_lambda: &cargo_lambda,
            address: hidden.address(),
            functions: &programs,
            processes: options.processes,
            environment: &functions_environment,
            log: &data.log(),
        };
        let invocations = functions;
        let (functions, hidden) = start_functions(settings, hidden, &template).await?;
        let invocations = gateway::start_invocations(invocations, functions.address())?;
        let backend =
            Backend { functions: functions.address(), pages: options.root.join("static"), data: data.clone() };
        let gateway = gateway::start(gateway, &template, backend)?;
        let description = Description {
            dashboard: gateway.endpoint(),
            api: format!("{}/api", gateway.endpoint()),
            functions: invocations.address().to_string(),
            environment,
        };
        developer_files::write(&data, &functions_environment, &api_key)?;
        data.publish(&description)?;
        let queue_client = Sqs::new(sqs.endpoint(), credentials);
        let sweep = dynamodb::sweep_expired(&database, &changes);
        let reader = streams::Reader {
            database,
            changes,
            functions: functions.address(),
            sqs: queue_client.clone(),
            folder: options.data.clone(),
        };
        let streams = reader.drive(&template.functions);
        let notifications = notifications::deliver(Arc::clone(&objects), queue_client.clone());
        let queues = queues::drive(&queue_client, &template.functions, functions.address());
        let schedules = schedules::drive(&template.functions, functions.address());
        Ok(Self {
            dynamodb,
            s3,
            sqs,
            gateway,
            invocations,
            functions,
            _hidden: hidden,
            sweep,
            streams,
            notifications,
            objects,
            queues,
            schedules,
            queue_client,
            template,
            data,
            description,
            api_key,
            _lock: lock,
        })
    }

    /// Returns the addresses, names and credentials of the stack.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Returns a key with every scope, for every agent.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Creates a sign-in link to the dashboard. It works once, within one minute.
    ///
    /// # Errors
    /// Fails if the data folder cannot be written.
    pub fn link(&self) -> Result<String> {
        link::create(&self.data, &self.description.dashboard, &[])
    }

    /// Returns the path of the functions' log.
    pub fn log(&self) -> PathBuf {
        self.data.log()
    }

    /// Returns the path of the file with [`Stack::api_key`].
    pub fn key_file(&self) -> PathBuf {
        self.data.api_key()
    }

    /// Returns the address of the Lambda runtime API, which no web page can reach.
    pub fn runtime_api(&self) -> String {
        format!("http://{}", self.functions.address())
    }

    /// Waits until a part of the stack ends by itself, and returns that as an error.
    pub async fn failure(&mut self) -> anyhow::Error {
        self.functions.failure().await
    }

    /// Returns the names of the functions' binaries.
    pub fn binaries(&self) -> Vec<String> {
        self.template.functions.iter().map(|function| function.name.clone()).collect()
    }

    /// Stops every function and starts it again from its current binary.
    ///
    /// # Errors
    /// Fails if the functions' supervisor has ended.
    pub async fn restart_functions(&mut self) -> Result<()> {
        self.functions.restart().await
    }

    /// Stops all parts and waits until they have ended. Data is kept, except for queued messages, which have some time
    /// to be processed.
    pub async fn stop(mut self) {
        self.data.withdraw();
        self.gateway.stop().await;
        self.invocations.stop().await;
        if let Err(error) = self.drain().await {
            eprintln!("{error:#}");
        }
        self.schedules.shutdown().await;
        self.notifications.abort();
        self.queues.shutdown().await;
        self.streams.shutdown().await;
        self.functions.stop().await;
        self.sweep.abort();
        self.dynamodb.stop().await;
        self.s3.stop().await;
        self.sqs.stop().await;
    }
}

impl Stack {
    /// Waits until no queue that a function consumes has messages: the queues are in memory.
    async fn drain(&self) -> Result<()> {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        loop {
            // Notifications first: they become messages.
            let unsent = self.objects.pending(1).context("cannot read notifications")?.len();
            let waiting = queues::waiting(&self.queue_client, &self.template.functions).await?;
            if waiting == 0 && unsent == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{waiting} messages in SQS are lost: here it keeps them in memory alone");
            }
            tokio::time::sleep(DRAIN_PERIOD).await;
        }
    }
}

/// Returns the functions' environment: the variables of the template, the endpoints of the stores, and `credentials`.
///
/// # Errors
/// Fails if the template leaves one without a value.
pub fn environment(
    template: &Template,
    [dynamodb, s3, sqs]: [&Service; 3],
    credentials: &Credentials,
) -> Result<BTreeMap<String, String>> {
    let mut environment = template.environment()?;
    let ours = [
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        (DYNAMODB, dynamodb.endpoint()),
        (S3, s3.endpoint()),
        (SQS, sqs.endpoint()),
    ];
    let ours = ours.into_iter().chain(credentials.variables());
    environment.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    // The local stack has no Systems Manager. The user provides the settings of its parameter, or no alerts are sent.
    let webhook = env::var(shared::env::WEBHOOK).unwrap_or_else(|_| shared::env::NO_WEBHOOK.to_owned());
    environment.insert(shared::env::WEBHOOK.to_owned(), webhook);
    if let Some(config) = env::var_os(shared::env::CONFIG).filter(|path| !path.is_empty()) {
        // The functions run in the root folder; the user may be in another one.
        let config = std::path::absolute(&config).with_context(|| shared::env::CONFIG)?;
        environment.insert(shared::env::CONFIG.to_owned(), config.display().to_string());
    }
    Ok(environment)
}

/// Starts the functions and waits until every endpoint has responded.
async fn start_functions(
    mut settings: functions::Settings<'_>,
    mut hidden: Hidden,
    template: &Template,
) -> Result<(Functions, Hidden)> {
    let mut attempt = 1;
    loop {
        let mut functions = Functions::start(&settings).await?;
        let Err(error) = ready::wait(template, &mut functions).await else { return Ok((functions, hidden)) };
        functions.stop().await;
        // No process of this stack uses the port any more.
        let lost_port = TcpListener::bind(settings.address).is_err();
        if !lost_port || attempt == PORT_ATTEMPTS {
            return Err(error);
        }
        hidden = Hidden::claim()?;
        settings.address = hidden.address();
        attempt += 1;
    }
}
