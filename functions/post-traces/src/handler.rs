//! Handles exports of OpenTelemetry traces: records the turns of users in the calls of models.

use shared::http::{self, Error, Request, Response};
use shared::intake::TurnIntake;
use shared::otlp::{self, Limits, response};

/// Records the turns in the body and returns the number of calls that are not recorded, with the reasons.
pub async fn handle(intake: &TurnIntake, request: Request) -> Result<Response, Error> {
    let (encoding, body) = request.export_body()?;
    let options = intake.options(request.caller());
    let accepted = match otlp::read_traces(body, encoding, Limits::default(), &options) {
        Ok(export) => intake.accept(export, request.caller(), request.deadline()).await.map_err(Error::from),
        Err(error) => Err(error.into()),
    };
    Ok(http::exported(encoding, accepted, response::traces))
}
