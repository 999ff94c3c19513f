//! Evaluates stored events that the table's stream delivers.

use shared::background::BatchResponse;
use shared::background::stream::{Change, ChangeKind, Changes};
use shared::deadline::Deadline;
use shared::intake::StreamEvaluator;
use shared::integrity::stream::changed_event;
use shared::metrics::Metrics;
use shared::telemetry;

/// Evaluates the stored events, one user at a time. If a user's events cannot be evaluated, they go to the retry queue
/// instead of blocking the shard. If the queue is unavailable too, the function reports the first event of each such
/// user.
///
/// Events are counted here because the stream delivers each event once, whichever function stored it.
pub async fn handle(evaluator: &StreamEvaluator, changes: Changes, deadline: Deadline) -> BatchResponse {
    let stored = |change: &Change| changed_event(change).filter(|_| change.kind() == ChangeKind::Insert);
    let work = |user_id, keys: Vec<_>| async move { evaluator.evaluate(&user_id, &keys, deadline).await };
    let response = changes.by_user(deadline, stored, work).await;
    let mut metrics = Metrics::default();
    changes.settled(&response).iter().filter_map(stored).for_each(|_| metrics.add_event());
    telemetry::publish(&metrics);
    response
}
