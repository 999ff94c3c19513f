//! The stores that the functions talk to: those of the laptop's cloud, with some logs in them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use local::ports::Ports;
use local::services::s3::store::{Existing, Store};
use local::services::{Service, dynamodb, s3, sqs};
use local::state::DataFolder;
use local::template::Template;
use local::{keys, stack};
use shared::environment::LOG_BUCKET;
use shared::ids::{AgentId, UserId};
use shared::logging::segment::{Segment, prefix};
use shared::logging::{Conversation, Entry, Interaction};
use shared::time::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

/// The agent of everything here.
pub const AGENT: &str = "bench";

/// Running stores.
pub struct Stores {
    /// What a function has in its environment.
    pub environment: BTreeMap<String, String>,
    /// A key for everything.
    pub api_key: String,
    services: [Service; 3],
    _folder: TempDir,
}

impl Stores {
    /// Starts stores as the template at `root` says, with as many logs for each user as `logs` says.
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
                let (entry, line) = entry(user, number)?;
                let key = Segment::of_one(&entry).key(&entry.conversation());
                objects.put(&bucket, &key, None, &line, Existing::Keep)?;
            }
        }
        let database = dynamodb::open(&data.dynamodb(), &template.tables)?;
        let services = [
            dynamodb::start(claimed.dynamodb, &database)?,
            s3::start(claimed.s3, objects)?,
            sqs::start(claimed.sqs, &template.queues).await?,
        ];
        let environment = stack::environment(&template, services.each_ref())?;
        let api_key = keys::first(&environment, &data.api_key()).await?;
        Ok(Self { environment, api_key, services, _folder: folder })
    }

    /// Takes everything down.
    pub async fn stop(self) {
        for service in &self.services {
            service.stop().await;
        }
    }
}

/// The prefix of the log of `user`.
pub fn log_prefix(user: &str) -> Result<String> {
    let problem = |_| anyhow::anyhow!("{user} is no name");
    let agent_id = AgentId::try_from(AGENT).map_err(problem)?;
    Ok(prefix(&Conversation { agent_id, user_id: UserId::try_from(user).map_err(problem)? }))
}

/// What `user` says for the time `number`.
pub fn interaction(user: &str, number: u32) -> String {
    let inputs = ["Thank you, that was great help", "Where is my order?", "I am so frustrated with this", "I wait"];
    let input = inputs[number as usize % inputs.len()];
    serde_json::json!({ "agent_id": AGENT, "user_id": user, "user_input": input }).to_string()
}

/// An entry of `user`'s log, and its line: a second after the one before it.
pub fn entry(user: &str, number: u32) -> Result<(Entry, Vec<u8>)> {
    let rules = shared::config::Config::load()?.classifier;
    let interaction = Interaction::parse(interaction(user, number).as_bytes());
    let interaction = interaction.map_err(|_| anyhow::anyhow!("the benchmark's own interaction is refused"))?;
    let mut entry = Entry::record(interaction, Uuid::now_v7(), &shared::logging::Classifier::new(&rules));
    let seconds = 1_780_000_000 + i64::from(number);
    entry.timestamp = Timestamp::from_micros(seconds * 1_000_000).context("a time out of range")?;
    entry.log_id = Uuid::from_u128(u128::from(number) + 1);
    let mut line = serde_json::to_vec(&entry)?;
    line.push(b'\n');
    Ok((entry, line))
}
