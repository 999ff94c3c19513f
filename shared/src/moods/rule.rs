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
    /// Of a rule for a share.
    Share {
        /// Share of the signal, rounded to thousandths.
        share: f64,
        /// Number of interactions.
        interactions: u64,
        /// Number of users with the signal.
        users: u64,
    },
    /// Of a rule for interactions in a row.
    Run {
        /// Number of the newest interactions that have the signal.
        in_a_row: u64,
    },
}

/// Returns the text of `rule`.
pub fn text(rule: &MoodRule) -> String {
    let (signal, minutes) = (&rule.signal, minutes(rule));
    let window = if minutes == 1 { "one minute".to_owned() } else { format!("{minutes} minutes") };
    match &rule.condition {
        MoodCondition::Share(limits) => {
            let percent = (limits.above * 1_000.0).round() / 10.0;
            format!("{signal} above {percent} % in {window}")
        }
        MoodCondition::Run { length, .. } => format!("{length} times {signal} in a row in {window}"),
    }
}

fn minutes(rule: &MoodRule) -> u64 {
    rule.window.as_secs() / 60
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
        rule: text(rule),
        signal: rule.signal.to_string(),
        minutes: minutes(rule),
        level,
        start: first.map(|((millis, _), ..)| Timestamp::clamped_millis(*millis)),
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

/// Returns whether counts by five minutes allow `rule` to open an alert: `matching` of `total` interactions in the slots that
/// overlap the window, of which `surplus` other interactions may lie before it.
pub fn may_be_raised(limits: &ShareLimits, matching: u64, total: u64, surplus: u64) -> bool {
    let at_least = total.saturating_sub(surplus).max(matching);
    matching > u64::from(limits.users_above)
        && total >= u64::from(limits.min_interactions)
        && matching as f64 > limits.above * at_least as f64
}
