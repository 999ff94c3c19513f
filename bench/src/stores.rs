//! The local stack's stores, filled with logs, for the functions under measurement.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use cli::data_folder::DataFolder;
use cli::keys;
use local::credentials::Credentials;
use local::ports::Ports;
use local::services::dynamodb::Changes;
use local::services::s3::store::{Existing, Store};
use local::services::{Service, dynamodb, s3, sqs};
use local::stack;
use local::template::Template;
use shared::env::LOG_BUCKET;
use shared::ids::{AgentId, UserId};
use shared::logging::segment::prefix;
use shared::logging::{Conversation, Entry, IdSource, Interaction, LogObject};
use shared::time::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

/// The agent of all data in the benchmark.
pub const AGENT: &str = "bench";

/// Running stores.
pub struct Stores {
    /// Environment variables of a function.
    pub environment: BTreeMap<String, String>,
    /// An API key with all scopes and agents.
    pub api_key: String,
    services: [Service; 3],
    _folder: TempDir,
}

impl Stores {
    /// Starts the stores of the template in `root`, with the number of logs per user that `logs` gives.
    pub async fn start(root: &Path, logs: &[(&str, u32)]) -> Result<Self> {
        let folder = TempDir::with_prefix("signals-bench-")?;
        let data = DataFolder::create(folder.path())?;
        let claimed = Ports::Free.claim()?;
        let sqs_endpoint = format!("http://{}", claimed.sqs.local_addr()?);
        let template = Template::load(&root.join("template.yaml"), &sqs_endpoint)?;
        let objects = Store::open(&data.s3(), &template.buckets)?;
        let bucket = template.environment()?.remove(LOG_BUCKET).context("the template names no bucket of logs")?;
        for (user, count) in logs {
            for number in 0..*count {
                let object = LogObject::of(&entry(user, number)?.0, IdSource::Generated)?;
                objects.put(&bucket, &object.key, None, object.body.as_bytes(), Existing::Keep)?;
            }
        }
        let credentials = Credentials::generate()?;
        let database = dynamodb::open(&data.dynamodb(), &template.tables)?;
        let services = [
            dynamodb::start(claimed.dynamodb, &database, &credentials, &Changes::default())?,
            s3::start(claimed.s3, objects, &credentials)?,
            sqs::start(claimed.sqs, &template.queues, &credentials).await?,
        ];
        let environment = stack::environment(&template, services.each_ref(), &credentials)?;
        let api_key = keys::first(&environment, &data.api_key()).await?;
        Ok(Self { environment, api_key, services, _folder: folder })
    }

    /// Stops the stores.
    pub async fn stop(self) {
        for service in &self.services {
            service.stop().await;
        }
    }
}

/// Returns the prefix of the log of `user`.
pub fn log_prefix(user: &str) -> Result<String> {
    let problem = |_| anyhow::anyhow!("{user} is not a valid name");
    let agent_id = AgentId::try_from(AGENT).map_err(problem)?;
    Ok(prefix(&Conversation { agent_id, user_id: UserId::try_from(user).map_err(problem)? }))
}

/// Returns the interaction `number` of `user`.
pub fn interaction(user: &str, number: u32) -> String {
    let inputs = ["Thank you, that was great help", "Where is my order?", "I am so frustrated with this", "I wait"];
    let input = inputs[number as usize % inputs.len()];
    serde_json::json!({ "agent_id": AGENT, "user_id": user, "user_input": input }).to_string()
}

/// Returns entry `number` of `user`'s log and its line. Entries are a second apart.
pub fn entry(user: &str, number: u32) -> Result<(Entry, Vec<u8>)> {
    let rules = shared::config::Config::load()?.classifier;
    let interaction = Interaction::parse(interaction(user, number).as_bytes());
    let interaction = interaction.map_err(|_| anyhow::anyhow!("the benchmark's own interaction is refused"))?;
    let mut entry =
        Entry::record(interaction.into_unchecked(), Uuid::now_v7(), &shared::logging::Classifier::new(&rules));
    let seconds = 1_780_000_000 + i64::from(number);
    entry.timestamp = Timestamp::from_micros(seconds * 1_000_000).context("a time out of range")?;
    entry.log_id = Uuid::from_u128(u128::from(number) + 1);
    let mut line = serde_json::to_vec(&entry)?;
    line.push(b'\n');
    Ok((entry, line))
}
