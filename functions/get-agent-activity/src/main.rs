//! `GET /agents/{agent_id}/activity`: the users of an agent with their latest state.

mod handler;

use shared::auth::Scope;
use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let authenticator = startup::authenticator(&aws)?;
    let activity = startup::activity(&aws)?;
    http::run("get-agent-activity", Scope::LogsRead, authenticator, |request| handler::handle(&activity, request))
        .await?;
    Ok(())
}
