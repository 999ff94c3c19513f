//! `GET /logs/{agent_id}/{user_id}/{log_id}`: one entry of a log.

mod handler;

use shared::http::{self, Scope};
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::begin()?;
    let guard = startup::guard(&aws)?;
    let log = startup::log_bucket(&aws)?;
    http::run("get-log", Scope::LogsRead, guard, |request| handler::handle(&log, request)).await?;
    Ok(())
}
