//! Reads one entry of a log.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::super::entry::{Conversation, EntryOrder};
use super::super::entry_id;
use super::super::segment::{self, Position, Segment};
use super::super::store::{GetLog, ListLogs};
use super::listing::MAX_PAGE;
use super::{PARALLEL_GETS, RecordedEntry, read};
use crate::aws::StoreError;
use crate::ids::Signal;

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
    find(store, several(store, &log, &[millis]).await?, (millis, log_id)).await
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

/// Returns the entries of `conversation` among `wanted`, which are of one hour, that exist. `wanted` gives their orders and
/// the signals under which they are counted.
///
/// Takes one read for each entry, because both together are its key. If some are not found, the segments of several
/// entries of the hour are searched.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn entries_of_hour<S>(
    store: &S,
    conversation: &Conversation,
    wanted: &[(EntryOrder, Signal)],
) -> Result<Vec<RecordedEntry>, StoreError>
where
    S: ListLogs + GetLog + Sync,
{
    let key = |(order, signal): &(EntryOrder, Signal)| Segment::of_one(*order, signal.clone()).key(conversation);
    let mut missing: BTreeSet<EntryOrder> = wanted.iter().map(|(order, _)| *order).collect();
    let mut entries = read(store, wanted.iter().map(key).collect(), Some).await?;
    entries.retain(|entry| missing.remove(&entry.order));
    if !missing.is_empty() {
        let times: Vec<i64> = missing.iter().map(|(millis, _)| *millis).collect();
        let keys = several(store, &segment::prefix(conversation), &times).await?;
        let orders = &missing;
        let mut found = read(store, keys, |entry| orders.contains(&entry.order).then_some(entry)).await?;
        // Of several copies, readers use the first.
        found.retain(|entry| missing.remove(&entry.order));
        entries.extend(found);
    }
    Ok(entries)
}

/// Returns the keys of the segments of several entries that can contain an entry of one of `times`, which are of one hour.
async fn several<S: ListLogs>(store: &S, log: &str, times: &[i64]) -> Result<Vec<String>, StoreError> {
    let Some(first) = times.first() else { return Ok(Vec::new()) };
    let prefix = format!("{log}{},", segment::before_hour(*first));
    let size = i32::try_from(MAX_PAGE).unwrap_or(i32::MAX);
    let (mut keys, mut last) = (Vec::new(), None);
    loop {
        let page = store.list(&prefix, last.as_deref(), size).await?;
        last = page.keys.last().cloned();
        let contains = |key: &String| {
            let Some(segment) = Segment::parse(key) else { return false };
            times.iter().any(|millis| (segment.oldest()..=segment.newest()).contains(millis))
        };
        keys.extend(page.keys.into_iter().filter(contains));
        if !page.more || last.is_none() {
            return Ok(keys);
        }
    }
}
