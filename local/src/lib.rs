//! The local stack: runs the AWS services that the suite needs on one machine.
//!
//! [`stack`] assembles it: embedded stores ([`services`]) with the tables, buckets and queues of `template.yaml`
//! ([`template`]), the functions under `cargo lambda watch` ([`functions`]), and one origin for dashboard and API
//! ([`gateway`]). The subcommands are [`up`], [`exec`], `link` and, for internal use, [`supervisor`]. The operator's
//! commands are in the crate [`cli`], which also defines the stack's [data folder](cli::data_folder).

pub mod credentials;
mod developer_files;
pub mod exec;
pub mod functions;
pub mod gateway;
pub mod invoke;
mod notifications;
pub mod ports;
pub mod queues;
mod ready;
pub mod reload;
mod schedules;
pub mod services;
pub mod shutdown;
pub mod stack;
pub mod streams;
pub mod supervisor;
pub mod template;
pub mod toolchain;
pub mod up;
