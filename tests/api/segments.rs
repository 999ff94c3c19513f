//! Logs of the past: entries at chosen times, in segments of one or several entries, stored where the API reads them.

use serde_json::{Value, json};
use shared::aws::{Aws, Settings};
use shared::env::{self, LOG_BUCKET};
use shared::ids::{AgentId, Signal, UserId};
use shared::logging::segment::{self, Segment};
use shared::logging::store::{ListLogs, PutLog};
use shared::logging::{Conversation, LogBucket};
use shared::time::Timestamp;
use uuid::Uuid;

/// The agent of these logs.
pub const AGENT: &str = "agent";

/// Stores one segment with an entry for each of `entries`, pairs of an RFC 3339 time and a signal whose times are
/// within one hour. Returns the entries.
pub async fn put_segment(user: &str, entries: &[(&str, &str)]) -> Vec<Value> {
    let lines: Vec<(i64, Uuid, &str)> = entries
        .iter()
        .map(|(time, signal)| (Timestamp::parse_rfc3339(time).expect("RFC 3339").millis(), Uuid::now_v7(), *signal))
        .collect();
    let line =
        |(millis, id, signal): &(i64, Uuid, &str)| ((*millis, *id), Signal::try_from(*signal).expect("a signal"));
    let segment = Segment::of(&lines.iter().map(line).collect::<Vec<_>>()).expect("entries of one hour");
    let entries: Vec<Value> = lines.iter().map(|(millis, id, signal)| entry(user, *millis, *id, signal)).collect();
    let body: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    bucket().put(&segment.key(&conversation(user)), body.into_bytes()).await.expect("the segment is stored");
    entries
}

/// Stores a segment for each of `entries` and returns the entries.
pub async fn put_singles(user: &str, entries: &[(&str, &str)]) -> Vec<Value> {
    let put = entries.iter().map(|entry| put_segment(user, std::slice::from_ref(entry)));
    futures_util::future::join_all(put).await.concat()
}

/// Returns the keys of the segments of `user`.
pub async fn keys(user: &str) -> Vec<String> {
    let page = bucket().list(&segment::prefix(&conversation(user)), None, 1_000).await.expect("a listing");
    assert!(!page.more, "more keys than a page has");
    page.keys
}

fn conversation(user: &str) -> Conversation {
    Conversation {
        agent_id: AgentId::try_from(AGENT).expect("an agent"),
        user_id: UserId::try_from(user).expect("a user"),
    }
}

fn entry(user: &str, millis: i64, id: Uuid, signal: &str) -> Value {
    json!({
        "log_id": id, "timestamp": Timestamp::from_millis(millis).expect("in range").to_rfc3339_millis(),
        "agent_id": AGENT, "user_id": user, "user_input": "hi", "detected_signal": signal, "response_type": "",
        "coherence_score_impact": null, "escalation_flag": false, "session_id": null, "v": 1,
    })
}

fn bucket() -> LogBucket {
    let settings = Settings::from_env().unwrap_or_else(|error| panic!("to put logs: {error}"));
    let name = env::required(LOG_BUCKET).unwrap_or_else(|error| panic!("to put logs: {error}"));
    LogBucket::new(Aws::new(settings).s3(), name)
}
