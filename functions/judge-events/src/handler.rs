//! From changes of the table to verdicts on the events that were stored.

use shared::background::PartialFailure;
use shared::background::stream::{Change, Changes, Kind};
use shared::deadline::Deadline;
use shared::deferred::Judge;
use shared::metrics::Metrics;
use shared::telemetry;

/// Judges the events stored, a user at a time. Those of a user whom it cannot judge wait in the queue, where they are in
/// nobody's way: the stream would tell of no other event of the shard until they are judged. Without the queue it reports
/// the first of each such user.
///
/// Here events are counted: whatever way one came in, the stream tells of it once.
pub async fn handle(judge: &Judge, changes: Changes, deadline: Deadline) -> PartialFailure {
    let stored = |change: &Change| change.event().filter(|_| change.kind() == Kind::Insert);
    let work = |user_id, keys: Vec<_>| async move { judge.judge(&user_id, &keys, deadline).await.map(drop) };
    let failure = changes.by_user(deadline, stored, work).await;
    let mut metrics = Metrics::default();
    changes.settled(&failure).iter().filter_map(stored).for_each(|_| metrics.add_event());
    telemetry::publish(&metrics);
    failure
}
