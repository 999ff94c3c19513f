//! `GET /agents/{agent_id}/feedback`: the feedback on an agent's entries.

mod handler;

use shared::auth::Scope;
use shared::http;
use shared::startup::{self, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    let aws = startup::init()?;
    let authenticator = startup::authenticator(&aws)?;
    let feedback = startup::feedback_table(&aws)?;
    http::run("get-feedback", Scope::LogsRead, authenticator, |request| handler::handle(&feedback, request)).await?;
    Ok(())
}
