//! The local cloud: runs the AWS services that the suite needs on one machine.
//!
//! [`stack`] assembles it: embedded stores ([`services`]) with the tables, buckets and queues of `template.yaml`
//! ([`template`]), the functions under `cargo lambda watch` ([`functions`]), and one origin for dashboard and API
//! ([`front`]). The subcommands are [`up`], [`exec`], [`keys`], [`demo`], [`alert`], [`redrive`], [`erase`], [`link`]
//! and, for internal use, [`host`].

pub mod alert;
pub mod credentials;
pub mod demo;
pub mod erase;
pub mod exec;
pub mod front;
pub mod functions;
pub mod host;
pub mod invoke;
pub mod keys;
pub mod link;
pub mod place;
pub mod ports;
pub mod queues;
mod ready;
pub mod redrive;
pub mod reload;
pub mod services;
pub mod signals;
pub mod stack;
pub mod state;
pub mod streams;
pub mod template;
mod toolchain;
pub mod up;
