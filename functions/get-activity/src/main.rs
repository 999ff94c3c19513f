//! `GET /agents/activity`: the agents with their counts of today.

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
    http::run("get-activity", Scope::LogsRead, authenticator, |request| handler::handle(&activity, &log, request))
        .await?;
    Ok(())
}
