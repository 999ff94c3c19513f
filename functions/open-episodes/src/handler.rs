//! From changes of the table to turns of episodes.

use shared::background::PartialFailure;
use shared::background::stream::{Change, Changes, Kind};
use shared::ids::UserId;
use shared::integrity::alerting::Alerter;
use shared::integrity::{Anomaly, EpisodeTable, store};
use shared::queue::Queue;

/// Follows the anomalies that are new or have grown, a user at a time, and reports the first of each user for whom that
/// failed.
pub async fn handle(alerter: &Alerter<EpisodeTable, Queue>, changes: Changes) -> PartialFailure {
    changes.by_user(heard_of, |user_id, anomalies| async move { alerter.follow(&user_id, &anomalies).await }).await
}

/// The anomaly that is new, or has grown.
fn heard_of(change: &Change) -> Option<(UserId, Anomaly)> {
    let (user_id, _) = change.event().filter(|_| change.kind() != Kind::Remove)?;
    let anomaly = store::stored_anomaly(&user_id, &change.item());
    if anomaly.is_none() {
        // To be told of it again would not make it readable, and it would hold up those behind it.
        tracing::error!(sequence_number = change.sequence_number(), "an anomaly that cannot be read is left out");
    }
    Some((user_id, anomaly?))
}
