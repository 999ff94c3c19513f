//! `GET /anomalies/{user_id}`: a user's anomalies.

mod handler;

use shared::auth::Scope;
use shared::config::Config;
use shared::env;
use shared::http;
use shared::integrity::AnomalyTable;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let config = Config::load()?;
    let authenticator = startup::authenticator(&aws)?;
    let anomalies = AnomalyTable::new(aws.dynamodb(), env::required(env::ANOMALIES_TABLE)?);
    let context = handler::Context { alerts: config.alerts, scope: config.detection.scope, anomalies };
    http::run("get-anomalies", Scope::EventsRead, authenticator, |request| handler::handle(&context, request)).await?;
    Ok(())
}
