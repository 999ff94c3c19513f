//! `GET /summary/{agent_id}/{user_id}`: the number of entries per signal.

mod handler;

use shared::http::{self, Scope};
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::begin()?;
    let guard = startup::guard(&aws)?;
    let log = startup::log_bucket(&aws)?;
    http::run("get-summary", Scope::LogsRead, guard, |request| handler::handle(&log, request)).await?;
    Ok(())
}
