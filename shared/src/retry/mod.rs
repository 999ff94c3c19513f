//! Stores and evaluates data from the retry queue, which [`crate::intake`] fills.

mod message;
mod worker;

pub use message::RetryMessage;
pub use worker::RetryWorker;
