//! `GET /visualize/{agent_id}/{user_id}`: the summary as a bar chart.

mod handler;

use shared::auth::Scope;
use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let authenticator = startup::authenticator(&aws)?;
    let log = startup::log_bucket(&aws)?;
    http::run("get-visualize", Scope::LogsRead, authenticator, |request| handler::handle(&log, request)).await?;
    Ok(())
}
