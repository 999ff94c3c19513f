//! Adds the entries of a batch to a log, several in one object.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::super::entry::EntryOrder;
use super::super::object::LogObject;
use super::super::recorded::RecordedEntry;
use super::super::store::{GetLog, PutLog};
use super::{WriteOutcome, is_same_interaction};
use crate::aws::{PutResult, S3, StoreError};

/// The outcome of a line.
type Outcome = Result<WriteOutcome, StoreError>;

/// Adds `object` to its log with one PUT, and returns the outcome of each line.
///
/// Searches only the object's own key for earlier attempts. An entry that is repeated in another batch has another key,
/// is stored once more, and readers use one of its lines.
///
/// The key contains times, counts and the newest id, so two objects with different entries can have the same key. The
/// entries that the stored object does not contain are then stored in an object of their own.
pub async fn write_several<S: PutLog + GetLog>(store: &S, object: &LogObject) -> Vec<Outcome> {
    let mut outcomes = BTreeMap::new();
    let mut missing: Vec<usize> = (0..object.line_count()).collect();
    while !missing.is_empty() {
        let written = match object.with_lines(&missing) {
            Ok(part) => write_once(store, &part).await,
            Err(failure) => vec![Some(Err(failure)); missing.len()],
        };
        if written.iter().all(Option::is_none) {
            // The stored object has the key of its newest entry and does not contain the entry.
            let failure = StoreError::corrupt(S3, "GetObject", "segment");
            outcomes.extend(missing.drain(..).map(|line| (line, Err(failure.clone()))));
            break;
        }
        outcomes.extend(missing.iter().zip(written).filter_map(|(line, outcome)| Some((*line, outcome?))));
        missing.retain(|line| !outcomes.contains_key(line));
    }
    outcomes.into_values().collect()
}

/// Returns the outcome of each line of `object`, or `None` for a line that the object stored under the key does not
/// contain.
async fn write_once<S: PutLog + GetLog>(store: &S, object: &LogObject) -> Vec<Option<Outcome>> {
    let all = |outcome: Outcome| vec![Some(outcome); object.line_count()];
    match store.put(&object.key, object.body.clone().into_bytes()).await {
        Ok(PutResult::Existing(())) if object.has_caller_id => {}
        // Generated ids are new, so an existing object is this one, from an attempt whose response was lost.
        Ok(_) => return all(Ok(WriteOutcome::Stored)),
        Err(failure) => return all(Err(failure)),
    }
    match store.get(&object.key).await {
        Ok(Some(stored)) => compare(&stored, object).unwrap_or_else(|failure| all(Err(failure))),
        // The object has just been erased.
        Ok(None) => all(Ok(WriteOutcome::Stored)),
        Err(failure) => all(Err(failure)),
    }
}

/// Compares each line of `object` with the line of the same id in `stored`, if there is one.
///
/// # Errors
/// When `stored` is not a log.
fn compare(stored: &[u8], object: &LogObject) -> Result<Vec<Option<Outcome>>, StoreError> {
    let corrupt = || StoreError::corrupt(S3, "GetObject", "log entry");
    let stored = RecordedEntry::parse_all(stored).map(|entry| entry.map(|entry| (entry.order, entry.json)));
    let stored: BTreeMap<EntryOrder, Box<RawValue>> = stored.collect::<Result<_, _>>()?;
    let outcome = |line: &str| {
        let sent = RecordedEntry::parse(line.as_bytes()).ok_or_else(corrupt)?;
        let Some(earlier) = stored.get(&sent.order) else { return Ok(None) };
        let is_same = earlier.get() == line
            || is_same_interaction(earlier.get().as_bytes(), line.as_bytes()).ok_or_else(corrupt)?;
        Ok(Some(Ok(if is_same { WriteOutcome::Duplicate(earlier.clone()) } else { WriteOutcome::Conflict })))
    };
    object.lines().map(outcome).collect()
}
