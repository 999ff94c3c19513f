//! `GET /health`: reports whether the stores respond.

mod handler;

use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let context = handler::Context::new(startup::key_table(&aws)?, startup::log_bucket(&aws)?);
    http::run_public("get-health", || handler::handle(&context)).await?;
    Ok(())
}
