//! Groups anomalies into episodes and alerts a webhook of them.
//!
//! [`episode`] holds the rule that groups anomalies; [`listing`] applies the rule when episodes are read.
//!
//! Alerts follow the transactional outbox pattern. [`state`] decides which alerts to send. [`service`] persists each
//! alert together with the state change that caused it, in one conditional write to [`table`], then enqueues the alert,
//! then removes it from the state. [`webhook`] defines the text of an alert.

pub mod episode;
pub mod listing;
pub mod service;
pub mod state;
pub mod table;
pub mod webhook;

pub use episode::{Episode, EpisodeSummary};
pub use service::AlertService;
pub use state::AlertState;
pub use table::EpisodeTable;
