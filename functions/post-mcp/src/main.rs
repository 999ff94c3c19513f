//! `POST /mcp`: a server of the Model Context Protocol, for assistants.

mod handler;

use shared::auth::Scope;
use shared::config::Config;
use shared::env;
use shared::http;
use shared::integrity::AnomalyTable;
use shared::logging::Classifier;
use shared::mcp::Tools;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let config = Config::load()?;
    let authenticator = startup::authenticator(&aws)?;
    let tools = Tools {
        activity: startup::activity(&aws)?,
        log: startup::log_bucket(&aws)?,
        anomalies: AnomalyTable::new(aws.dynamodb(), env::required(env::ANOMALIES_TABLE)?),
        scope: config.detection.scope,
        classifier: Classifier::new(&config.classifier),
    };
    let allowed_origin = env::optional(env::ALLOWED_ORIGIN);
    let context = handler::Context { tools, limits: config.limits, allowed_origin };
    http::run_with_authorization("post-mcp", Scope::LogsRead, authenticator, |request| {
        handler::handle(&context, request)
    })
    .await?;
    Ok(())
}
