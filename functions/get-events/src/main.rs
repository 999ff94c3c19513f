//! `GET /events/{user_id}`: a user's events.

mod handler;

use shared::auth::Scope;
use shared::env;
use shared::http;
use shared::integrity::EventTable;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let authenticator = startup::authenticator(&aws)?;
    let events = EventTable::new(aws.dynamodb(), env::required(env::EVENTS_TABLE)?);
    http::run("get-events", Scope::EventsRead, authenticator, |request| handler::handle(&events, request)).await?;
    Ok(())
}
