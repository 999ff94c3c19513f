//! From a request to a user's anomalies.

use shared::http::{self, Error, Request, Response};
use shared::ids::UserId;
use shared::integrity::anomaly::Severity;
use shared::integrity::{Anomaly, AnomalyTable};

/// Answers with the user's anomalies at the agents that the caller may see, newest first.
pub async fn handle(anomalies: &AnomalyTable, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let user_id = parameters.path::<UserId>("user_id");
    let slice = parameters.slice();
    let severity = parameters.query("severity", Severity::try_from);
    let (Some(user_id), Some(slice), Some(severity)) = (user_id, slice, severity) else {
        return Err(parameters.into_error());
    };
    let is_asked_for = |anomaly: &Anomaly| {
        request.caller().sees(&anomaly.key.agent_id) && severity.is_none_or(|severity| anomaly.severity == severity)
    };
    let page = anomalies.newest(&user_id, &slice, is_asked_for).await?;
    Ok(http::page(&page.items, page.next.map(|cursor| request.next_page(&cursor))))
}
