//! `GET /agents/{agent_id}/visualize`: the counts of an agent over all users as a bar chart.

mod handler;

use shared::auth::Scope;
use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let authenticator = startup::authenticator(&aws)?;
    let activity = startup::activity(&aws)?;
    http::run("get-agent-visualize", Scope::LogsRead, authenticator, |request| handler::handle(&activity, request))
        .await?;
    Ok(())
}
