//! Alerts of moods: many stressed interactions of an agent's users, or several in a row of one user.
//!
//! The module `rule` decides how a rule sees the interactions of the last minutes, and `state` which alerts to send: when an
//! alert opens, becomes critical, and ends. [`monitor`] reads the interactions from [`crate::activity`] after each batch, and
//! sends the alerts through [`crate::alerts::outbox`]. The module `message` defines the text of an alert.
//!
//! # Recovery without further interactions
//!
//! While an alert is open, the queue has one delayed [`check`] of its subject, which is sent before the state that refers to
//! the check is stored. Each check evaluates the rules again and requests the next one if the alert is still open. So there
//! is no check unless an alert is open. If a check is lost, the next interaction with the signal requests another.

pub mod check;
mod message;
pub mod monitor;
mod rule;
mod state;

pub use check::{KEY_PREFIX, MoodCheck, Subject};
pub use monitor::MoodMonitor;

#[cfg(test)]
mod tests;
