//! The state of a user: latest entries and counts by day.

use std::collections::BTreeMap;

use super::counts;
use super::hour::Hour;
use crate::ids::Signal;
use crate::logging::{EntryOrder, Summary};

/// Maximum number of days for which the counts of a user are kept.
pub const KEPT_DAYS: i64 = 35;

/// Entries of a user with an agent in one hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserHour {
    /// Counts by signal.
    pub counts: Summary,
    /// Newest entry and its signal.
    pub newest: Option<(EntryOrder, Signal)>,
    /// Newest stressed entry.
    pub newest_stressed: Option<EntryOrder>,
}

impl UserHour {
    /// Adds the entry of `order` with `signal`.
    pub fn add(&mut self, order: EntryOrder, signal: &Signal) {
        self.counts.add(signal.clone(), 1);
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest < order) {
            self.newest = Some((order, signal.clone()));
        }
        if signal.as_str() == Signal::STRESSED {
            self.newest_stressed = self.newest_stressed.max(Some(order));
        }
    }
}

/// State of a user with an agent, as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRecord {
    /// Newest entry and its signal.
    pub newest: Option<(EntryOrder, Signal)>,
    /// Newest stressed entry.
    pub newest_stressed: Option<EntryOrder>,
    /// Counts of the hours with entries, of the last [`KEPT_DAYS`] days at most.
    pub hours: BTreeMap<Hour, Summary>,
    /// Unix second until which the user counts as erased: entries whose objects do not exist are not counted, and
    /// removed if they were.
    pub erased_until: Option<i64>,
}

impl UserRecord {
    /// Replaces the part of the record that comes from `hour`, by `activity`. `first_kept` is the first hour whose counts
    /// are kept.
    pub fn update(&mut self, hour: Hour, activity: &UserHour, first_kept: Hour) {
        self.hours.retain(|hour, _| *hour >= first_kept);
        if !activity.counts.is_empty() {
            if hour >= first_kept {
                self.hours.insert(hour, activity.counts.clone());
            }
        } else if self.erased_until.is_none() {
            self.hours.remove(&hour);
        } else if let Some(counts) = self.hours.get_mut(&hour) {
            // The hours of a mark are needed until the erasure has ended.
            *counts = Summary::default();
        }
        // Entries disappear only from users who were erased.
        let is_of_hour = |order: &EntryOrder| Hour::of(order.0) == hour;
        self.newest.take_if(|(order, _)| is_of_hour(order));
        self.newest_stressed.take_if(|order| is_of_hour(order));
        if let Some((order, signal)) = &activity.newest
            && self.newest.as_ref().is_none_or(|(newest, _)| newest <= order)
        {
            self.newest = Some((*order, signal.clone()));
        }
        self.newest_stressed = self.newest_stressed.max(activity.newest_stressed);
    }

    /// Returns the counts of all hours as a text for each day, such as `14 n3 s1;15 n2`.
    pub fn days(&self) -> BTreeMap<String, String> {
        let mut days: BTreeMap<String, String> = BTreeMap::new();
        for (hour, counts) in &self.hours {
            let (day, number) = hour.in_day();
            let text = days.entry(day).or_default();
            let separator = if text.is_empty() { "" } else { ";" };
            text.push_str(&format!("{separator}{number:02} {}", counts::to_text(counts)));
        }
        days
    }

    /// Parses the counts of `day` as returned by [`Self::days`]. Returns `None` for any other text.
    pub fn parse_day(day: &str, text: &str) -> Option<Vec<(Hour, Summary)>> {
        let hours = text.split(';').map(|part| {
            let (number, counts) = part.split_once(' ')?;
            Some((Hour::parse(&format!("{day}T{number}"))?, counts::parse(counts)?))
        });
        hours.collect()
    }
}
