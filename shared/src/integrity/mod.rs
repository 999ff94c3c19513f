//! Stores every event and detects users who send too many.
//!
//! [`event`], [`payload`], [`key`], [`anomaly`] and [`detection`] are rules over values; [`store`] talks to DynamoDB;
//! [`pipeline`] combines the two; [`stream`] reads the changes of the tables.
//!
//! A caller's retry is recognised in four steps: [`event::Dedup`] says which part of the event identifies it, [`store`] puts
//! the event under that identity unless there is one, the existing event is compared with the new one, and [`pipeline`]
//! reports a duplicate or a conflict.

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
