//! Shared library of the Signals functions.
//!
//! # Layers
//!
//! A module depends only on modules below its own row.
//!
//! - [`startup`] builds the dependencies of a function from its environment.
//! - [`http`] turns requests into input, and results into responses. No other module knows status codes.
//! - [`intake`] accepts events and interactions, and [`retry`] stores those that could not be stored at once.
//! - [`moods`] alerts of moods: many stressed interactions, or several in a row.
//! - [`activity`] counts interactions over all users.
//! - [`alerts`] groups anomalies into episodes and alerts of them.
//! - [`integrity`] stores events and detects anomalies, and [`logging`] records and shows interactions. Neither depends
//!   on the other. In both, rules take values, and stores call DynamoDB and S3.
//! - [`otlp`] finds users' turns in exports of OpenTelemetry.
//! - [`mcp`] answers assistants: the Model Context Protocol, and tools that read who needs help.
//! - [`auth`] authenticates callers and authorizes their access to agents.
//! - [`queue`] sends, retries and dead-letters messages.
//! - [`background`] serves streams and queues, and reports partial failures of a batch.
//! - [`aws`] creates clients with timeouts, connections and circuit breakers; [`telemetry`] writes logs; [`metrics`]
//!   counts usage; [`config`] is `signals.toml`.
//! - Values: [`ids`], [`time`], [`datetime`], [`deadline`], [`severity`], [`validation`], [`unknown`], [`json`], [`gzip`],
//!   [`mod@env`].

pub mod activity;
pub mod alerts;
pub mod auth;
pub mod aws;
pub mod background;
pub mod config;
pub mod datetime;
pub mod deadline;
pub mod env;
pub mod gzip;
pub mod http;
pub mod ids;
pub mod intake;
pub mod integrity;
pub mod json;
pub mod logging;
pub mod mcp;
pub mod metrics;
pub mod moods;
pub mod otlp;
pub mod queue;
pub mod retry;
pub mod severity;
pub mod startup;
pub mod telemetry;
pub mod time;
pub mod unknown;
pub mod validation;
