//! The operator's commands, and the parts that they share with the local stack.
//!
//! [`keys`], [`erase`], [`import`], [`export`], [`otlp`], [`rebuild`], [`redrive`], [`alert`], [`classify`] and [`demo`] implement
//! the subcommands of `signals`.
//! All but [`classify`] work on a [`target`]: the running local stack, or a stack on AWS. [`data_folder`] and [`link`] are the interface
//! to a running local stack: the files in which it describes itself.

pub mod alert;
pub mod arguments;
pub mod classify;
pub mod client;
pub mod data_folder;
pub mod demo;
pub mod erase;
pub mod export;
mod formats;
pub mod import;
pub mod keys;
pub mod link;
pub mod otlp;
pub mod rebuild;
pub mod redrive;
mod retries;
pub mod target;
