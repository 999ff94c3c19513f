//! The laptop's cloud: what AWS does for the suite, on one machine.
//!
//! [`stack`] puts it together: embedded stores ([`services`]) with the tables, buckets and queues of `template.yaml`
//! ([`template`]), the functions under `cargo lambda watch` ([`watch`]), and one origin for dashboard and API
//! ([`front`]). The subcommands are [`up`], [`exec`] and [`keys`].

pub mod credentials;
pub mod exec;
pub mod front;
pub mod guard;
pub mod keys;
pub mod ports;
mod ready;
pub mod services;
pub mod signals;
pub mod stack;
pub mod state;
pub mod template;
mod toolchain;
pub mod up;
pub mod watch;
