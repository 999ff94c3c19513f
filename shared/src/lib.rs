//! Shared library of the Signals functions.
//!
//! [`logging`] and [`integrity`] hold the rules, which work on values, and the stores, which talk to S3 and DynamoDB.
//! Neither module depends on the other. Only [`http`] knows requests, responses and status codes. Dependencies point
//! one way: functions → `http` → `logging`, `integrity` → all other modules.

pub mod answer;
pub mod aws;
pub mod background;
pub mod config;
pub mod datetime;
pub mod deadline;
pub mod deferred;
pub mod environment;
pub mod http;
pub mod ids;
pub mod integrity;
pub mod json;
pub mod logging;
pub mod metrics;
pub mod queue;
pub mod severity;
pub mod startup;
pub mod telemetry;
pub mod time;
pub mod unknown;
pub mod validation;
