//! Merges small log objects of past hours, once a day.

use std::time::Duration;

use shared::background;
use shared::logging::compaction::{self, Ages};
use shared::startup::{self, StartError};
use shared::time::Timestamp;

/// Time after which a run stops and leaves the rest to the next run. The function's timeout leaves two more minutes for
/// the last hour of a log.
const LIMIT: Duration = Duration::from_secs(13 * 60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let log = &startup::log_bucket(&aws)?;
    background::run_scheduled("compact-logs", LIMIT, |deadline| async move {
        let compacted = compaction::run(log, Timestamp::now(), Ages::default(), deadline).await?;
        tracing::info!(written = compacted.written, deleted = compacted.deleted, "compacted logs");
        Ok(())
    })
    .await?;
    Ok(())
}
