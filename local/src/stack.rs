//! The whole cloud: stores, functions and the front, started in order and taken down in order.

use std::collections::BTreeMap;
use std::env;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use shared::config::Config;
use tokio::task::{JoinHandle, JoinSet};

use crate::credentials::Credentials;
use crate::front::{self, Backend};
use crate::functions::{self, Functions};
use crate::ports::{Claimed, Hidden, Ports};
use crate::queues::{self, Sqs};
use crate::services::dynamodb::Changes;
use crate::services::s3::store::Store;
use crate::services::{Service, dynamodb, s3, sqs};
use crate::state::{DataFolder, Description, Lock};
use crate::template::Template;
use crate::template::names::REGION;
use crate::{keys, link, ready, streams, toolchain};

/// Number of addresses to try for `cargo lambda watch` if another program takes the port first.
const PORT_ATTEMPTS: usize = 5;
/// How long what is in a queue may take to be done when the stack is stopped, and how often it is looked at.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const DRAIN_PERIOD: Duration = Duration::from_millis(50);

/// The variables that hold the endpoints of the stores.
const DYNAMODB: &str = "AWS_ENDPOINT_URL_DYNAMODB";
const S3: &str = "AWS_ENDPOINT_URL_S3";
const SQS: &str = "AWS_ENDPOINT_URL_SQS";

/// How to start a stack.
#[derive(Debug)]
pub struct Options {
    /// The folder with `Cargo.toml` and `static/`.
    pub root: PathBuf,
    /// The file that says what there is: `template.yaml`.
    pub template: PathBuf,
    /// The folder to keep data in.
    pub data: PathBuf,
    /// The ports to listen on.
    pub ports: Ports,
    /// The cargo profile of the functions.
    pub profile: String,
    /// How many processes each function has: with more than one, requests meet as they do on AWS.
    pub processes: u16,
    /// The program of this crate, which has the subcommand `host`.
    pub program: PathBuf,
    /// Variables that the functions find in place of the stack's own: the address of a proxy before a store, say.
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
    pub front: Service,
    /// The proxy to `cargo lambda watch`.
    pub invocations: Service,
    functions: Functions,
    _hidden: Hidden,
    sweep: JoinHandle<()>,
    streams: JoinSet<()>,
    queues: JoinSet<()>,
    queue_client: Sqs,
    template: Template,
    data: DataFolder,
    description: Description,
    api_key: String,
    _lock: Lock,
}

impl Stack {
    /// Builds the functions, starts everything and waits until every endpoint has answered.
    ///
    /// # Errors
    /// When a port is taken, another stack uses the data, the configuration has a mistake, or a part does not start;
    /// nothing is left running.
    pub async fn start(options: &Options) -> Result<Self> {
        // Else each of the functions would say it, all at once.
        Config::load().map_err(|mistake| anyhow!("{mistake}"))?;
        let cargo_lambda = toolchain::cargo_lambda(&options.root)?;
        let data = DataFolder::create(&options.data)?;
        let lock = data.lock()?;
        let Claimed { front, dynamodb, s3, sqs, functions } = options.ports.claim()?;
        let sqs_endpoint = format!("http://{}", sqs.local_addr().context("sqs has no address")?);
        let template = Template::load(&options.template, &sqs_endpoint)?;
        let binaries: Vec<_> = template.functions.iter().map(|function| function.name.clone()).collect();
        let programs = toolchain::build(&options.root, &options.profile, &binaries).await?;

        let database = dynamodb::open(&data.dynamodb(), &template.tables)?;
        let objects = Store::open(&data.s3(), &template.buckets)?;
        let credentials = Credentials::load_or_create(&data.store_secret())?;
        let changes = Changes::default();
        let dynamodb = dynamodb::start(dynamodb, &database, &credentials, &changes)?;
        let s3 = s3::start(s3, objects, &credentials)?;
        let sqs = sqs::start(sqs, &template.queues, &credentials).await?;
        for (variable, service) in [DYNAMODB, S3, SQS].into_iter().zip([&dynamodb, &s3, &sqs]) {
            if let Some(proxy) = options.overrides.get(variable) {
                let proxy = reqwest::Url::parse(proxy).with_context(|| format!("{variable} is not a URL"))?;
                service.accept_port(proxy.port_or_known_default().unwrap_or_default());
            }
        }
        let environment = environment(&template, [&dynamodb, &s3, &sqs], &credentials)?;
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
        let invocations = front::start_invocations(invocations, functions.address())?;
        let backend =
            Backend { functions: functions.address(), pages: options.root.join("static"), data: data.clone() };
        let front = front::start(front, &template, backend)?;
        let description = Description {
            dashboard: front.endpoint(),
            api: format!("{}/api", front.endpoint()),
            functions: invocations.address().to_string(),
            environment,
        };
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
        let queues = queues::drive(&queue_client, &template.functions, functions.address());
        Ok(Self {
            dynamodb,
            s3,
            sqs,
            front,
            invocations,
            functions,
            _hidden: hidden,
            sweep,
            streams,
            queues,
            queue_client,
            template,
            data,
            description,
            api_key,
            _lock: lock,
        })
    }

