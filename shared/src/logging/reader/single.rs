//! Reads one entry of a log.

use uuid::Uuid;

use super::super::entry::{Conversation, EntryOrder};
use super::super::entry_id;
use super::super::segment::{self, Position, Segment};
use super::super::store::{GetLog, ListLogs};
use super::listing::MAX_PAGE;
use super::{RecordedEntry, read};
use crate::aws::StoreError;

/// Returns the entry `log_id` of `conversation`, or `None` if it does not exist.
///
/// The id contains the time of the entry, and both determine the beginning of its key. So the entry takes one listing and
/// one read. If no key begins like that, the segments of several entries of that hour are searched, which takes one more
/// listing if there are none.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn entry<S>(store: &S, conversation: &Conversation, log_id: Uuid) -> Result<Option<RecordedEntry>, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let Some(time) = entry_id::time_of(&log_id) else { return Ok(None) };
    entry_at(store, conversation, (time.millis(), log_id)).await
}

/// Returns the entry of the order `(millis, log_id)`.
pub(super) async fn entry_at<S>(
    store: &S,
    conversation: &Conversation,
    (millis, log_id): EntryOrder,
) -> Result<Option<RecordedEntry>, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let log = segment::prefix(conversation);
    let is_wanted = |entry: RecordedEntry| (entry.order == (millis, log_id)).then_some(entry);
    // Of several keys of one entry, which differ in the signal, readers use the first.
    let alone = store.list(&format!("{log}{}.", Position::single((millis, log_id))), None, 1).await?.keys;
    if let Some(entry) = read(store, alone, is_wanted).await?.pop() {
        return Ok(Some(entry));
    }
    let found = read(store, several(store, &log, millis).await?, is_wanted).await?;
    Ok(found.into_iter().next())
}

/// Returns the keys of the segments of several entries that can contain an entry of `millis`.
async fn several<S: ListLogs>(store: &S, log: &str, millis: i64) -> Result<Vec<String>, StoreError> {
    let prefix = format!("{log}{},", segment::before_hour(millis));
    let size = i32::try_from(MAX_PAGE).unwrap_or(i32::MAX);
    let (mut keys, mut last) = (Vec::new(), None);
    loop {
        let page = store.list(&prefix, last.as_deref(), size).await?;
        last = page.keys.last().cloned();
        let contains = |key: &String| {
            Segment::parse(key).is_some_and(|segment| (segment.oldest()..=segment.newest()).contains(&millis))
        };
        keys.extend(page.keys.into_iter().filter(contains));
        if !page.more || last.is_none() {
            return Ok(keys);
        }
    }
}
