//! `GET /anomalies/{user_id}`: a user's anomalies.

mod handler;

use shared::config::Config;
use shared::environment;
use shared::http::{self, Scope};
use shared::integrity::AnomalyTable;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::begin()?;
    let config = Config::load()?;
    let guard = startup::guard(&aws)?;
    let anomalies = AnomalyTable::new(aws.dynamodb(), environment::required(environment::ANOMALIES_TABLE)?);
    let context = handler::Context { alerts: config.alerts, scope: config.detection.scope, anomalies };
    http::run("get-anomalies", Scope::EventsRead, guard, |request| handler::handle(&context, request)).await?;
    Ok(())
}
