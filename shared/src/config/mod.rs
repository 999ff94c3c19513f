//! `signals.toml`: keywords, thresholds, window, alerts, limits, retention.
//!
//! The file is compiled in, so that a function starts without reading anything and AWS runs what was deployed.

mod source;
mod suggestion;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::env;
use crate::ids::{Signal, SignalType};
use crate::severity::Severity;
use crate::time::Timestamp;

const COMPILED_IN: &str = include_str!("../../../signals.toml");
const COMPILED_IN_NAME: &str = "signals.toml";

const SECONDS_PER_DAY: i64 = 86_400;

/// The complete, validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Classifier settings.
    pub classifier: ClassifierConfig,
    /// Detection settings.
    pub detection: Detection,
    /// Alert settings.
    pub alerts: Alerts,
    /// Rules for alerts of moods.
    pub moods: Vec<MoodRule>,
    /// Request limits.
    pub limits: Limits,
    /// Retention of events and anomalies.
    pub retention: Retention,
}

/// Settings for classifying an interaction.
#[derive(Clone, Debug)]
pub struct ClassifierConfig {
    /// Method of classification.
    pub mode: ClassifierMode,
    /// Keyword rules, in the order in which they are tried.
    pub rules: Vec<KeywordRule>,
}

/// Method of classification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassifierMode {
    /// Keywords first, then the lexicon if no keyword matches.
    #[default]
    Lexicon,
    /// Keywords and hints only.
    Keywords,
}

/// Keywords of one signal.
#[derive(Clone, Debug)]
pub struct KeywordRule {
    /// Signal of an interaction that contains one of the keywords.
    pub signal: Signal,
    /// Words, phrases, `stems*` or punctuation. None is empty.
    pub keywords: Vec<String>,
    /// Keywords used only without a lexicon, which evaluates them better from the surrounding words.
    pub hints: Vec<String>,
}

/// Settings for detecting anomalies.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Length of the sliding window, in microseconds.
    pub window_micros: i64,
    /// Maximum number of events that one evaluation reads on each side of the evaluated event.
    pub max_items: u32,
    /// Maximum time by which a caller's timestamp may be ahead of the server's clock.
    pub max_future: Duration,
    /// Clock used to evaluate events.
    pub clock: Clock,
    /// Events of a window that are counted.
    pub scope: WindowScope,
    /// Maximum number of events in a window that is not an anomaly.
    pub thresholds: Thresholds,
}

/// Events of a window that are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowScope {
    /// All events of the user, at all agents.
    #[default]
    User,
    /// The events of the user at the agent of the evaluated event.
    UserAndAgent,
}

/// Clock used to evaluate events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The callers' timestamps.
    Event,
    /// The server's time of receipt, for callers with unreliable clocks.
    Received,
}

/// Thresholds by signal type.
#[derive(Clone, Debug)]
pub struct Thresholds {
    default: u32,
    by_type: BTreeMap<SignalType, u32>,
}

impl Thresholds {
    /// Returns the threshold for events of `signal_type`.
    pub fn of(&self, signal_type: &SignalType) -> u32 {
        self.by_type.get(signal_type).copied().unwrap_or(self.default)
    }

    /// Returns the largest threshold of all signal types.
    pub fn largest(&self) -> u32 {
        self.by_type.values().copied().fold(self.default, u32::max)
    }
}

/// Settings for alerts.
#[derive(Clone, Copy, Debug)]
pub struct Alerts {
    /// Time without an anomaly after which an episode ends.
    pub quiet: Duration,
    /// Lowest severity of an episode that causes alerts.
    pub min_severity: Severity,
}

/// Rule for alerts of moods: too many interactions of one signal.
#[derive(Clone, Debug, PartialEq)]
pub struct MoodRule {
    /// Signal that is counted.
    pub signal: Signal,
    /// Time before now whose interactions count.
    pub window: Duration,
    /// Condition that opens an alert.
    pub condition: MoodCondition,
}

