//! From a request to a user's anomalies.

use shared::http::{self, Error, Request, Response};
use shared::ids::UserId;
use shared::integrity::AnomalyTable;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 100;

/// Answers with the user's anomalies at the agents that the caller may see, newest first.
pub async fn handle(anomalies: &AnomalyTable, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let user_id = parameters.path::<UserId>("user_id");
    let limit = parameters.query_number("limit", DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let (Some(user_id), Some(limit)) = (user_id, limit) else { return Err(parameters.into_error()) };
    let caller = request.caller();
    Ok(http::ok(&anomalies.newest(&user_id, limit, |anomaly| caller.sees(&anomaly.key.agent_id)).await?))
}
