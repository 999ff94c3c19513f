//! Evaluation of a rule over the interactions of its window.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::activity::Chunk;
use crate::config::{MoodCondition, MoodRule, ShareLimits};
use crate::logging::EntryOrder;
use crate::severity::Severity;
use crate::time::Timestamp;

/// Outcome of a rule at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// Text of the rule, which identifies the rule in stored states.
    pub rule: String,
    /// The rule's signal.
    pub signal: String,
    /// Length of the window in minutes.
    pub minutes: u64,
    /// Meaning for the alert of this rule.
    pub level: Level,
    /// Time of the first counted interaction with the signal.
    pub start: Option<Timestamp>,
    /// Time of the newest interaction that ends every run before it. Only rules for interactions in a row have one.
    pub interrupted: Option<Timestamp>,
    /// Numbers that an alert reports.
    pub facts: Facts,
}

/// Meaning of an assessment for the alert of its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The alert ends.
    Calm,
    /// An open alert stays open, and none opens.
    Between,
    /// The alert opens, or becomes more severe.
    Raised(Severity),
}

/// Numbers of an assessment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Facts {
    /// Numbers of a rule for a share.
    Share {
        /// Share of the signal, rounded to thousandths.
        share: f64,
        /// Number of interactions.
        interactions: u64,
        /// Number of users with the signal.
        users: u64,
    },
    /// Number of a rule for interactions in a row.
    Run {
        /// Number of the newest interactions that have the signal.
        in_a_row: u64,
    },
}

/// Returns the first instant of the window of `rule` at `now`, in Unix milliseconds.
pub fn window_start(rule: &MoodRule, now: Timestamp) -> i64 {
    let window = i64::try_from(rule.window.as_millis()).unwrap_or(i64::MAX);
    now.millis().saturating_sub(window)
}

/// Evaluates `rule` at `now`. `chunks` has all interactions of the window, and may have more.
pub fn assess(rule: &MoodRule, chunks: &[Chunk], now: Timestamp) -> Assessment {
    let start = window_start(rule, now);
    let mut entries: Vec<(EntryOrder, bool, &Chunk)> = Vec::new();
    for chunk in chunks {
        let within = chunk.entries().filter(|((millis, _), _)| *millis >= start);
        entries.extend(within.map(|(order, signal)| (order, *signal == rule.signal, chunk)));
    }
    entries.sort_unstable_by_key(|(order, ..)| *order);
    let time = |((millis, _), ..): &(EntryOrder, bool, &Chunk)| Timestamp::clamped_millis(*millis);
    let mut interrupted = None;
    let (level, facts, first) = match &rule.condition {
        MoodCondition::Share(limits) => {
            let matching = || entries.iter().filter(|(_, matches, _)| *matches);
            let users: BTreeSet<_> = matching().map(|(.., chunk)| &chunk.key.user_id).collect();
            let (interactions, users) = (entries.len() as u64, users.len() as u64);
            let (level, share) = share_level(limits, matching().count() as u64, interactions, users);
            let share = (share * 1_000.0).round() / 1_000.0;
            (level, Facts::Share { share, interactions, users }, matching().next())
        }
        MoodCondition::Run { length, critical_length } => {
            let run = entries.iter().rev().take_while(|(_, matches, _)| *matches);
            let in_a_row = run.clone().count() as u64;
            interrupted = entries.iter().rev().find(|(_, matches, _)| !matches).map(time);
            let level = match in_a_row {
                0 => Level::Calm,
                run if run < u64::from(*length) => Level::Between,
                run => {
                    let is_critical = critical_length.is_some_and(|critical| run >= critical.into());
                    Level::Raised(if is_critical { Severity::Critical } else { Severity::Warning })
                }
            };
            (level, Facts::Run { in_a_row }, run.last())
        }
    };
    Assessment {
        rule: rule.text(),
        signal: rule.signal.to_string(),
        minutes: rule.minutes(),
        level,
        start: first.map(time),
        interrupted,
        facts,
    }
}

/// Returns the level of `matching` of `total` interactions, from `users` users, and the share.
fn share_level(limits: &ShareLimits, matching: u64, total: u64, users: u64) -> (Level, f64) {
    if total == 0 {
        return (Level::Calm, 0.0);
    }
    let share = matching as f64 / total as f64;
    let is_enough = total >= u64::from(limits.min_interactions) && users > u64::from(limits.users_above);
    let level = if is_enough && share > limits.above {
        let is_critical = limits.critical_above.is_some_and(|critical| share > critical);
        Level::Raised(if is_critical { Severity::Critical } else { Severity::Warning })
    } else if share < limits.recover_below || matching == 0 {
        Level::Calm
    } else {
        Level::Between
    };
    (level, share)
}

/// Counts by five minutes that are known without reading the interactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Number of interactions with the signal in the slots that overlap the window.
    pub matching: u64,
    /// Number of all interactions in these slots.
    pub total: u64,
    /// Number of interactions without the signal that may lie before the window.
    pub surplus: u64,
    /// Number of users with the signal, or more.
    pub users: u64,
}

/// Returns the share that has to be exceeded to change an alert that is open with the severity `open`, or to open one.
/// Returns `None` if the alert cannot become more severe.
pub fn next_share(limits: &ShareLimits, open: Option<Severity>) -> Option<f64> {
    match open {
        None => Some(limits.above),
        Some(Severity::Warning) => limits.critical_above,
        Some(Severity::Critical) => None,
    }
}

/// Returns whether interactions within `bounds` can have a share above `share`.
pub fn can_exceed(limits: &ShareLimits, share: f64, bounds: Bounds) -> bool {
    let Bounds { matching, total, surplus, users } = bounds;
    let at_least = total.saturating_sub(surplus).max(matching);
    users > u64::from(limits.users_above)
        && total >= u64::from(limits.min_interactions)
        && matching as f64 > share * at_least as f64
}
