//! Detection rules, as a configuration for the code under test and as plain numbers for the reference.

use shared::config::Config;
use shared::ids::AgentId;

/// Thresholds and sizes small enough for few events to reach them.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Threshold of the signal types that are not in `thresholds`.
    pub default: u32,
    /// Thresholds by signal type.
    pub thresholds: &'static [(&'static str, u32)],
    /// Maximum number of events of a window that are counted.
    pub max_items: u32,
    /// Whether only events at the same agent count.
    pub by_agent: bool,
}

impl Rules {
    /// Length of the window.
    pub const WINDOW_MICROS: i64 = 5_000_000;

    /// Creates rules with one threshold for all signal types.
    pub const fn uniform(default: u32, max_items: u32) -> Self {
        Self { default, thresholds: &[], max_items, by_agent: false }
    }

    /// Returns the threshold of `signal_type`.
    pub fn threshold(&self, signal_type: &str) -> u32 {
        self.thresholds.iter().find(|(name, _)| *name == signal_type).map_or(self.default, |(_, threshold)| *threshold)
    }

    /// Returns whether an event at `other` counts for one at `agent`.
    pub fn counts(&self, agent: &AgentId, other: &AgentId) -> bool {
        !self.by_agent || agent == other
    }

    /// Returns the rules as a configuration, parsed like any other.
    pub fn config(&self) -> Config {
        let thresholds: String =
            self.thresholds.iter().map(|(name, threshold)| format!("{name} = {threshold}\n")).collect();
        let text = format!(
            "[classifier]\nrules = []\n\
             [thresholds]\ndefault = {}\n{thresholds}\
             [window]\nseconds = {}\nmax_items = {}\nmax_future_seconds = 300\nclock = \"event\"\nscope = \"{}\"\n\
             [alerts]\nquiet_seconds = 60\nmin_severity = \"critical\"\n\
             [limits]\nmax_body_bytes = 65536\nmax_batch_events = 500\nmax_batch_bytes = 1048576\n\
             max_log_batch_entries = 1000\nmax_log_batch_bytes = 4194304\n\
             [retention]\nevents_days = 90\nanomalies_days = 365\n",
            self.default,
            Self::WINDOW_MICROS / 1_000_000,
            self.max_items,
            if self.by_agent { "user_and_agent" } else { "user" },
        );
        Config::parse("interleavings.toml", &text).expect("valid rules")
    }
}
