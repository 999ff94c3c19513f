//! Keeping every event, and telling when a user sends too many.
//!
//! [`event`], [`payload`], [`timestamp`], [`key`], [`anomaly`] and [`detection`] are rules over values; [`store`] talks to DynamoDB,
//! and [`ingest`] puts the two together.

pub mod anomaly;
pub mod detection;
pub mod event;
pub mod ingest;
pub mod key;
pub mod payload;
pub mod store;
pub mod timestamp;

pub use anomaly::Anomaly;
pub use event::{Event, ReceivedEvent};
pub use store::{AnomalyTable, EventTable};
