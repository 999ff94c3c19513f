//! Updates episodes from the stream of the table `anomalies` and enqueues an alert for each episode transition.

mod handler;

use shared::config::Config;
use shared::environment;
use shared::integrity::EpisodeTable;
use shared::integrity::alerting::Alerter;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::begin()?;
    let config = Config::load()?;
    let alerter = Alerter {
        watches: EpisodeTable::new(aws.dynamodb(), environment::required(environment::EPISODES_TABLE)?),
        alerts: startup::queue(&aws, environment::ALERTS_QUEUE)?,
        settings: config.alerts,
    };
    shared::background::run("open-episodes", |changes, deadline| handler::handle(&alerter, changes, deadline)).await?;
    Ok(())
}
