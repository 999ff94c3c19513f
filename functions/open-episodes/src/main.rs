//! Follows the anomalies that come in by the stream of the table `anomalies`, and has each episode's turns told.

mod handler;

use shared::environment;
use shared::integrity::EpisodeTable;
use shared::integrity::alerting::Alerter;
use shared::startup::{self, StartError, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let Startup { config, aws } = Startup::begin()?;
    let alerter = Alerter {
        watches: EpisodeTable::new(aws.dynamodb(), environment::required(environment::EPISODES_TABLE)?),
        alerts: startup::queue(&aws, environment::ALERTS_QUEUE)?,
        settings: config.alerts,
    };
    shared::background::run("open-episodes", |changes| handler::handle(&alerter, changes)).await?;
    Ok(())
}
