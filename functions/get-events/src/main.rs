//! `GET /events/{user_id}`: a user's events.

mod handler;

use shared::environment;
use shared::http::{self, Scope};
use shared::integrity::EventTable;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::begin()?;
    let guard = startup::guard(&aws)?;
    let events = EventTable::new(aws.dynamodb(), environment::required(environment::EVENTS_TABLE)?);
    http::run("get-events", Scope::EventsRead, guard, |request| handler::handle(&events, request)).await?;
    Ok(())
}
