//! `GET /anomalies/{user_id}`: a user's anomalies.

mod handler;

use shared::environment;
use shared::http::{self, Scope};
use shared::integrity::AnomalyTable;
use shared::startup::{self, StartError, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let Startup { config, aws } = Startup::begin()?;
    let guard = startup::guard(&aws)?;
    let anomalies = AnomalyTable::new(aws.dynamodb(), environment::required(environment::ANOMALIES_TABLE)?);
    let context = handler::Context { alerts: config.alerts, anomalies };
    http::run("get-anomalies", Scope::EventsRead, guard, |request| handler::handle(&context, request)).await?;
    Ok(())
}
