//! `POST /v1/traces`: records the turns of users in OpenTelemetry traces.

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
    http::run_with_authorization("post-traces", Scope::LogsWrite, authenticator, |request| {
        handler::handle(&intake, request)
    })
    .await?;
    Ok(())
}
