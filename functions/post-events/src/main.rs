//! `POST /events`: stores a batch of events, then judges them.

mod handler;

use shared::environment;
use shared::http::{self, Scope};
use shared::integrity::ingest::Monitor;
use shared::integrity::{AnomalyTable, EventTable};
use shared::startup::{self, StartError, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let Startup { config, aws } = Startup::begin()?;
    let dynamodb = aws.dynamodb();
    let guard = startup::guard(dynamodb.clone())?;
    let context = handler::Context {
        limits: config.limits,
        monitor: Monitor {
            events: EventTable::new(dynamodb.clone(), environment::required(environment::EVENTS_TABLE)?),
            anomalies: AnomalyTable::new(dynamodb, environment::required(environment::ANOMALIES_TABLE)?),
            detection: config.detection,
            retention: config.retention,
        },
    };
    http::run("post-events", Scope::EventsWrite, guard, |request| handler::handle(&context, request)).await?;
    Ok(())
}
