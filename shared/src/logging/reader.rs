//! Reading a log back: its newest entries, and their counts.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::entry::Conversation;
use super::newest::Newest;
use super::segment::{self, Segment};
use super::store::{GetLog, ListLogs};
use super::summary::Summary;
use crate::aws::StoreError;
use crate::ids::Signal;
use crate::time::Timestamp;

/// How many entries a summary counts.
pub const SUMMARY_ENTRIES: usize = 1_000;
/// The most keys that S3 lists at once.
const MAX_PAGE: usize = 1_000;
/// How many objects are read at the same time.
const PARALLEL_GETS: usize = 20;

/// An entry as it was read: its line, kept as it is, and what orders it.
#[derive(Clone, Debug)]
pub struct RecordedEntry {
    order: (i64, Uuid),
    signal: Signal,
    line: Box<RawValue>,
}

impl RecordedEntry {
    /// The entry's JSON, with whatever fields its version has.
    pub fn json(&self) -> &RawValue {
        &self.line
    }
}

/// What of a line has to be understood.
#[derive(Deserialize)]
struct Line<'a> {
    log_id: Uuid,
    timestamp: &'a str,
    detected_signal: String,
}

/// The newest `wanted` entries of `conversation`, oldest first.
///
/// # Errors
/// When S3 does not answer, or holds what is no log.
pub async fn last_entries<S>(
    store: &S,
    conversation: &Conversation,
    wanted: usize,
) -> Result<Vec<RecordedEntry>, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let newest = gather(store, conversation, wanted).await?;
    let selection = newest.select();
    let keys = [selection.whole, selection.singles, selection.straddling].into_iter().flatten().map(|(_, key)| key);
    let mut entries = read(store, keys.collect()).await?;
    entries.sort_unstable_by_key(|entry| entry.order);
    Ok(entries.split_off(entries.len().saturating_sub(wanted)))
}

/// How many of the newest [`SUMMARY_ENTRIES`] of `conversation` there are of each signal.
///
/// # Errors
/// When S3 does not answer, or holds what is no log.
pub async fn summarise<S>(store: &S, conversation: &Conversation) -> Result<Summary, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let selection = gather(store, conversation, SUMMARY_ENTRIES).await?.select();
    let mut summary: Summary = selection.whole.into_iter().flat_map(|(segment, _)| segment.counts).collect();
    let read = read(store, selection.straddling.into_iter().map(|(_, key)| key).collect()).await?;
    let mut candidates: Vec<_> = read.into_iter().map(|entry| (entry.order, entry.signal)).collect();
    for (segment, _) in selection.singles {
        candidates.extend(segment.counts.into_keys().map(|signal| ((segment.newest, segment.newest_id), signal)));
    }
    candidates.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    for (_, signal) in candidates.into_iter().take(selection.remaining) {
        summary.add(signal, 1);
    }
    Ok(summary)
}

/// Lists until the newest `wanted` entries are sure to be among the segments listed.
///
/// A listing that ends between two entries of one millisecond is taken to be cut there: that spares a second request
/// for every log of exactly as many entries or more.
async fn gather<S: ListLogs>(
    store: &S,
    conversation: &Conversation,
    wanted: usize,
) -> Result<Newest<String>, StoreError> {
    let prefix = segment::prefix(conversation);
    let page_size = i32::try_from(MAX_PAGE.min(wanted + 1)).unwrap_or(i32::MAX);
    let mut newest = Newest::new(wanted);
    let mut start_after: Option<String> = None;
    loop {
        let page = store.list(&prefix, start_after.as_deref(), page_size).await?;
        start_after = page.keys.last().cloned();
        for key in page.keys {
            let Some(segment) = Segment::parse(&key) else { continue };
            if !newest.may_need(segment.newest) {
                return Ok(newest);
            }
            newest.add(segment, key);
        }
        if !page.more || start_after.is_none() || newest.is_complete() {
            return Ok(newest);
        }
    }
}

async fn read<S: GetLog + Sync>(store: &S, keys: Vec<String>) -> Result<Vec<RecordedEntry>, StoreError> {
    let segments: Vec<Vec<RecordedEntry>> = stream::iter(keys)
        // What was erased since it was listed is no longer part of the log.
        .map(|key| async move { store.get(&key).await?.map_or(Ok(Vec::new()), |body| parse_lines(&body)) })
        .buffer_unordered(PARALLEL_GETS)
        .try_collect()
        .await?;
    Ok(segments.into_iter().flatten().collect())
}

fn parse_lines(body: &[u8]) -> Result<Vec<RecordedEntry>, StoreError> {
    let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| parse_line(line).ok_or_else(|| StoreError::unreadable("s3", "GetObject", "log entry"))).collect()
}

fn parse_line(line: &[u8]) -> Option<RecordedEntry> {
    let raw: &RawValue = serde_json::from_slice(line).ok()?;
    let known: Line<'_> = serde_json::from_str(raw.get()).ok()?;
    Some(RecordedEntry {
        order: (Timestamp::parse_rfc3339(known.timestamp)?.millis(), known.log_id),
        signal: Signal::try_from(known.detected_signal).ok()?,
        line: raw.to_owned(),
    })
}

#[cfg(test)]
mod tests;
