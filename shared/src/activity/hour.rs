//! Counts of an agent in one hour, over all users.

use std::collections::BTreeMap;
use std::fmt;

use super::chunk::Chunk;
use super::user::UserHour;
use crate::ids::UserId;
use crate::logging::Summary;
use crate::time::Timestamp;

const MILLIS: i64 = 60 * 60 * 1_000;

/// A UTC hour. Its text is the beginning of RFC 3339, such as `2026-11-28T14`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// Returns the hour that contains `millis`, in Unix milliseconds.
    pub fn of(millis: i64) -> Self {
        Self(millis.div_euclid(MILLIS))
    }

    /// Returns the first instant of the hour in Unix milliseconds.
    pub fn start(self) -> i64 {
        self.0.saturating_mul(MILLIS)
    }

    /// Returns the first instant after the hour in Unix milliseconds.
    pub fn end(self) -> i64 {
        self.start().saturating_add(MILLIS)
    }

    /// Returns the hour `count` hours earlier.
    pub fn earlier(self, count: i64) -> Self {
        Self(self.0.saturating_sub(count))
    }

    /// Returns the same hour `count` days earlier.
    pub fn days_earlier(self, count: i64) -> Self {
        self.earlier(24 * count)
    }

    /// Parses an hour as displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let hour = Self::of(Timestamp::parse_rfc3339(&format!("{text}:00:00Z"))?.millis());
        (hour.to_string() == text).then_some(hour)
    }

    /// Splits the hour into its day, such as `2026-11-28`, and its number within the day.
    pub fn in_day(self) -> (String, u8) {
        let mut day = self.to_string();
        day.truncate("2026-11-28".len());
        // Below 24.
        (day, self.0.rem_euclid(24) as u8)
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Timestamp::clamped_millis(self.start()).to_rfc3339_millis();
        out.write_str(text.split(':').next().unwrap_or(&text))
    }
}

/// Five minutes of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// Length of a slot in milliseconds.
    pub const MILLIS: i64 = 5 * 60 * 1_000;

    /// Returns the slot of the hour that contains `millis`, in Unix milliseconds.
    pub fn of(millis: i64) -> Self {
        // Below 12.
        Self((millis.rem_euclid(MILLIS) / Self::MILLIS) as u8)
    }

    /// Returns the first instant of this slot of `hour` in Unix milliseconds.
    pub fn start(self, hour: Hour) -> i64 {
        hour.start().saturating_add(i64::from(self.0) * Self::MILLIS)
    }

    /// Parses a slot as displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let minute: u8 = text.parse().ok()?;
        let slot = Self(minute / 5);
        (minute < 60 && slot.to_string() == text).then_some(slot)
    }
}

/// The slot's first minute, as two digits.
impl fmt::Display for Slot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:02}", self.0 * 5)
    }
}

/// Counts of an agent in one hour, as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HourRecord {
    /// Counts by five minutes. Empty slots are left out.
    pub slots: BTreeMap<Slot, Summary>,
    /// Number of users with an entry in the hour.
    pub users: u64,
    /// Number of users with a stressed entry in the hour.
    pub stressed_users: u64,
}

impl HourRecord {
    /// Returns the counts of the whole hour.
    pub fn total(&self) -> Summary {
        let mut total = Summary::default();
        self.slots.values().for_each(|counts| total.merge(counts));
        total
    }
}

/// All that the set of entries of an hour says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HourActivity {
    /// Counts over all users.
    pub record: HourRecord,
    /// Users with an entry in the hour.
    pub users: BTreeMap<UserId, UserHour>,
}

impl HourActivity {
    /// Evaluates all `chunks` of an hour.
    pub fn of(chunks: &[Chunk]) -> Self {
        let mut activity = Self::default();
        for chunk in chunks {
            for (order, signal) in chunk.entries() {
                activity.record.slots.entry(chunk.key.slot).or_default().add(signal.clone(), 1);
                activity.users.entry(chunk.key.user_id.clone()).or_default().add(order, signal);
            }
        }
        activity.record.users = activity.users.len() as u64;
        let stressed = activity.users.values().filter(|user| user.newest_stressed.is_some());
        activity.record.stressed_users = stressed.count() as u64;
        activity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hours_read_as_the_beginning_of_their_times() {
        let time = Timestamp::parse_rfc3339("2026-11-28T14:59:59.999Z").expect("a time").millis();
        let hour = Hour::of(time);
        assert_eq!(hour.to_string(), "2026-11-28T14");
        assert_eq!(hour.in_day(), ("2026-11-28".to_owned(), 14));
        assert_eq!(Slot::of(time).to_string(), "55");
        assert_eq!(Hour::parse("2026-11-28T14"), Some(hour));
        for text in ["", "2026-11-28", "2026-11-28T24", "2026-11-28T1", "2026-11-28T14:00"] {
            assert_eq!(Hour::parse(text), None, "{text}");
        }
        for text in ["", "5", "60", "07", "-5", "005"] {
            assert_eq!(Slot::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn hours_and_slots_contain_their_times_and_read_back(millis in 0..9_999_999_999_999_i64) {
            let (hour, slot) = (Hour::of(millis), Slot::of(millis));
            let offset = millis - slot.start(hour);
            prop_assert!((0..Slot::MILLIS).contains(&offset));
            prop_assert_eq!(Hour::of(slot.start(hour)), hour);
            prop_assert_eq!(Hour::parse(&hour.to_string()), Some(hour));
            prop_assert_eq!(Slot::parse(&slot.to_string()), Some(slot));
        }
    }
}
