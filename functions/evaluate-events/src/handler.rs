//! Evaluates stored events that the table's stream delivers.

use shared::background::PartialFailure;
use shared::background::stream::{Change, Changes, Kind};
use shared::deadline::Deadline;
use shared::deferred::StreamEvaluator;
use shared::metrics::Metrics;
use shared::telemetry;

/// Evaluates the stored events, one user at a time. If a user's events cannot be evaluated, they go to the retry queue
/// instead of blocking the shard. If the queue is unavailable too, the function reports the first event of each such
/// user.
///
/// Events are counted here because the stream delivers each event once, whichever function stored it.
pub async fn handle(evaluator: &StreamEvaluator, changes: Changes, deadline: Deadline) -> PartialFailure {
    let stored = |change: &Change| change.event().filter(|_| change.kind() == Kind::Insert);
    let work = |user_id, keys: Vec<_>| async move { evaluator.evaluate(&user_id, &keys, deadline).await.map(drop) };
    let failure = changes.by_user(deadline, stored, work).await;
    let mut metrics = Metrics::default();
    changes.settled(&failure).iter().filter_map(stored).for_each(|_| metrics.add_event());
    telemetry::publish(&metrics);
    failure
}
