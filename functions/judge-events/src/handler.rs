//! From changes of the table to verdicts on the events that were stored.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use shared::background::PartialFailure;
use shared::background::stream::{Changes, Kind};
use shared::deferred::Judge;
use shared::ids::UserId;
use shared::integrity::key::EventKey;

/// How many users are judged at the same time: in an outage, in which each takes as long as its calls may, a batch of a
/// hundred is done with before the function's time is over.
const PARALLEL_USERS: usize = 50;

/// Judges the events stored, a user at a time. Those of a user whom it cannot judge wait in the queue, where they are in
/// nobody's way: the stream would tell of no other event of the shard until they are judged. Without the queue it reports
/// the first of each such user.
pub async fn handle(judge: &Judge, changes: Changes) -> PartialFailure {
    let mut users: BTreeMap<UserId, Stored> = BTreeMap::new();
    for change in changes.records.iter().filter(|change| change.kind() == Kind::Insert) {
        if let Some((user_id, key)) = change.event() {
            let first = || Stored { first: change.sequence_number().to_owned(), keys: Vec::new() };
            users.entry(user_id).or_insert_with(first).keys.push(key);
        }
    }
    let judged = users.into_iter().map(|(user_id, Stored { first, keys })| async move {
        let Err(failure) = judge.judge(&user_id, &keys).await else { return None };
        tracing::error!(cause = %failure, "the queue does not take events to be judged");
        Some(first)
    });
    let failed: Vec<_> = stream::iter(judged).buffer_unordered(PARALLEL_USERS).collect().await;
    failed.into_iter().flatten().collect()
}

/// The events of one user in a batch.
struct Stored {
    /// Sequence number of the first.
    first: String,
    keys: Vec<EventKey>,
}
