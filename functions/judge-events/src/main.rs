//! Judges the events that come in by the stream of the table `events`.
//!
//! `POST /event` judges too; but its sandbox can die between storing and judging. The stream tells of every event that
//! is stored, so that none is left unjudged.

mod handler;
mod record;

use shared::environment;
use shared::integrity::ingest::Monitor;
use shared::integrity::{AnomalyTable, EventTable};
use shared::startup::{StartError, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let Startup { config, aws } = Startup::begin()?;
    let dynamodb = aws.dynamodb();
    let monitor = Monitor {
        events: EventTable::new(dynamodb.clone(), environment::required(environment::EVENTS_TABLE)?),
        anomalies: AnomalyTable::new(dynamodb, environment::required(environment::ANOMALIES_TABLE)?),
        detection: config.detection,
        retention: config.retention,
    };
    shared::background::run("judge-events", |batch| handler::handle(&monitor, batch)).await?;
    Ok(())
}
