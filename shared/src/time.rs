//! Instants in UTC with microsecond precision.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize, Serializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An instant as whole microseconds since the Unix epoch, within the years 1 to 9999.
///
/// The range is that of Python's `datetime`, so that every time a caller of the HTTP API may send has a value here. The
/// text form has a constant width, so that its bytewise order is the order in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Returns the current time of the server's clock.
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::clamped(i128::try_from(since_epoch.as_micros()).unwrap_or(i128::MAX))
    }

    /// Returns the instant `micros` microseconds after the Unix epoch, or `None` outside the years 1 to 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Returns the instant `millis` milliseconds after the Unix epoch, or `None` outside the years 1 to 9999.
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1_000).and_then(Self::from_micros)
    }

    /// Returns the instant `millis` milliseconds after the Unix epoch, clamped to [`Self::MIN`] and [`Self::MAX`].
    pub fn clamped_millis(millis: i64) -> Self {
        Self::clamped(i128::from(millis) * 1_000)
    }

    /// Parses an RFC 3339 date and time. Truncates digits beyond microseconds.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(instant.unix_timestamp_nanos().div_euclid(1_000)).ok().and_then(Self::from_micros)
    }

    /// Returns the microseconds since the Unix epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Returns the milliseconds since the Unix epoch, rounded towards the past.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Returns the seconds since the Unix epoch, rounded towards the past.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Returns this instant moved by `micros` microseconds, clamped to [`Self::MIN`] and [`Self::MAX`].
    #[must_use]
    pub fn offset(self, micros: i64) -> Self {
        Self::clamped(i128::from(self.0) + i128::from(micros))
    }

    /// Returns this instant plus `duration`, clamped to [`Self::MAX`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        self.offset(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
    }

    /// Returns the microseconds from `earlier` to this instant. Negative if `earlier` is later.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// Formats the instant as RFC 3339 in UTC with three decimals, as shown in log entries.
    pub fn to_rfc3339_millis(self) -> String {
        let (seconds, micros) = self.split();
        format!("{seconds}.{:03}Z", micros / 1_000)
    }

    fn clamped(micros: i128) -> Self {
        let held = micros.clamp(i128::from(Self::MIN.0), i128::from(Self::MAX.0));
        Self(i64::try_from(held).unwrap_or(Self::MAX.0))
    }

    /// Returns date and time down to the second, and the remaining microseconds.
    fn split(self) -> (String, i64) {
        let instant = OffsetDateTime::from_unix_timestamp(self.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = instant.to_calendar_date();
        let (hour, minute, second) = instant.to_hms();
        let month = u8::from(month);
        (format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"), self.0.rem_euclid(1_000_000))
    }
}

/// Formats the instant as RFC 3339 in UTC with six decimals: constant width, so that text sorts like time.
impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = self.split();
        write!(out, "{seconds}.{micros:06}Z")
    }
}

impl TryFrom<String> for Timestamp {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse_rfc3339(&text).ok_or("expected an RFC 3339 time")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_are_first_and_last_instant_of_years_1_to_9999() {
        assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp::MAX.offset(1), Timestamp::MAX);
        assert_eq!(Timestamp::from_micros(Timestamp::MIN.micros() - 1), None);
    }

    #[test]
    fn instants_before_1970_keep_their_fraction() {
        let instant = Timestamp::from_micros(-1).expect("in range");
        assert_eq!(instant.to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(instant.to_rfc3339_millis(), "1969-12-31T23:59:59.999Z");
        assert_eq!(instant.millis(), -1);
    }

    proptest! {
        #[test]
        fn text_sorts_as_time_does(a in Timestamp::MIN.0..=Timestamp::MAX.0, b in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }

        #[test]
        fn text_reads_back_as_the_same_instant(micros in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let instant = Timestamp(micros);
            prop_assert_eq!(Timestamp::parse_rfc3339(&instant.to_string()), Some(instant));
        }
    }
}
