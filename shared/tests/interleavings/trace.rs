//! Describes a schedule in words, one short line per step.

use shared::aws::{PutResult, StoreError};
use shared::integrity::Anomaly;
use shared::integrity::key::EventKey;
use shared::integrity::pipeline::IngestOutcome;
use shared::integrity::store::Direction;

use crate::scenario::short;
use crate::store::{Operation, Reply};
use crate::world::TaskId;

/// Describes the owner of a call.
pub fn owner(task: Option<&TaskId>) -> String {
    match task {
        Some(TaskId::Request(client, 0)) => format!("request {client}"),
        Some(TaskId::Request(client, attempt)) => format!("request {client}, retry {attempt}"),
        Some(TaskId::Delivery(user)) => format!("evaluation of {user}'s stream"),
        None => "nobody's call".to_owned(),
    }
}

/// Describes the operation of a call.
pub fn question(operation: &Operation) -> String {
    match operation {
        Operation::Put(event) => format!("put {}", key(&event.key)),
        Operation::Query(_, range, limit) => {
            let (from, to) = (short(&range.from).trim_end_matches('\0'), short(&range.to));
            let order = if range.direction == Direction::OldestFirst { "first" } else { "last" };
            format!("query {order} {limit} of {from}..{to}")
        }
        Operation::Raise(raised) => format!("raise {}", anomaly(raised)),
        Operation::StoredCounts(_, first, last) => format!("ask how {}..{} are counted", key(first), key(last)),
        Operation::Latest(_, range) => {
            format!("query the latest anomaly of {}..{}", short(&range.from), short(&range.to))
        }
    }
}

/// Describes the reply of a table.
pub fn answer(reply: &Reply) -> String {
    match reply {
        Reply::Put(PutResult::Stored) => "new".to_owned(),
        Reply::Put(PutResult::Existing(found)) => format!("found {}", key(&found.key)),
        Reply::Query(found) => {
            let events: Vec<_> = found.events.iter().map(|event| event.key.clone()).collect();
            format!("{}{}", keys(&events), if found.more { " and more" } else { "" })
        }
        Reply::Raise(true) => "stored".to_owned(),
        Reply::Raise(false) => "kept as it was".to_owned(),
        Reply::StoredCounts(counted) => format!("{} are stored", counted.len()),
        Reply::Latest(None) => "none".to_owned(),
        Reply::Latest(Some(found)) => {
            format!("{}={} since {}", key(&found.key), found.count, short(&found.window_start.to_string()))
        }
    }
}

/// Describes the result that a client receives.
pub fn result(result: &Result<IngestOutcome, StoreError>) -> String {
    match result {
        Ok(IngestOutcome::Stored(receipt)) => format!("stored, {} anomalies", receipt.anomalies.len()),
        Ok(IngestOutcome::Duplicate(receipt)) => format!("duplicate, {} anomalies", receipt.anomalies.len()),
        Ok(IngestOutcome::Conflict) => "conflict".to_owned(),
        Ok(IngestOutcome::Queued) => "queued".to_owned(),
        Err(failure) => failure.to_string(),
    }
}

/// Describes an anomaly or its absence.
pub fn maybe(found: Option<&Anomaly>) -> String {
    found.map_or_else(|| "nothing".to_owned(), anomaly)
}

/// Describes an anomaly.
pub fn anomaly(anomaly: &Anomaly) -> String {
    let (count, rule, severity) = (anomaly.count, anomaly.rule(), anomaly.severity.name());
    let start = anomaly.window_start.to_string();
    format!("{}={count} since {} ({rule} {severity})", key(&anomaly.key), short(&start))
}

/// Describes some events.
pub fn keys(events: &[EventKey]) -> String {
    format!("[{}]", events.iter().map(key).collect::<Vec<_>>().join(" "))
}

fn key(key: &EventKey) -> String {
    format!("{}@{}", key.event_id, short(&key.time.to_string()))
}
