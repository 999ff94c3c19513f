//! From changes of the table to turns of episodes.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use shared::background::PartialFailure;
use shared::background::stream::{Changes, Kind};
use shared::ids::UserId;
use shared::integrity::alerting::Alerter;
use shared::integrity::{Anomaly, EpisodeTable, store};
use shared::queue::Queue;

/// How many users are followed at the same time: in an outage, in which each takes as long as its calls may, a batch of a
/// hundred is done with before the function's time is over.
const PARALLEL_USERS: usize = 50;

/// Follows the anomalies that are new or have grown, a user at a time, and reports the first of each user for whom that
/// failed.
pub async fn handle(alerter: &Alerter<EpisodeTable, Queue>, changes: Changes) -> PartialFailure {
    let mut users: BTreeMap<UserId, Heard> = BTreeMap::new();
    for change in changes.records.iter().filter(|change| change.kind() != Kind::Remove) {
        let Some((user_id, _)) = change.event() else { continue };
        let Some(anomaly) = store::stored_anomaly(&user_id, &change.item()) else {
            // To be told of it again would not make it readable, and it would hold up those behind it.
            tracing::error!(sequence_number = change.sequence_number(), "an anomaly that cannot be read is left out");
            continue;
        };
        let first = || Heard { first: change.sequence_number().to_owned(), anomalies: Vec::new() };
        users.entry(user_id).or_insert_with(first).anomalies.push(anomaly);
    }
    let followed = users.into_iter().map(|(user_id, Heard { first, anomalies })| async move {
        let Err(failure) = alerter.follow(&user_id, &anomalies).await else { return None };
        tracing::error!(cause = %failure, anomalies = anomalies.len(), "anomalies of a user were not followed");
        Some(first)
    });
    let failed: Vec<_> = stream::iter(followed).buffer_unordered(PARALLEL_USERS).collect().await;
    failed.into_iter().flatten().collect()
}

/// The anomalies of one user in a batch.
struct Heard {
    /// Sequence number of the first.
    first: String,
    anomalies: Vec<Anomaly>,
}
