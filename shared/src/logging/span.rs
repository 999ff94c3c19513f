//! Requested time ranges, and the equal intervals used for counts.

use crate::time::Timestamp;

const MICROS_PER_MILLI: i64 = 1_000;
const MILLIS_PER_HOUR: i64 = 3_600_000;
const MILLIS_PER_DAY: i64 = 24 * MILLIS_PER_HOUR;

/// A time range, both ends included, in milliseconds like the times of entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    since: Option<i64>,
    until: Option<i64>,
}

impl Span {
    /// Creates a range from `since`, or from the beginning, to `until`, or to the end.
    pub fn new(since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        let first = |time: Timestamp| -(-time.micros()).div_euclid(MICROS_PER_MILLI);
        Self { since: since.map(first), until: until.map(Timestamp::millis) }
    }

    /// Returns whether the range is all of time.
    pub fn is_all(self) -> bool {
        self == Self::default()
    }

    /// Returns the first instant of the range, if bounded.
    pub fn since(self) -> Option<Timestamp> {
        self.since.and_then(Timestamp::from_millis)
    }

    /// Returns the last millisecond of the range, if bounded.
    pub fn until(self) -> Option<Timestamp> {
        self.until.and_then(Timestamp::from_millis)
    }

    /// Returns the first instant of the range in Unix milliseconds.
    pub fn first(self) -> i64 {
        self.since.unwrap_or(i64::MIN)
    }

    /// Returns the last instant of the range in Unix milliseconds.
    pub fn last(self) -> i64 {
        self.until.unwrap_or(i64::MAX)
    }
}

/// Length of the intervals that time is divided into, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Interval {
    /// Full hours.
    Hour,
    /// Days from midnight to midnight.
    Day,
}

impl Interval {
    /// Returns the start of the interval that contains `millis`. Both are in Unix milliseconds.
    pub(super) fn start(self, millis: i64) -> i64 {
        let length = match self {
            Self::Hour => MILLIS_PER_HOUR,
            Self::Day => MILLIS_PER_DAY,
        };
        millis.div_euclid(length) * length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_has_the_whole_milliseconds_within_its_ends() {
        let span = |since, until| Span::new(Timestamp::from_micros(since), Timestamp::from_micros(until));
        for (micros, first, last) in [(0, 0, 0), (1, 1, 0), (999, 1, 0), (1_000, 1, 1), (-1, 0, -1), (-1_000, -1, -1)] {
            let span = span(micros, micros);
            assert_eq!((span.first(), span.last()), (first, last), "{micros}");
        }
        let bounds = Span::new(Some(Timestamp::MIN), Some(Timestamp::MAX));
        assert_eq!(
            (bounds.since(), bounds.until().map(Timestamp::seconds)),
            (Some(Timestamp::MIN), Some(Timestamp::MAX.seconds()))
        );
    }

    #[test]
    fn intervals_start_at_full_hours_and_midnights_in_utc() {
        let start = |interval: Interval, text| {
            let millis = Timestamp::parse_rfc3339(text).expect("RFC 3339").millis();
            Timestamp::from_millis(interval.start(millis)).expect("in range").to_rfc3339_millis()
        };
        assert_eq!(start(Interval::Hour, "2026-03-29T02:59:59.999+01:00"), "2026-03-29T01:00:00.000Z");
        assert_eq!(start(Interval::Day, "2026-03-29T00:30:00+01:00"), "2026-03-28T00:00:00.000Z");
        assert_eq!(start(Interval::Day, "1969-12-31T23:00:00Z"), "1969-12-31T00:00:00.000Z");
    }
}
