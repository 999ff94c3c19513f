//! Newest entries of an agent over all users.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::ActivityPage;
use super::position::RowPosition;
use super::store::ReadActivity;
use super::walk::HourWalk;
use crate::activity::{Chunk, Hour, HourRecord};
use crate::aws::StoreError;
use crate::ids::{AgentId, Signal, UserId};
use crate::logging::store::{GetLog, ListLogs};
use crate::logging::{Conversation, EntryOrder, RecordedEntry, Span, reader};

/// Logs of users read concurrently.
const PARALLEL: usize = 10;

/// Query for entries.
#[derive(Clone, Debug)]
pub struct AgentEntryQuery {
    /// Signal under which the entries are counted, if only one is wanted.
    pub signal: Option<Signal>,
    /// Time range in which the entries were recorded.
    pub span: Span,
    /// End of the previous page.
    pub last: Option<RowPosition>,
    /// Maximum number of entries to return.
    pub limit: usize,
}

/// An entry of a user, as the read model has it.
type Found = (EntryOrder, UserId, Signal);

impl AgentEntryQuery {
    fn is_wanted_hour(&self, record: &HourRecord) -> bool {
        match &self.signal {
            Some(signal) => record.slots.values().any(|counts| counts.of(signal.as_str()) > 0),
            None => record.users > 0,
        }
    }

    fn is_wanted(&self, order: EntryOrder, signal: &Signal, user: &UserId) -> bool {
        (self.span.first()..=self.span.last()).contains(&order.0)
            && self.signal.as_ref().is_none_or(|wanted| wanted == signal)
            && self.last.as_ref().is_none_or(|last| last.precedes(order, user))
    }

    /// Returns the wanted entries of `chunks`, newest first.
    fn select(&self, chunks: &[Chunk]) -> Vec<Found> {
        let entries = chunks.iter().flat_map(|chunk| {
            let user = &chunk.key.user_id;
            let wanted = chunk.entries().filter(|(order, signal)| self.is_wanted(*order, signal, user));
            wanted.map(|(order, signal)| (order, user.clone(), signal.clone()))
        });
        let mut entries: Vec<Found> = entries.collect();
        entries.sort_unstable_by(|(a, first, _), (b, second, _)| b.cmp(a).then(first.cmp(second)));
        entries
    }
}

/// Returns the newest entries of `agent` that match `query`, newest first. Entries that are counted but no longer stored
/// are left out.
///
/// Reads the chunks of at most ten hours, and the objects of the entries: a page may be short or empty without being the
/// last.
///
/// # Errors
/// When a store fails, or S3 holds an object that is not a log.
pub async fn newest<S, L>(
    store: &S,
    log: &L,
    agent: &AgentId,
    query: &AgentEntryQuery,
) -> Result<ActivityPage<RecordedEntry, RowPosition>, StoreError>
where
    S: ReadActivity + Sync,
    L: ListLogs + GetLog + Sync,
{
    let ActivityPage { rows: found, mut next } = find(store, agent, query).await?;
    let mut stored = read(log, agent, &found).await?;
    let mut rows: Vec<(RowPosition, RecordedEntry)> = Vec::with_capacity(stored.len());
    for (order, user, _) in found {
        let position = RowPosition::of(order, &user);
        rows.extend(stored.remove(&(order, user)).map(|entry| (position, entry)));
    }
    let fitting = reader::fitting(rows.iter().map(|(_, entry)| entry));
    if fitting < rows.len() {
        rows.truncate(fitting);
        next = rows.last().map(|(position, _)| position.clone());
    }
    Ok(ActivityPage { rows: rows.into_iter().map(|(_, entry)| entry).collect(), next })
}

/// Returns the entries of the page.
async fn find<S: ReadActivity + Sync>(
    store: &S,
    agent: &AgentId,
    query: &AgentEntryQuery,
) -> Result<ActivityPage<Found, RowPosition>, StoreError> {
    let end = query.last.as_ref().map_or(i64::MAX, |last| last.hour().end() - 1);
    let newest = Hour::of(query.span.last().min(end));
    let mut walk = HourWalk::new(store, agent, Some(Hour::of(query.span.first())), Some(newest));
    let mut rows = Vec::new();
    while let Some(hour) = walk.next(|_, record| query.is_wanted_hour(record)).await? {
        rows.extend(query.select(&store.chunks_with(agent, hour, query.signal.as_ref()).await?));
        if rows.len() >= query.limit {
            let are_more = rows.len() > query.limit || walk.rest().is_some();
            rows.truncate(query.limit);
            let last = rows.last().map(|(order, user, _)| RowPosition::of(*order, user));
            return Ok(ActivityPage { rows, next: last.filter(|_| are_more) });
        }
    }
    Ok(ActivityPage { rows, next: walk.rest().map(RowPosition::before) })
}

/// Reads the entries `found` that exist.
async fn read<L: ListLogs + GetLog + Sync>(
    log: &L,
    agent: &AgentId,
    found: &[Found],
) -> Result<BTreeMap<(EntryOrder, UserId), RecordedEntry>, StoreError> {
    let mut logs: BTreeMap<(&UserId, Hour), Vec<(EntryOrder, Signal)>> = BTreeMap::new();
    for (order, user, signal) in found {
        logs.entry((user, Hour::of(order.0))).or_default().push((*order, signal.clone()));
    }
    let reads = logs.into_iter().map(|((user, _), wanted)| async move {
        let conversation = Conversation { agent_id: agent.clone(), user_id: user.clone() };
        let entries = reader::entries_of_hour(log, &conversation, &wanted).await?;
        Ok::<_, StoreError>(entries.into_iter().map(move |entry| ((entry.order, user.clone()), entry)))
    });
    let reads: Vec<_> = reads.collect();
    let read: Vec<_> = stream::iter(reads).buffer_unordered(PARALLEL).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}
