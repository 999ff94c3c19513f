//! Removes a user's share of the read model.
//!
//! First, [`mark`] makes the worker look up the objects of the user before it counts them. Then the objects are deleted.
//! Then [`forget`] removes the entries that were counted. A notification that arrives later finds the mark, and no object.
//! A worker that looked up an object before its deletion, or entries before theirs, cannot replace the record of the user,
//! because [`forget`] marks the user again before and after it deletes the entries. The worker then looks again.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;

use super::hour::{Hour, HourActivity};
use super::store::{ActivityStore, Record, RecordKey};
use super::user::UserRecord;
use crate::aws::StoreError;
use crate::aws::versioned::Versioned;
use crate::logging::{Conversation, Summary};

/// Seconds for which a mark is kept: longer than a queue keeps a notification.
pub const MARK_SECONDS: i64 = 15 * 24 * 60 * 60;

/// Returns whether the read model has a share of the user of `conversation`, as far as the record of the user says.
pub async fn is_known<S: ActivityStore>(store: &S, conversation: &Conversation) -> Result<bool, StoreError> {
    let known = read(store, &RecordKey::of_user(conversation)).await?;
    let has_share = |user: &UserRecord| user.newest.is_some() || !user.hours.is_empty();
    Ok(matches!(known.record, Record::User(user) if has_share(&user)))
}

/// Marks the user of `conversation` as erased until the Unix second `until`. The mark keeps the hours with entries of the
/// user, those of the record and `hours`, for an erasure that is interrupted. Returns the kept hours.
pub async fn mark<S: ActivityStore>(
    store: &S,
    conversation: &Conversation,
    hours: &BTreeSet<Hour>,
    until: i64,
) -> Result<BTreeSet<Hour>, StoreError> {
    replace(store, conversation, until, |mut all| {
        for hour in hours {
            all.entry(*hour).or_default();
        }
        all
    })
    .await
}

/// Replaces the record of the user of `conversation` by a mark with the hours that `kept` returns for those of the record.
/// Returns the kept hours.
async fn replace<S: ActivityStore>(
    store: &S,
    conversation: &Conversation,
    until: i64,
    kept: impl Fn(BTreeMap<Hour, Summary>) -> BTreeMap<Hour, Summary>,
) -> Result<BTreeSet<Hour>, StoreError> {
    let key = RecordKey::of_user(conversation);
    loop {
        let known = read(store, &key).await?;
        let hours = match known.record {
            Record::User(user) => kept(user.hours),
            Record::Hour(_) => BTreeMap::new(),
        };
        let named = hours.keys().copied().collect();
        let mark = UserRecord { erased_until: Some(until), hours, ..UserRecord::default() };
        if store.replace(&key, &Record::User(mark), known.version).await? {
            return Ok(named);
        }
    }
}

/// Removes all entries of the user of `conversation`, who is marked and whose objects are deleted, in the hours that the
/// mark names. Returns the number of removed chunks.
pub async fn forget<S: ActivityStore>(store: &S, conversation: &Conversation, until: i64) -> Result<usize, StoreError> {
    let hours = mark(store, conversation, &BTreeSet::new(), until).await?;
    let agent = &conversation.agent_id;
    let mut removed = 0;
    for hour in hours {
        let key = RecordKey::Hour(agent.clone(), hour);
        loop {
            let known = read(store, &key).await?;
            let mut chunks = store.chunks(agent, hour).await?;
            for chunk in chunks.extract_if(.., |chunk| chunk.key.user_id == conversation.user_id) {
                store.delete(&chunk.key).await?;
                removed += 1;
            }
            let record = Record::Hour(HourActivity::of(&chunks).record);
            // Also an equal record: a worker may have read the sets before, and must not replace the record after.
            if store.replace(&key, &record, known.version).await? {
                break;
            }
        }
    }
    replace(store, conversation, until, |_| BTreeMap::new()).await?;
    Ok(removed)
}

/// Returns the record under `key`.
async fn read<S: ActivityStore>(store: &S, key: &RecordKey) -> Result<Versioned<Record>, StoreError> {
    let read = store.read(slice::from_ref(key)).await?.pop();
    Ok(read.unwrap_or_else(|| Versioned { record: key.missing(), version: 0 }))
}
