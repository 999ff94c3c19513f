//! `POST /log`: records one interaction.

mod handler;

use shared::environment;
use shared::http::{self, Scope};
use shared::logging::{Classifier, LogBucket};
use shared::startup::{self, StartError, Startup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let Startup { config, aws } = Startup::begin()?;
    let guard = startup::guard(aws.dynamodb())?;
    let context = handler::Context {
        classifier: Classifier::new(&config.keyword_rules),
        limits: config.limits,
        log: LogBucket::new(aws.s3(), environment::required(environment::LOG_BUCKET)?),
    };
    http::run("post-log", Scope::LogsWrite, guard, |request| handler::handle(&context, request)).await?;
    Ok(())
}
