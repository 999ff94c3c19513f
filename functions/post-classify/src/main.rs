//! `POST /classify`: classifies texts without storing them.

mod handler;

use shared::auth::Scope;
use shared::config::Config;
use shared::http;
use shared::logging::Classifier;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let config = Config::load()?;
    let authenticator = startup::authenticator(&aws)?;
    let context = handler::Context { classifier: Classifier::new(&config.classifier), limits: config.limits };
    http::run("post-classify", Scope::LogsWrite, authenticator, async |request| handler::handle(&context, &request))
        .await?;
    Ok(())
}
