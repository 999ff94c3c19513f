//! Black-box tests of a running stack: local, deployed on an emulator, or on AWS.
//!
//! They talk HTTP to the API at `SIGNALS_URL` (`http://127.0.0.1:8080/api`) with the key `SIGNALS_KEY`, which has every
//! scope and is for every agent. Keys that may do less are made in the table `SIGNALS_API_KEYS_TABLE` of the stack, and logs
//! of the past in its bucket `SIGNALS_LOG_BUCKET`, found by the variables that the AWS SDKs use. `make test` starts a fresh local stack and sets all of these.
//!
//! Every test makes users of its own, so that the tests run side by side, in any order, and again on the same stack.

mod access;
mod answer;
mod bodies;
mod concurrency;
mod detection;
mod episodes;
mod event_set;
mod event_time;
mod events;
mod gateway;
mod get_agents;
mod get_anomalies;
mod get_events;
mod get_health;
mod get_logs;
mod get_summary;
mod get_users;
mod get_visualize;
mod idempotency;
mod isolation;
mod keys;
mod names;
mod nesting;
mod pages;
mod post_classify;
mod post_event;
mod post_events;
mod post_log;
mod queue;
mod segments;
mod speed;
mod stack;
mod stream;
mod timestamps;
