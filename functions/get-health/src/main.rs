//! `GET /health`: whether the stores answer.

mod handler;

use shared::environment;
use shared::http;
use shared::http::keys::KeyTable;
use shared::startup::{self, StartError, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let Startup { aws, .. } = Startup::begin()?;
    let context = handler::Context::new(
        KeyTable::new(aws.dynamodb(), environment::required(environment::API_KEYS_TABLE)?),
        startup::log_bucket(&aws)?,
    );
    http::run_public("get-health", || handler::handle(&context)).await?;
    Ok(())
}
