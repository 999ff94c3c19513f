//! `GET /logs/{agent_id}/{user_id}/{log_id}`: one entry of a log.

mod handler;

use shared::auth::Scope;
use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let authenticator = startup::authenticator(&aws)?;
    let log = startup::log_bucket(&aws)?;
    http::run("get-log", Scope::LogsRead, authenticator, |request| handler::handle(&log, request)).await?;
    Ok(())
}
