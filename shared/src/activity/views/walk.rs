//! Finds the hours of an agent in which something of interest happened, newest first, with a bound on the work of a
//! request.

use std::vec::IntoIter;

use super::store::ReadActivity;
use crate::activity::{Hour, HourRecord};
use crate::aws::StoreError;
use crate::ids::AgentId;
use crate::time::Timestamp;

/// Maximum number of hours found in one request.
pub const MAX_HOURS: usize = 10;
/// Numbers of records that the Queries of a request read, one after the other. Most requests need only the latest day.
const QUERIES: [usize; 3] = [24, 240, 720];

/// Iterates over the hours of an agent.
#[derive(Debug)]
pub struct HourWalk<'a, S> {
    store: &'a S,
    agent: &'a AgentId,
    oldest: Hour,
    /// Newest hour whose record is not read yet, if there may be one.
    unread: Option<Hour>,
    records: IntoIter<(Hour, HourRecord)>,
    queries: usize,
    found: usize,
}

impl<'a, S: ReadActivity + Sync> HourWalk<'a, S> {
    /// Starts at the hour `newest`, by default at the latest one, and goes back to `oldest`, by default to the first one.
    pub fn new(store: &'a S, agent: &'a AgentId, oldest: Option<Hour>, newest: Option<Hour>) -> Self {
        let oldest = oldest.unwrap_or(Hour::of(0)).max(Hour::of(0));
        let newest = newest.unwrap_or(Hour::of(Timestamp::MAX.millis()));
        let unread = (oldest <= newest).then_some(newest);
        Self { store, agent, oldest, unread, records: Vec::new().into_iter(), queries: 0, found: 0 }
    }

    /// Returns the next hour whose record `is_wanted`. `None` means that there is none, or that the request should do no
    /// more work.
    pub async fn next(&mut self, is_wanted: impl Fn(Hour, &HourRecord) -> bool) -> Result<Option<Hour>, StoreError> {
        while self.found < MAX_HOURS {
            if let Some((hour, record)) = self.records.next() {
                if is_wanted(hour, &record) {
                    self.found += 1;
                    return Ok(Some(hour));
                }
                continue;
            }
            let Some((newest, limit)) = self.unread.zip(QUERIES.get(self.queries)) else { break };
            self.queries += 1;
            let page = self.store.hours(self.agent, self.oldest, newest, Some(*limit)).await?;
            self.unread = page.next.filter(|next| *next >= self.oldest);
            self.records = page.hours.into_iter();
        }
        Ok(None)
    }

    /// Returns the newest hour that was not examined, if there may be one.
    pub fn rest(&self) -> Option<Hour> {
        self.records.as_slice().first().map(|(hour, _)| *hour).or(self.unread)
    }
}
