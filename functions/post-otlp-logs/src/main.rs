//! `POST /v1/logs`: records the turns of users in OpenTelemetry log records. `POST /v1/metrics`: discards metrics.

mod handler;

use shared::auth::Scope;
use shared::config::Config;
use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let config = Config::load()?;
    let authenticator = startup::authenticator(&aws)?;
    let intake = startup::turn_intake(&aws, &config)?;
    http::run_with_authorization("post-otlp-logs", Scope::LogsWrite, authenticator, |request| {
        handler::handle(&intake, request)
    })
    .await?;
    Ok(())
}
