//! Counts of an agent over all users.

use std::collections::BTreeMap;

use super::range::{ActivityInterval, SlotRange};
use super::store::ReadActivity;
use crate::activity::{Hour, HourRecord};
use crate::aws::StoreError;
use crate::ids::AgentId;
use crate::logging::Summary;
use crate::time::Timestamp;

/// Counts of a time range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentCounts {
    /// Counts of the whole range.
    pub total: Summary,
    /// Counts of the intervals with entries, oldest first. Empty without an interval.
    pub buckets: Vec<Bucket>,
}

/// Counts of an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Start of the interval.
    pub start: Timestamp,
    /// Counts of the part of the interval within the range.
    pub counts: Summary,
    /// Users of a whole hour. `None` for other intervals, whose users cannot be added up.
    pub users: Option<Users>,
}

/// Numbers of users of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Users with an entry.
    pub all: u64,
    /// Users with a stressed entry.
    pub stressed: u64,
}

impl Users {
    /// Returns the numbers in `record`.
    pub fn of(record: &HourRecord) -> Self {
        Self { all: record.users, stressed: record.stressed_users }
    }
}

impl AgentCounts {
    /// Adds up the parts of `hours` that are in `range`.
    pub fn of(hours: &[(Hour, HourRecord)], range: SlotRange, interval: Option<ActivityInterval>) -> Self {
        let mut total = Summary::default();
        let mut buckets: BTreeMap<i64, (Summary, Option<Users>)> = BTreeMap::new();
        for (hour, record) in hours {
            for (slot, counts) in &record.slots {
                let start = slot.start(*hour);
                if !range.contains(start) {
                    continue;
                }
                total.merge(counts);
                let Some(interval) = interval else { continue };
                let (sum, users) = buckets.entry(interval.start(start)).or_default();
                sum.merge(counts);
                *users = (interval == ActivityInterval::Hour).then(|| Users::of(record));
            }
        }
        let bucket = |(start, (counts, users))| Some(Bucket { start: Timestamp::from_millis(start)?, counts, users });
        Self { total, buckets: buckets.into_iter().filter_map(bucket).collect() }
    }
}

/// Returns the counts of `agent` in `range`. Takes one Query.
pub async fn count<S: ReadActivity>(
    store: &S,
    agent: &AgentId,
    range: SlotRange,
    interval: Option<ActivityInterval>,
) -> Result<AgentCounts, StoreError> {
    let (oldest, newest) = range.hours();
    let page = store.hours(agent, oldest, newest, None).await?;
    Ok(AgentCounts::of(&page.hours, range, interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::hour::Slot;
    use crate::ids::Signal;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    /// Returns the record of an hour with one neutral entry in each of `minutes`.
    fn record(hour: &str, minutes: &[&str], users: u64) -> (Hour, HourRecord) {
        let counts: Summary = [(Signal::neutral(), 1)].into_iter().collect();
        let slots = minutes.iter().map(|minute| (Slot::parse(minute).expect("a slot"), counts.clone())).collect();
        (Hour::parse(hour).expect("an hour"), HourRecord { slots, users, stressed_users: 1 })
    }

    #[test]
    fn hours_are_cut_at_the_ends_and_keep_their_users() {
        let hours = [record("2026-01-01T01", &["00", "05", "55"], 2), record("2026-01-01T00", &["00", "55"], 3)];
        let range = SlotRange::new(
            Some(time("2026-01-01T00:50:00Z")),
            Some(time("2026-01-01T01:10:00Z")),
            time("2026-01-02T00:00:00Z"),
        );
        let counts = |interval| {
            let counts = AgentCounts::of(&hours, range, interval);
            assert_eq!(counts.total.total(), 3, "{interval:?}");
            let bucket = |bucket: &Bucket| {
                let start = bucket.start.to_rfc3339_millis()[11..16].to_owned();
                (start, bucket.counts.total(), bucket.users.map(|users| (users.all, users.stressed)))
            };
            counts.buckets.iter().map(bucket).collect::<Vec<_>>()
        };
        let bucket = |start: &str, count, users| (start.to_owned(), count, users);
        assert_eq!(counts(None), []);
        assert_eq!(
            counts(Some(ActivityInterval::Hour)),
            [bucket("00:00", 1, Some((3, 1))), bucket("01:00", 2, Some((2, 1)))]
        );
        assert_eq!(counts(Some(ActivityInterval::Day)), [bucket("00:00", 3, None)]);
        let by_slot = [bucket("00:55", 1, None), bucket("01:00", 1, None), bucket("01:05", 1, None)];
        assert_eq!(counts(Some(ActivityInterval::FiveMinutes)), by_slot);
    }
}
