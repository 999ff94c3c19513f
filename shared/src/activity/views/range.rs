//! Time ranges and intervals of counts over all users.

use crate::activity::Hour;
use crate::activity::hour::Slot;
use crate::activity::user::KEPT_DAYS;
use crate::time::Timestamp;
use crate::validation::Violation;

const MILLIS_PER_DAY: i64 = 24 * 60 * 60 * 1_000;
/// Range if the caller gives no beginning.
const DEFAULT_MILLIS: i64 = MILLIS_PER_DAY;
/// Maximum number of days of a range that is counted by five minutes.
const MAX_DAYS_BY_SLOT: i64 = 2;
/// Maximum number of days of any other range.
const MAX_DAYS: i64 = KEPT_DAYS;

/// Interval by which the counts of an agent are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum ActivityInterval {
    /// Five minutes.
    #[strum(serialize = "5m")]
    FiveMinutes,
    /// Full hours in UTC.
    Hour,
    /// Days in UTC.
    Day,
}

impl ActivityInterval {
    /// Returns the start of the interval that contains `millis`. Both are in Unix milliseconds.
    pub fn start(self, millis: i64) -> i64 {
        let length = match self {
            Self::FiveMinutes => Slot::MILLIS,
            Self::Hour => return Hour::of(millis).start(),
            Self::Day => MILLIS_PER_DAY,
        };
        millis.div_euclid(length) * length
    }
}

/// A time range in whole five minutes, without its end, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    first: i64,
    end: i64,
}

impl SlotRange {
    /// Creates the range from `since`, by default 24 hours before its end, to `until`, by default `now`: the beginning is
    /// rounded down and the end up to five minutes.
    pub fn new(since: Option<Timestamp>, until: Option<Timestamp>, now: Timestamp) -> Self {
        let until = until.unwrap_or(now).micros();
        let end = -(-until).div_euclid(Slot::MILLIS * 1_000) * Slot::MILLIS;
        let first = since.map_or(end - DEFAULT_MILLIS, Timestamp::millis);
        Self { first: ActivityInterval::FiveMinutes.start(first), end }
    }

    /// Checks the length of a range whose counts are split by `interval`.
    ///
    /// # Errors
    /// The range is longer than allowed.
    pub fn check(&self, interval: Option<ActivityInterval>) -> Result<(), Violation> {
        let (max_days, hint) = match interval {
            Some(ActivityInterval::FiveMinutes) => (MAX_DAYS_BY_SLOT, " with interval=5m"),
            _ => (MAX_DAYS, ""),
        };
        if self.end - self.first <= max_days * MILLIS_PER_DAY {
            return Ok(());
        }
        let rule =
            format!("the time from since to until must be at most {max_days} days{hint}: request several ranges");
        Err(Violation::value_error(rule))
    }

    /// Returns the first instant of the range.
    pub fn since(&self) -> Timestamp {
        Timestamp::clamped_millis(self.first)
    }

    /// Returns the first instant after the range.
    pub fn until(&self) -> Timestamp {
        Timestamp::clamped_millis(self.end)
    }

    /// Returns whether the range contains the five minutes that start at `millis`.
    pub fn contains(&self, millis: i64) -> bool {
        (self.first..self.end).contains(&millis)
    }

    /// Returns the first and the last hour that the range has a part of. The last hour of an empty range can be before
    /// the first.
    pub fn hours(&self) -> (Hour, Hour) {
        (Hour::of(self.first), Hour::of(self.end - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    #[test]
    fn range_is_rounded_to_whole_five_minutes() {
        let now = time("2026-11-28T14:32:10.5Z");
        for (since, until, expected) in [
            (None, None, ("2026-11-27T14:35:00.000Z", "2026-11-28T14:35:00.000Z")),
            (None, Some("2026-11-28T14:00:00Z"), ("2026-11-27T14:00:00.000Z", "2026-11-28T14:00:00.000Z")),
            (Some("2026-11-28T14:04:59.999Z"), None, ("2026-11-28T14:00:00.000Z", "2026-11-28T14:35:00.000Z")),
            (
                Some("2026-11-28T14:05:00Z"),
                Some("2026-11-28T14:05:00.000001Z"),
                ("2026-11-28T14:05:00.000Z", "2026-11-28T14:10:00.000Z"),
            ),
        ] {
            let range = SlotRange::new(since.map(time), until.map(time), now);
            let found = (range.since().to_rfc3339_millis(), range.until().to_rfc3339_millis());
            assert_eq!((found.0.as_str(), found.1.as_str()), expected, "{since:?} {until:?}");
        }
    }

    #[test]
    fn range_may_be_any_time_up_to_its_limit() {
        let until = time("2026-11-28T00:00:00Z");
        let check = |days: i64, interval| {
            let since = until.offset(-days * MILLIS_PER_DAY * 1_000);
            SlotRange::new(Some(since), Some(until), until).check(interval).map_err(|violation| violation.to_string())
        };
        let by_slot = Some(ActivityInterval::FiveMinutes);
        for (days, interval) in [(35, None), (35, Some(ActivityInterval::Hour)), (2, by_slot), (-1, by_slot)] {
            assert_eq!(check(days, interval), Ok(()), "{days}");
        }
        for (days, interval, limit) in
            [(36, Some(ActivityInterval::Day), "35 days:"), (3, by_slot, "2 days with interval=5m:")]
        {
            assert!(check(days, interval).is_err_and(|error| error.contains(limit)), "{days}");
        }
    }

    #[test]
    fn range_has_the_hours_of_all_its_five_minutes() {
        let hours = |since, until| SlotRange::new(Some(time(since)), Some(time(until)), Timestamp::now()).hours();
        let hour = |text: &str| Hour::parse(text).expect("an hour");
        assert_eq!(
            hours("2026-11-28T13:55:00Z", "2026-11-28T15:00:00Z"),
            (hour("2026-11-28T13"), hour("2026-11-28T14"))
        );
        let (first, last) = hours("2026-11-28T14:00:00Z", "2026-11-28T14:00:00Z");
        assert!(first > last);
        for (since, until) in
            [("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"), ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z")]
        {
            let range = SlotRange::new(Some(time(since)), Some(time(until)), Timestamp::now());
            assert!(range.hours().0 <= Hour::of(Timestamp::MAX.millis()), "{range:?}");
        }
    }
}
