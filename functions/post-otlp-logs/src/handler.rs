//! Handles exports of OpenTelemetry log records: records the turns of users in the calls of models. Discards metrics.

use shared::http::{self, Error, Request, Response};
use shared::intake::TurnIntake;
use shared::otlp::{self, Limits, Skipped, response};

/// End of the path of metrics. Distributions of OpenTelemetry send metrics by default, and would log an error for any
/// response but 200.
const METRICS: &str = "/v1/metrics";

/// Records the turns in the body and returns the number of calls that are not recorded, with the reasons.
pub async fn handle(intake: &TurnIntake, request: Request) -> Result<Response, Error> {
    let (encoding, body) = request.export_body()?;
    if request.path_ends_with(METRICS) {
        return Ok(http::exported(encoding, Ok(Skipped::default()), |encoding, _| response::metrics(encoding)));
    }
    let options = intake.options(request.caller());
    let accepted = match otlp::read_logs(body, encoding, Limits::default(), &options) {
        Ok(export) => intake.accept(export, request.caller(), request.deadline()).await.map_err(Error::from),
        Err(error) => Err(error.into()),
    };
    Ok(http::exported(encoding, accepted, response::logs))
}
