//! The whole stack and the commands that work on it, started as a user starts them and, for outages, as a library. The
//! functions are the real ones.

mod activity;
mod cargo_lambda;
mod command_line;
mod counted;
mod demo;
mod doctor;
mod erase;
mod export;
mod function_log;
mod import;
mod outage;
// The tests find processes in /proc.
#[cfg(target_os = "linux")]
mod processes;
mod requests;
mod support;
