//! Keeping every event, and telling when a user sends too many.
//!
//! [`event`], [`payload`], [`key`], [`anomaly`], [`detection`], [`episode`] and [`watch`] are
//! rules over values; [`store`] talks to DynamoDB, and [`ingest`] and [`alerting`] put the two together.

pub mod alerting;
pub mod anomaly;
pub mod detection;
pub mod episode;
pub mod event;
pub mod ingest;
pub mod key;
pub mod payload;
pub mod store;
pub mod watch;

pub use anomaly::Anomaly;
pub use event::{Event, ReceivedEvent};
pub use store::{AnomalyTable, EpisodeTable, EventTable};
