//! Updates episodes from the changes of the anomalies table.

use shared::alerts::{AlertService, EpisodeTable};
use shared::background::BatchResponse;
use shared::background::stream::{Change, ChangeKind, Changes};
use shared::deadline::Deadline;
use shared::ids::UserId;
use shared::integrity::anomaly::Severity;
use shared::integrity::stream::changed_event;
use shared::integrity::{Anomaly, store};
use shared::metrics::Metrics;
use shared::queue::Queue;
use shared::telemetry;

/// Processes new and escalated anomalies, one user at a time, and reports the first anomaly of each user that failed.
///
/// Anomalies are counted here because the stream delivers each anomaly once per severity, whichever function
/// detected it.
pub async fn handle(
    service: &AlertService<EpisodeTable, Queue>,
    changes: Changes,
    deadline: Deadline,
) -> BatchResponse {
    let work = |user_id, anomalies: Vec<_>| async move { service.process(&user_id, &anomalies).await };
    let response = changes.by_user(deadline, changed_anomaly, work).await;
    let mut metrics = Metrics::default();
    changes.settled(&response).iter().filter_map(new_severity).for_each(|severity| metrics.add_anomaly(severity));
    telemetry::publish(&metrics);
    response
}

/// Returns the new severity of the anomaly, or `None` if the severity has not increased.
fn new_severity(change: &Change) -> Option<Severity> {
    let (user_id, _) = changed_event(change)?;
    let severity = |item| store::stored_anomaly(&user_id, &item).map(|anomaly| anomaly.severity);
    let now = severity(change.item())?;
    match change.kind() {
        ChangeKind::Insert => Some(now),
        ChangeKind::Modify => severity(change.item_before()).is_some_and(|before| before < now).then_some(now),
        ChangeKind::Remove => None,
    }
}

/// Returns the anomaly if it is new or has escalated.
fn changed_anomaly(change: &Change) -> Option<(UserId, Anomaly)> {
    let (user_id, _) = changed_event(change).filter(|_| change.kind() != ChangeKind::Remove)?;
    let anomaly = store::stored_anomaly(&user_id, &change.item());
    if anomaly.is_none() {
        // Retrying would not make the record readable, and would block the records behind it.
        tracing::error!(sequence_number = change.sequence_number(), "skipped anomaly: cannot read its record");
    }
    Some((user_id, anomaly?))
}