impl MoodRule {
    /// Returns the rule in words. Stored states identify a rule by this text: rewording it ends all open alerts.
    pub fn text(&self) -> String {
        let window = minutes_in_words(self.minutes());
        match &self.condition {
            MoodCondition::Share(limits) => {
                let percent = (limits.above * 1_000.0).round() / 10.0;
                format!("{} above {percent} % in {window}", self.signal)
            }
            MoodCondition::Run { length, .. } => format!("{length} times {} in a row in {window}", self.signal),
        }
    }

    /// Returns the length of the window in minutes.
    pub fn minutes(&self) -> u64 {
        self.window.as_secs() / 60
    }
}

/// Returns `minutes` in words.
pub fn minutes_in_words(minutes: u64) -> String {
    if minutes == 1 { "one minute".to_owned() } else { format!("{minutes} minutes") }
}

/// Condition that opens an alert of moods.
#[derive(Clone, Debug, PartialEq)]
pub enum MoodCondition {
    /// Share of the signal among the interactions of all users of an agent.
    Share(ShareLimits),
    /// Interactions in a row of one user with an agent.
    Run {
        /// Number in a row that opens an alert.
        length: u32,
        /// Number in a row from which on the alert is critical, if ever.
        critical_length: Option<u32>,
    },
}

/// Limits of a share. A share lies between 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareLimits {
    /// Share above which an alert opens.
    pub above: f64,
    /// Share above which the alert is critical, if ever.
    pub critical_above: Option<f64>,
    /// Share below which the alert ends.
    pub recover_below: f64,
    /// Number of users with the signal that has to be exceeded.
    pub users_above: u32,
    /// Minimum number of interactions of all signals.
    pub min_interactions: u32,
}

/// Maximum sizes of requests.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Maximum size of a request's body, and of each item of a batch.
    pub max_body_bytes: ByteLimit,
    /// Maximum number of events in a batch.
    pub max_batch_events: usize,
    /// Maximum size of a batch of events.
    pub max_batch_bytes: ByteLimit,
    /// Maximum number of interactions in a batch.
    pub max_log_batch_entries: usize,
    /// Maximum size of a batch of interactions, compressed and decompressed.
    pub max_log_batch_bytes: ByteLimit,
}

/// A size limit and the setting that defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteLimit {
    /// Key in `signals.toml`.
    pub limit_name: &'static str,
    /// Maximum number of bytes.
    pub bytes: usize,
}

/// Retention of items, counted from receipt.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    events_days: u32,
    anomalies_days: u32,
}

impl Retention {
    /// Returns the expiry of an event received at `received_at`, in Unix seconds. `None` keeps the event indefinitely.
    pub fn event_expiry(&self, received_at: Timestamp) -> Option<i64> {
        expiry(self.events_days, received_at)
    }

    /// Returns the expiry of the anomaly of an event received at `received_at`, in Unix seconds. `None` keeps the
    /// anomaly indefinitely.
    pub fn anomaly_expiry(&self, received_at: Timestamp) -> Option<i64> {
        expiry(self.anomalies_days, received_at)
    }
}

/// Returns the Unix second `days` after `time`, or `None` for 0 days.
pub(crate) fn expiry(days: u32, time: Timestamp) -> Option<i64> {
    (days > 0).then(|| time.seconds() + i64::from(days) * SECONDS_PER_DAY)
}

/// An error in a configuration file, with its position.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An invalid value, an unknown key, or text that is not TOML.
    #[error("{file}:{line}: {message}")]
    Invalid {
        /// Name of the file.
        file: String,
        /// Line in the file, from 1.
        line: usize,
        /// Key and description of the error.
        message: String,
    },
    /// The file named by `SIGNALS_CONFIG` cannot be read.
    #[error("cannot read the file {file} named by SIGNALS_CONFIG: {source}")]
    Unreadable {
        /// Name of the file.
        file: String,
        /// Cause of the error.
        source: std::io::Error,
    },
}

