//! Stores every event and detects users who send too many.
//!
//! [`event`], [`payload`], [`key`], [`anomaly`] and [`detection`] are rules over values; [`store`] talks to DynamoDB;
//! [`pipeline`] combines the two; [`stream`] reads the changes of the tables.

pub mod anomaly;
pub mod detection;
pub mod event;
pub mod key;
pub mod payload;
pub mod pipeline;
pub mod store;
pub mod stream;

pub use anomaly::Anomaly;
pub use event::{Event, ReceivedEvent};
pub use store::{AnomalyTable, EventTable};
