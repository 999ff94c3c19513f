//! Users of an agent, as a board shows them: latest entries and recent counts.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::ActivityPage;
use super::position::RowPosition;
use super::store::ReadActivity;
use super::walk::HourWalk;
use crate::activity::hour::HourActivity;
use crate::activity::{Chunk, Hour, HourRecord, UserRecord};
use crate::aws::StoreError;
use crate::ids::{AgentId, Signal, UserId};
use crate::logging::{EntryOrder, Summary};

/// Minimum and maximum number of records of users read at once.
const BATCH: RangeInclusive<usize> = 25..=100;
/// Number of users after which a request reads no more.
const MAX_USERS: usize = 1_000;
/// Maximum number of Queries of a request for users by name.
const MAX_QUERIES: usize = 10;

/// Order of a list of users by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSort {
    /// By the newest entry.
    Recent,
    /// By the newest stressed entry. Users without one are left out.
    Stressed,
}

impl TimeSort {
    /// Returns the newest entry of `record` that counts for this order.
    fn newest(self, record: &UserRecord) -> Option<EntryOrder> {
        match self {
            Self::Recent => record.newest.as_ref().map(|(order, _)| *order),
            Self::Stressed => record.newest_stressed,
        }
    }

    fn has_users(self, record: &HourRecord) -> bool {
        let users = match self {
            Self::Recent => record.users,
            Self::Stressed => record.stressed_users,
        };
        users > 0
    }

    /// Returns the signal that the entries of users in this order have.
    fn signal(self) -> Option<Signal> {
        if self == Self::Stressed { Signal::try_from(Signal::STRESSED).ok() } else { None }
    }

    /// Returns the users in `chunks` with their newest entries that count for this order, in this order.
    fn candidates(self, chunks: &[Chunk]) -> Vec<(EntryOrder, UserId)> {
        let users = HourActivity::of(chunks).users.into_iter();
        let mut candidates: Vec<_> = users
            .filter_map(|(user, hour)| {
                let order = match self {
                    Self::Recent => hour.newest.map(|(order, _)| order),
                    Self::Stressed => hour.newest_stressed,
                };
                Some((order?, user))
            })
            .collect();
        candidates.sort_unstable_by(|(a, first), (b, second)| Reverse(a).cmp(&Reverse(b)).then(first.cmp(second)));
        candidates
    }
}

/// Query for users.
#[derive(Clone, Debug)]
pub struct BoardQuery {
    /// Signal of the newest entry, if only such users are wanted.
    pub signal: Option<Signal>,
    /// First hour whose entries are counted.
    pub since: Hour,
    /// Maximum number of users to return.
    pub limit: usize,
}

/// A user of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The user.
    pub user_id: UserId,
    /// Newest entry and its signal.
    pub newest: (EntryOrder, Signal),
    /// Newest stressed entry.
    pub newest_stressed: Option<EntryOrder>,
    /// Counts since the hour of the query.
    pub counts: Summary,
    /// The same counts by day, such as `2026-11-28`.
    pub days: BTreeMap<String, Summary>,
}

impl BoardQuery {
    /// Returns the number of users to read if a page lacks `missing` rows.
    fn batch(&self, missing: usize) -> usize {
        if self.signal.is_some() { *BATCH.end() } else { missing.clamp(*BATCH.start(), *BATCH.end()) }
    }

    /// Returns the row of `user`, unless the user was erased or has another signal.
    fn row(&self, user: &UserId, record: UserRecord) -> Option<UserRow> {
        let newest = record.newest?;
        if self.signal.as_ref().is_some_and(|signal| *signal != newest.1) {
            return None;
        }
        let (mut counts, mut days) = (Summary::default(), BTreeMap::<_, Summary>::new());
        for (hour, of_hour) in record.hours.range(self.since..) {
            counts.merge(of_hour);
            days.entry(hour.in_day().0).or_default().merge(of_hour);
        }
        Some(UserRow { user_id: user.clone(), newest, newest_stressed: record.newest_stressed, counts, days })
    }
}

/// Returns the users of `agent` that match `query` in bytewise order of their names, after the user `last`.
///
/// Takes one Query, or up to ten if `query` skips users: a page may be short or empty without being the last.
pub async fn by_name<S: ReadActivity>(
    store: &S,
    agent: &AgentId,
    query: &BoardQuery,
    mut last: Option<UserId>,
) -> Result<ActivityPage<UserRow, UserId>, StoreError> {
    let mut rows = Vec::new();
    for _ in 0..MAX_QUERIES {
        let missing = query.limit - rows.len();
        let limit = if query.signal.is_some() { *BATCH.end() } else { missing };
        let page = store.users_after(agent, last.as_ref(), limit).await?;
        let mut users = page.users.into_iter();
        while let Some((user, record)) = users.next() {
            rows.extend(query.row(&user, record));
            if rows.len() == query.limit {
                let are_more = page.last.is_some() || !users.as_slice().is_empty();
                return Ok(ActivityPage { rows, next: are_more.then_some(user) });
            }
        }
        last = page.last;
        if last.is_none() {
            break;
        }
    }
    Ok(ActivityPage { rows, next: last })
}

/// Returns the users of `agent` that match `query` in the order of `sort`, after the position `last`.
///
/// Each hour has the users whose newest entry lies in it. Reads at most ten hours and a thousand users: a page may be
/// short or empty without being the last.
pub async fn by_time<S: ReadActivity + Sync>(
    store: &S,
    agent: &AgentId,
    sort: TimeSort,
    query: &BoardQuery,
    last: Option<RowPosition>,
) -> Result<ActivityPage<UserRow, RowPosition>, StoreError> {
    let signal = sort.signal();
    let mut walk = HourWalk::new(store, agent, None, last.as_ref().map(RowPosition::hour));
    let (mut rows, mut examined) = (Vec::new(), 0);
    while let Some(hour) = walk.next(|_, record| sort.has_users(record)).await? {
        let mut candidates = sort.candidates(&store.chunks_with(agent, hour, signal.as_ref()).await?);
        candidates.retain(|(order, user)| last.as_ref().is_none_or(|last| last.precedes(*order, user)));
        let mut rest = &candidates[..];
        while !rest.is_empty() {
            let batch;
            (batch, rest) = rest.split_at(query.batch(query.limit - rows.len()).min(rest.len()));
            let users: Vec<_> = batch.iter().map(|(_, user)| user.clone()).collect();
            let records = store.users(agent, &users).await?;
            for ((order, user), record) in batch.iter().zip(records) {
                // The others are shown at the hour of their newest entry.
                if sort.newest(&record).is_some_and(|(millis, _)| Hour::of(millis) == hour) {
                    rows.extend(query.row(user, record));
                }
                examined += 1;
                if rows.len() == query.limit || examined == MAX_USERS {
                    return Ok(ActivityPage { rows, next: Some(RowPosition::of(*order, user)) });
                }
            }
        }
    }
    Ok(ActivityPage { rows, next: walk.rest().map(RowPosition::before) })
}
