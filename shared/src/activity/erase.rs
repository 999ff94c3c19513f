//! Removes a user's share of the read model.
//!
//! First, [`mark`] makes the worker look up the objects of the user before it counts them. Then the objects are deleted.
//! Then [`forget`] removes the entries that were counted. A notification that arrives later finds the mark, and no object.
//! A worker that looked up an object before its deletion, or entries before theirs, cannot replace the record of the user,
//! because [`forget`] marks the user again before and after it deletes the entries. The worker then looks again.

use std::collections::BTreeSet;

use super::hour::{Hour, HourActivity};
use super::store::{ActivityStore, Record, RecordKey};
use super::user::UserRecord;
use crate::aws::StoreError;
use crate::logging::Conversation;

/// Seconds for which a mark is kept: longer than a queue keeps a notification.
pub const MARK_SECONDS: i64 = 15 * 24 * 60 * 60;

/// Returns whether there is a record of the user of `conversation` that says more than that the user was erased.
pub async fn is_known<S: ActivityStore>(store: &S, conversation: &Conversation) -> Result<bool, StoreError> {
    let key = RecordKey::User(conversation.agent_id.clone(), conversation.user_id.clone());
    let known = store.read(std::slice::from_ref(&key)).await?.pop();
    Ok(known.is_some_and(|known| matches!(known.record, Record::User(user) if user.newest.is_some())))
}

/// Marks the user of `conversation` as erased until the Unix second `until`, and returns the hours that the record of
/// the user names.
pub async fn mark<S: ActivityStore>(
    store: &S,
    conversation: &Conversation,
    until: i64,
) -> Result<BTreeSet<Hour>, StoreError> {
    let key = RecordKey::User(conversation.agent_id.clone(), conversation.user_id.clone());
    let mark = Record::User(UserRecord { erased_until: Some(until), ..UserRecord::default() });
    loop {
        let Some(known) = store.read(std::slice::from_ref(&key)).await?.pop() else { return Ok(BTreeSet::new()) };
        if store.replace(&key, &mark, known.version).await? {
            return Ok(match known.record {
                Record::User(user) => user.hours.into_keys().collect(),
                Record::Hour(_) => BTreeSet::new(),
            });
        }
    }
}

/// Removes all entries of the user of `conversation`, who is marked and whose objects are deleted, in `hours` and in the
/// hours that the record of the user names. Returns the number of removed chunks.
pub async fn forget<S: ActivityStore>(
    store: &S,
    conversation: &Conversation,
    mut hours: BTreeSet<Hour>,
    until: i64,
) -> Result<usize, StoreError> {
    hours.extend(mark(store, conversation, until).await?);
    let agent = &conversation.agent_id;
    let mut removed = 0;
    for hour in hours {
        let key = RecordKey::Hour(agent.clone(), hour);
        loop {
            let Some(known) = store.read(std::slice::from_ref(&key)).await?.pop() else { break };
            let mut chunks = store.chunks(agent, hour).await?;
            for chunk in chunks.extract_if(.., |chunk| chunk.key.user_id == conversation.user_id) {
                store.delete(&chunk.key).await?;
                removed += 1;
            }
            let record = Record::Hour(HourActivity::of(&chunks).record);
            if known.record == record || store.replace(&key, &record, known.version).await? {
                break;
            }
        }
    }
    mark(store, conversation, until).await?;
    Ok(removed)
}
