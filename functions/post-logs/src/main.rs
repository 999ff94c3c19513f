//! `POST /logs`: records a batch of interactions.

mod handler;

use shared::auth::Scope;
use shared::config::Config;
use shared::env;
use shared::http;
use shared::intake::LogIntake;
use shared::logging::Classifier;
use shared::metrics::CountedSignals;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let config = Config::load()?;
    let authenticator = startup::authenticator(&aws)?;
    let context = handler::Context {
        classifier: Classifier::new(&config.classifier),
        counted: CountedSignals::of(&config.classifier.rules),
        limits: config.limits,
        max_future: config.detection.max_future,
        intake: LogIntake { log: startup::log_bucket(&aws)?, queue: startup::queue(&aws, env::RETRY_QUEUE)? },
    };
    http::run("post-logs", Scope::LogsWrite, authenticator, |request| handler::handle(&context, request)).await?;
    Ok(())
}
