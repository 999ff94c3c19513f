//! Today's counts of agents.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::counts::Users;
use super::store::ReadActivity;
use crate::activity::Hour;
use crate::aws::StoreError;
use crate::ids::AgentId;
use crate::logging::Summary;
use crate::time::Timestamp;

/// Agents read concurrently.
const PARALLEL: usize = 20;
const HOURS_PER_DAY: i64 = 24;

/// Activity of an agent on the current day, in UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Today {
    /// Counts of the day.
    pub counts: Summary,
    /// Users of the current hour.
    pub users: Users,
    /// Newest hour of the day with an entry.
    pub newest: Option<Hour>,
}

/// Returns the activity of `agents` on the day of `now`, in the same order. Takes one Query per agent.
pub async fn today<S: ReadActivity + Sync>(
    store: &S,
    agents: Vec<AgentId>,
    now: Timestamp,
) -> Result<Vec<(AgentId, Today)>, StoreError> {
    let read = agents.into_iter().map(|agent| async move {
        let today = of_agent(store, &agent, now).await?;
        Ok((agent, today))
    });
    let read: Vec<_> = read.collect();
    stream::iter(read).buffered(PARALLEL).try_collect().await
}

async fn of_agent<S: ReadActivity>(store: &S, agent: &AgentId, now: Timestamp) -> Result<Today, StoreError> {
    let current = Hour::of(now.millis());
    let (_, hour_of_day) = current.in_day();
    let first = current.earlier(hour_of_day.into());
    let page = store.hours(agent, first, first.earlier(1 - HOURS_PER_DAY), None).await?;
    let mut today = Today::default();
    for (hour, record) in &page.hours {
        today.counts.merge(&record.total());
        if *hour == current {
            today.users = Users::of(record);
        }
    }
    // The record of an hour whose users were all erased has no counts.
    today.newest = page.hours.iter().find(|(_, record)| record.users > 0).map(|(hour, _)| *hour);
    Ok(today)
}
