//! The library under the functions of Signals.
//!
//! [`logging`] and [`integrity`] hold the rules, which take values, and the stores, which talk to S3 and DynamoDB;
//! neither knows the other. [`http`] alone knows requests, responses and status codes. Dependencies
//! point one way: functions → `http` → `logging`, `integrity` → everything else here.

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
pub mod validation;
