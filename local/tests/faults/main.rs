//! The behaviour of events when stores fail and functions are killed: the real functions with the embedded stores, and
//! a proxy between them that applies a test's fault to each call.

// The tests find the function processes in /proc to kill them.
#![cfg(target_os = "linux")]

mod activity;
mod alerts;
#[path = "../stack/counted.rs"]
mod counted;
mod fairness;
mod faulty;
mod feedback;
mod flood;
mod hanging;
mod killed;
mod logs;
mod moods;
mod proxy;
mod rejected;
mod soak;
mod stores;
mod traffic;
