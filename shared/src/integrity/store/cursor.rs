//! Where a page of events or anomalies ended.

use std::fmt;

use super::super::key::EventKey;
use crate::time::Timestamp;

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// A place among a user's items, newest first: behind `passed` items that come after a known place.
///
/// The known place is an item that the reader was shown, or the end of an hour. A reader who may not see every agent gets
/// to know by it how many items of others were passed over, and in what hour, but nothing else of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    place: Place,
    passed: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Behind the item under this key.
    Shown(EventKey),
    /// Behind everything later than this.
    Until(Timestamp),
}

impl Cursor {
    /// Before everything that is not later than `until`.
    pub(super) fn before(until: Timestamp) -> Self {
        Self { place: Place::Until(until), passed: 0 }
    }

    /// Behind the item under `key`, which the reader was shown.
    pub(super) fn behind(key: EventKey) -> Self {
        Self { place: Place::Shown(key), passed: 0 }
    }

    /// Reads a cursor as [`Cursor`] is displayed, or `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (passed, place) = text.split_once('~')?;
        let place = match EventKey::from_cursor(place) {
            Some(key) => Place::Shown(key),
            None => Place::Until(Timestamp::parse_rfc3339(place)?),
        };
        Some(Self { place, passed: passed.parse().ok()? })
    }

    /// The latest time that an item behind it can have.
    pub(super) fn time(&self) -> Timestamp {
        match &self.place {
            Place::Shown(key) => key.time,
            Place::Until(time) => *time,
        }
    }

    /// The item behind which to begin.
    pub(super) fn shown(&self) -> Option<&EventKey> {
        match &self.place {
            Place::Shown(key) => Some(key),
            Place::Until(_) => None,
        }
    }

    /// How many items behind that place, or behind the latest time, are passed over already.
    pub(super) fn passed(&self) -> usize {
        self.passed
    }

    /// Goes on behind the item under `key`, which the reader is shown.
    pub(super) fn show(&mut self, key: EventKey) {
        *self = Self::behind(key);
    }

    /// Whether an item of `time`, behind the known place, is counted from there.
    pub(super) fn is_near(&self, time: Timestamp) -> bool {
        hour(self.time()) == hour(time)
    }

    /// Goes on behind the next item, of `time`, which the reader is not shown.
    pub(super) fn pass(&mut self, time: Timestamp) {
        if self.is_near(time) {
            self.passed += 1;
        } else {
            let end = Timestamp::from_micros((hour(time) + 1) * MICROS_PER_HOUR - 1).unwrap_or(Timestamp::MAX);
            *self = Self { place: Place::Until(end), passed: 1 };
        }
    }
}

fn hour(time: Timestamp) -> i64 {
    time.micros().div_euclid(MICROS_PER_HOUR)
}

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Shown(key) => write!(out, "{}~{}", self.passed, key.to_cursor()),
            Place::Until(time) => write!(out, "{}~{time}", self.passed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AgentId, EventId};

    fn key(time: &str) -> EventKey {
        EventKey {
            time: Timestamp::parse_rfc3339(time).expect("RFC 3339"),
            agent_id: AgentId::try_from("a ~ b").expect("an agent"),
            event_id: EventId::try_from("1~2").expect("an event"),
        }
    }

    #[test]
    fn a_cursor_reads_back_and_what_is_none_is_refused() {
        let mut cursor = Cursor::before(Timestamp::MAX);
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor.clone()));
        cursor.show(key("2026-01-01T10:59:00Z"));
        cursor.pass(key("2026-01-01T10:58:00Z").time);
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for text in
            ["", "~", "1~", "-1~2026-01-01T00:00:00Z", "x~2026-01-01T00:00:00Z", "0~2026-01-01T00:00:00Z#a#b#c#/"]
        {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn of_an_item_that_is_not_shown_it_tells_no_more_than_the_hour() {
        let mut cursor = Cursor::before(Timestamp::MAX);
        cursor.pass(key("2026-01-01T10:58:17.123456Z").time);
        assert_eq!(cursor.to_string(), "1~2026-01-01T10:59:59.999999Z");
    }
}
