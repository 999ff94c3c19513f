//! Stores every event and detects users who send too many.
//!
//! [`event`], [`payload`], [`key`], [`anomaly`], [`detection`], [`episode`] and [`watch`] are rules over values;
//! [`store`] talks to DynamoDB; [`pipeline`] and [`alerting`] combine the two.

pub mod alerting;
pub mod anomaly;
pub mod detection;
pub mod episode;
pub mod event;
pub mod key;
pub mod payload;
pub mod pipeline;
pub mod store;
pub mod watch;

pub use anomaly::Anomaly;
pub use event::{Event, ReceivedEvent};
pub use store::{AnomalyTable, EpisodeTable, EventTable};