impl Config {
    /// Loads the file named by `SIGNALS_CONFIG`, else the one compiled in.
    ///
    /// # Errors
    /// Names file, line and key of the first error.
    pub fn load() -> Result<Self, ConfigError> {
        match env::optional(env::CONFIG) {
            None => Self::compiled_in(),
            Some(file) => {
                let text = std::fs::read_to_string(Path::new(&file))
                    .map_err(|source| ConfigError::Unreadable { file: file.clone(), source })?;
                Self::parse(&file, &text)
            }
        }
    }

    /// Parses the file that is compiled in, whatever `SIGNALS_CONFIG` names.
    ///
    /// # Errors
    /// Names line and key of the first error.
    pub fn compiled_in() -> Result<Self, ConfigError> {
        Self::parse(COMPILED_IN_NAME, COMPILED_IN)
    }

    /// Parses `text`, the content of a file named `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        source::read(file, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> String {
        Config::parse("test.toml", text).expect_err("must be refused").to_string()
    }

    #[test]
    fn compiled_in_file_is_valid_and_matches_the_documentation() {
        let config = Config::parse(COMPILED_IN_NAME, COMPILED_IN).expect("valid");
        let thresholds = &config.detection.thresholds;
        let of = |name: &str| thresholds.of(&SignalType::try_from(name).expect("a signal type"));
        assert_eq!([of("x"), of("stressed"), of("uncertain"), of("positive"), of("neutral")], [10, 8, 12, 15, 20]);
        assert_eq!(config.detection.window_micros, 5_000_000);
        assert_eq!(config.limits.max_body_bytes.bytes, 65_536);
    }

    #[test]
    fn error_names_an_unknown_key_and_its_line() {
        let text = COMPILED_IN.replace("max_items = 100", "max_itmes = 100");
        let line = COMPILED_IN.lines().position(|line| line == "max_items = 100").expect("a line") + 1;
        let error = error_of(&text);
        assert!(error.starts_with(&format!("test.toml:{line}:")) && error.contains("max_itmes"), "{error}");
    }

    #[test]
    fn error_suggests_a_key_for_a_misspelt_one() {
        for (good, bad, message) in [
            ("default = 10", "defualt = 10", "unknown key \"defualt\" in [thresholds], did you mean \"default\"?"),
            ("seconds = 5", "secnds = 5", "unknown key \"secnds\" in [window], did you mean \"seconds\"?"),
            (
                "hints = [\"maybe\"",
                "hint = [\"maybe\"",
                "unknown key \"hint\" in [[classifier.rules]], did you mean \"hints\"?",
            ),
            ("[retention]", "[retension]", "unknown table [retension], did you mean [retention]?"),
            ("clock = \"event\"", "colour = 1", "unknown key \"colour\" in [window]; its keys are seconds, max_items"),
        ] {
            assert!(COMPILED_IN.contains(good), "{good}");
            let text = COMPILED_IN.replacen(good, bad, 1);
            let line = text.lines().position(|line| line.contains(bad)).expect("a line") + 1;
            let error = error_of(&text);
            assert!(error.starts_with(&format!("test.toml:{line}: {message}")), "{error}");
        }
        // Other signal types are valid keys of [thresholds].
        let error = error_of(&COMPILED_IN.replace("default = 10", "tick = 10"));
        assert!(error.ends_with("thresholds.default is missing"), "{error}");
    }

    #[test]
    fn error_names_an_invalid_value_with_key_and_line() {
        for (good, bad, key) in [
            ("stressed = 8", "stressed = -8", "thresholds.stressed"),
            ("default = 10", "default = 0", "thresholds.default"),
            ("default = 10", "", "thresholds.default"),
            ("seconds = 5", "seconds = 0", "window.seconds"),
            ("seconds = 5", "seconds = nan", "window.seconds"),
            ("max_items = 100", "max_items = 30", "window.max_items"),
            ("\"maybe\"", "\"\"", "keywords of uncertain"),
            ("\"maybe\"", "\" *\"", "keywords of uncertain"),
            ("signal = \"stressed\"", "signal = \"a/b\"", "classifier.rules.signal"),
            ("signal = \"stressed\"", "signal = \"unclassified\"", "classifier.rules.signal"),
            ("max_body_bytes = 65_536", "max_body_bytes = 0", "limits.max_body_bytes"),
            ("max_body_bytes = 65_536", "max_body_bytes = 120_001", "limits.max_body_bytes must be 1 to 120000"),
            ("max_batch_events = 500", "max_batch_events = 601", "limits.max_batch_events"),
            ("max_log_batch_entries = 1_000", "max_log_batch_entries = 1_001", "limits.max_log_batch_entries"),
            ("max_log_batch_bytes = 4_194_304", "max_log_batch_bytes = 6_000_001", "limits.max_log_batch_bytes"),
            ("events_days = 90", "events_days = -1", "retention.events_days"),
            ("quiet_seconds = 60", "quiet_seconds = 0", "alerts.quiet_seconds"),
            ("min_severity = \"critical\"", "min_severity = \"grave\"", "grave"),
            ("share_above = 0.3", "share_above = 1.3", "alerts.moods.share_above must be 0 to 0.99, not 1.3"),
            ("share_above = 0.3", "", "alerts.moods needs share_above or in_a_row"),
            ("in_a_row = 3", "in_a_row = 0", "alerts.moods.in_a_row must be 1 to 999, not 0"),
            ("in_a_row = 3", "in_a_row = 3\nshare_above = 0.1", "alerts.moods has both share_above and in_a_row"),
            ("in_a_row = 3", "in_a_row = 3\nusers_above = 1", "alerts.moods.users_above belongs to share_above"),
            ("recover_below = 0.2", "recover_below = 0.4", "alerts.moods.recover_below must be 0 to 0.3"),
            ("critical_above = 0.5", "critical_above = 0.2", "alerts.moods.critical_above must be 0.3 to 0.99"),
            ("critical_in_a_row = 6", "critical_in_a_row = 2", "alerts.moods.critical_in_a_row must be 4 to 1000"),
            (
                "critical_in_a_row = 6",
                "critical_in_a_row = 6\n[[alerts.moods]]\nsignal = \"stressed\"\nminutes = 60\nin_a_row = 3",
                "alerts.moods has two rules for 3 times stressed in a row in 60 minutes",
            ),
            (
                "[[alerts.moods]]\nsignal = \"stressed\"",
                "[[alerts.moods]]\nsignal = \"unclassified\"",
                "alerts.moods.signal",
            ),
            ("minutes = 60", "minutes = 61", "alerts.moods.minutes must be 1 to 60, not 61"),
            ("clock = \"event\"", "clock = \"wall\"", "wall"),
            ("scope = \"user\"", "scope = \"agent\"", "agent"),
        ] {
            assert!(COMPILED_IN.contains(good), "{good}");
            let text = COMPILED_IN.replacen(good, bad, 1);
            let error = error_of(&text);
            assert!(error.contains(key), "{bad}: {error}");
            if let Some(line) = text.lines().position(|line| !bad.is_empty() && line.contains(bad)) {
                assert!(error.starts_with(&format!("test.toml:{}:", line + 1)), "{bad}: {error}");
            }
        }
    }

    #[test]
    fn nothing_expires_when_the_retention_is_0() {
        let text = COMPILED_IN.replace("events_days = 90", "events_days = 0");
        let retention = Config::parse("test.toml", &text).expect("valid").retention;
        let received_at = Timestamp::from_micros(0).expect("in range");
        assert_eq!(retention.event_expiry(received_at), None);
        assert_eq!(retention.anomaly_expiry(received_at), Some(365 * SECONDS_PER_DAY));
    }
}
