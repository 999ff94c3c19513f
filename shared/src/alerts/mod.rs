//! Groups anomalies into episodes and alerts a webhook of them.
//!
//! [`episode`] holds the rule that groups anomalies; [`listing`] applies the rule when episodes are read.
//!
//! [`state`] decides which alerts to send, and [`service`] sends them through the [`outbox`], whose states are in the
//! [`table`] `episodes`. [`webhook`] defines the text of an alert.

pub mod episode;
pub mod listing;
pub mod outbox;
pub mod service;
pub mod state;
pub mod table;
pub mod webhook;

pub use episode::{Episode, EpisodeSummary};
pub use service::AlertService;
pub use state::AlertState;
pub use table::EpisodeTable;
