//! From changes of the table to verdicts on the events that were stored.

use std::collections::BTreeMap;

use shared::background::PartialFailure;
use shared::background::stream::{Changes, Kind};
use shared::ids::UserId;
use shared::integrity::ingest::Monitor;
use shared::integrity::key::EventKey;
use shared::integrity::{AnomalyTable, EventTable};

/// Judges the events stored, a user at a time, and reports the first of each user who could not be judged.
pub async fn handle(monitor: &Monitor<EventTable, AnomalyTable>, changes: Changes) -> PartialFailure {
    let mut users: BTreeMap<UserId, Stored> = BTreeMap::new();
    for change in changes.records.iter().filter(|change| change.kind() == Kind::Insert) {
        if let Some((user_id, key)) = change.event() {
            let first = || Stored { first: change.sequence_number().to_owned(), keys: Vec::new() };
            users.entry(user_id).or_insert_with(first).keys.push(key);
        }
    }
    let mut failed = Vec::new();
    for (user_id, Stored { first, keys }) in users {
        if let Err(failure) = monitor.judge(&user_id, &keys).await {
            tracing::error!(cause = %failure, events = keys.len(), "events of a user were not judged");
            failed.push(first);
        }
    }
    failed.into_iter().collect()
}

/// The events of one user in a batch.
struct Stored {
    /// Sequence number of the first.
    first: String,
    keys: Vec<EventKey>,
}
