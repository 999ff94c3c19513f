//! `GET /logs/{agent_id}/{user_id}`: the last entries of a log.

mod handler;

use shared::environment;
use shared::http::{self, Scope};
use shared::logging::LogBucket;
use shared::startup::{self, StartError, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let Startup { aws, .. } = Startup::begin()?;
    let guard = startup::guard(aws.dynamodb())?;
    let log = LogBucket::new(aws.s3(), environment::required(environment::LOG_BUCKET)?);
    http::run("get-logs", Scope::LogsRead, guard, |request| handler::handle(&log, request)).await?;
    Ok(())
}
