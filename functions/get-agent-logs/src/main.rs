//! `GET /agents/{agent_id}/logs`: the newest entries of an agent over all users.

mod handler;

use shared::auth::Scope;
use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let authenticator = startup::authenticator(&aws)?;
    let activity = startup::activity(&aws)?;
    let log = startup::log_bucket(&aws)?;
    http::run("get-agent-logs", Scope::LogsRead, authenticator, |request| handler::handle(&activity, &log, request))
        .await?;
    Ok(())
}
