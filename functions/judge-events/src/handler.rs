//! From changes of the table to verdicts on the events that were stored.

use std::collections::BTreeMap;

use shared::ids::UserId;
use shared::integrity::ingest::Monitor;
use shared::integrity::key::EventKey;
use shared::integrity::{AnomalyTable, EventTable};

use crate::record::{Answer, Batch, Failure};

/// Judges the events stored, a user at a time, and reports the first of each user who could not be judged.
pub async fn handle(monitor: &Monitor<EventTable, AnomalyTable>, batch: Batch) -> Answer {
    let mut users: BTreeMap<UserId, Stored> = BTreeMap::new();
    for record in &batch.records {
        if let Some((user_id, key)) = record.stored_event() {
            let first = || Stored { first: record.sequence_number().to_owned(), keys: Vec::new() };
            users.entry(user_id).or_insert_with(first).keys.push(key);
        }
    }
    let mut answer = Answer::default();
    for (user_id, Stored { first, keys }) in users {
        if let Err(failure) = monitor.judge(&user_id, &keys).await {
            tracing::error!(cause = %failure, events = keys.len(), "events of a user were not judged");
            answer.batch_item_failures.push(Failure { item_identifier: first });
        }
    }
    answer
}

/// The events of one user in a batch.
struct Stored {
    /// Sequence number of the first.
    first: String,
    keys: Vec<EventKey>,
}
