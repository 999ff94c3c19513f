//! From changes of the table to verdicts on the events that were stored.

use shared::background::PartialFailure;
use shared::background::stream::{Change, Changes, Kind};
use shared::deferred::Judge;

/// Judges the events stored, a user at a time. Those of a user whom it cannot judge wait in the queue, where they are in
/// nobody's way: the stream would tell of no other event of the shard until they are judged. Without the queue it reports
/// the first of each such user.
pub async fn handle(judge: &Judge, changes: Changes) -> PartialFailure {
    let stored = |change: &Change| change.event().filter(|_| change.kind() == Kind::Insert);
    changes.by_user(stored, |user_id, keys| async move { judge.judge(&user_id, &keys).await.map(drop) }).await
}
