//! Updates episodes from the stream of the table `anomalies` and enqueues an alert for each episode transition.

mod handler;

use shared::alerts::{AlertService, EpisodeTable};
use shared::config::Config;
use shared::env;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let config = Config::load()?;
    let service = AlertService {
        states: EpisodeTable::new(aws.dynamodb(), env::required(env::EPISODES_TABLE)?),
        sink: startup::queue(&aws, env::ALERTS_QUEUE)?,
        settings: config.alerts,
    };
    shared::background::run("open-episodes", |changes, deadline| handler::handle(&service, changes, deadline)).await?;
    Ok(())
}
