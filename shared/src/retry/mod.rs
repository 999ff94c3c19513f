//! Stores and evaluates data from the retry queue, which [`crate::intake`] fills. Retries by callers are recognised in
//! [`crate::integrity`] and [`crate::logging::writer`].

mod message;
mod worker;

pub use message::RetryMessage;
pub use worker::RetryWorker;
