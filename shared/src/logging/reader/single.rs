//! Reads one entry of a log.

use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::super::entry::{Conversation, EntryOrder};
use super::super::entry_id;
use super::super::segment::{self, Position, Segment};
use super::super::store::{GetLog, ListLogs};
use super::listing::MAX_PAGE;
use super::{PARALLEL_GETS, RecordedEntry};
use crate::aws::StoreError;

/// An entry and its object.
#[derive(Clone, Debug)]
pub struct LocatedEntry {
    /// The entry.
    pub entry: RecordedEntry,
    /// Key of the first object that has the entry.
    pub key: String,
}

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
    Ok(locate(store, conversation, log_id).await?.map(|located| located.entry))
}

/// Does the same as [`entry`], and returns the key of the entry's object too.
///
/// # Errors
/// Same as [`entry`].
pub async fn locate<S>(store: &S, conversation: &Conversation, log_id: Uuid) -> Result<Option<LocatedEntry>, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let Some(time) = entry_id::time_of(&log_id) else { return Ok(None) };
    locate_at(store, conversation, (time.millis(), log_id)).await
}

/// Returns the entry of the order `(millis, log_id)`.
pub(super) async fn locate_at<S>(
    store: &S,
    conversation: &Conversation,
    (millis, log_id): EntryOrder,
) -> Result<Option<LocatedEntry>, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let log = segment::prefix(conversation);
    // Of several keys of one entry, which differ in the signal, readers use the first.
    let alone = store.list(&format!("{log}{}.", Position::single((millis, log_id))), None, 1).await?.keys;
    if let Some(located) = find(store, alone, (millis, log_id)).await? {
        return Ok(Some(located));
    }
    find(store, several(store, &log, millis).await?, (millis, log_id)).await
}

/// Returns the first entry of `order` in the objects under `keys`.
async fn find<S>(store: &S, keys: Vec<String>, order: EntryOrder) -> Result<Option<LocatedEntry>, StoreError>
where
    S: GetLog + Sync,
{
    let bodies = stream::iter(keys).map(|key| async move {
        let body = store.get(&key).await;
        (key, body)
    });
    let mut bodies = bodies.buffered(PARALLEL_GETS);
    while let Some((key, body)) = bodies.next().await {
        for entry in body?.iter().flat_map(|body| RecordedEntry::parse_all(body)) {
            let entry = entry?;
            if entry.order == order {
                return Ok(Some(LocatedEntry { entry, key }));
            }
        }
    }
    Ok(None)
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
