//! `GET /anomalies/{user_id}`: a user's anomalies.

mod handler;

use shared::environment;
use shared::http::{self, Scope};
use shared::integrity::AnomalyTable;
use shared::startup::{self, StartError, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let Startup { config, aws } = Startup::begin()?;
    let dynamodb = aws.dynamodb();
    let guard = startup::guard(dynamodb.clone())?;
    let anomalies = AnomalyTable::new(dynamodb, environment::required(environment::ANOMALIES_TABLE)?);
    let context = handler::Context { alerts: config.alerts, anomalies };
    http::run("get-anomalies", Scope::EventsRead, guard, |request| handler::handle(&context, request)).await?;
    Ok(())
}
