//! Updates episodes from the changes of the anomalies table.

use shared::background::PartialFailure;
use shared::background::stream::{Change, Changes, Kind};
use shared::deadline::Deadline;
use shared::ids::UserId;
use shared::integrity::alerting::AlertService;
use shared::integrity::anomaly::Severity;
use shared::integrity::{Anomaly, EpisodeTable, store};
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
) -> PartialFailure {
    let work = |user_id, anomalies: Vec<_>| async move { service.process(&user_id, &anomalies).await };
    let failure = changes.by_user(deadline, changed_anomaly, work).await;
    let mut metrics = Metrics::default();
    changes.settled(&failure).iter().filter_map(new_severity).for_each(|severity| metrics.add_anomaly(severity));
    telemetry::publish(&metrics);
    failure
}

/// Returns the new severity of the anomaly, or `None` if the severity has not increased.
fn new_severity(change: &Change) -> Option<Severity> {
    let (user_id, _) = change.event()?;
    let severity = |item| store::stored_anomaly(&user_id, &item).map(|anomaly| anomaly.severity);
    let now = severity(change.item())?;
    match change.kind() {
        Kind::Insert => Some(now),
        Kind::Modify => severity(change.item_before()).is_some_and(|before| before < now).then_some(now),
        Kind::Remove => None,
    }
}

/// Returns the anomaly if it is new or has escalated.
fn changed_anomaly(change: &Change) -> Option<(UserId, Anomaly)> {
    let (user_id, _) = change.event().filter(|_| change.kind() != Kind::Remove)?;
    let anomaly = store::stored_anomaly(&user_id, &change.item());
    if anomaly.is_none() {
        // Retrying would not make the record readable, and would block the records behind it.
        tracing::error!(sequence_number = change.sequence_number(), "skipped an anomaly that cannot be read");
    }
    Some((user_id, anomaly?))
}