    /// Addresses, names and credentials.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// A key with every scope, for every agent.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Creates a sign-in link to the dashboard. It works once, within one minute.
    ///
    /// # Errors
    /// When the data folder cannot be written.
    pub fn link(&self) -> Result<String> {
        link::create(&self.data, &self.description.dashboard, &[])
    }

    /// The log of the functions.
    pub fn log(&self) -> PathBuf {
        self.data.log()
    }

    /// The file with [`Stack::api_key`].
    pub fn key_file(&self) -> PathBuf {
        self.data.api_key()
    }

    /// Returns the address of the Lambda runtime API, which no web page can reach.
    pub fn runtime_api(&self) -> String {
        format!("http://{}", self.functions.address())
    }

    /// Waits until a part of the stack has ended by itself; that is an error.
    pub async fn failure(&mut self) -> anyhow::Error {
        self.functions.failure().await
    }

    /// The names of the functions' binaries.
    pub fn binaries(&self) -> Vec<String> {
        self.template.functions.iter().map(|function| function.name.clone()).collect()
    }

    /// Ends every function and starts it anew, from its binary as it is now.
    ///
    /// # Errors
    /// When the functions' host has ended.
    pub async fn restart_functions(&mut self) -> Result<()> {
        self.functions.restart().await
    }

    /// Takes everything down and waits until it is gone. The data stays, but for what is in a queue: that is given a
    /// while to be done.
    pub async fn stop(mut self) {
        self.data.withdraw();
        self.front.stop().await;
        self.invocations.stop().await;
        if let Err(error) = self.drain().await {
            eprintln!("{error:#}");
        }
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
    /// Waits until no message waits in a queue that a function works off: the queues are in memory.
    async fn drain(&self) -> Result<()> {
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        loop {
            let waiting = queues::waiting(&self.queue_client, &self.template.functions).await?;
            if waiting == 0 {
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
/// When the template leaves one without a value.
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
    // There is no Systems Manager here: what its parameter would say is said by the user, or nobody is told of anything.
    let webhook = env::var(shared::environment::WEBHOOK).unwrap_or_else(|_| shared::environment::NO_WEBHOOK.to_owned());
    environment.insert(shared::environment::WEBHOOK.to_owned(), webhook);
    if let Some(config) = env::var_os(shared::environment::CONFIG).filter(|path| !path.is_empty()) {
        // The functions run in the root, the user may be elsewhere.
        let config = std::path::absolute(&config).with_context(|| shared::environment::CONFIG)?;
        environment.insert(shared::environment::CONFIG.to_owned(), config.display().to_string());
    }
    Ok(environment)
}

/// Starts the functions and waits until every endpoint has answered.
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
        // Nothing of ours has the port any more.
        let lost_port = TcpListener::bind(settings.address).is_err();
        if !lost_port || attempt == PORT_ATTEMPTS {
            return Err(error);
        }
        hidden = Hidden::claim()?;
        settings.address = hidden.address();
        attempt += 1;
    }
}
