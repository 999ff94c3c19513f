//! Black-box tests of a running stack: local, deployed on an emulator, or on AWS.
//!
//! The tests call the API at `SIGNALS_URL` (`http://127.0.0.1:8080/api`) with the key `SIGNALS_KEY`, which has every
//! scope for every agent. The tests create keys with fewer permissions in the stack's table `SIGNALS_API_KEYS_TABLE`,
//! and logs of the past in its bucket `SIGNALS_LOG_BUCKET`. Both are found by the variables of the AWS SDKs. `make
//! test` starts a fresh local stack and sets all of these variables.
//!
//! Every test creates its own users, so that the tests run concurrently, in any order, and repeatedly on the same
//! stack.

mod access;
mod answer;
mod bodies;
mod concurrency;
mod detection;
mod episodes;
mod event_set;
mod event_time;
mod events;
mod feedback;
mod gateway;
mod get_activity;
mod get_agent_activity;
mod get_agent_logs;
mod get_agent_summary;
mod get_agent_visualize;
mod get_agents;
mod get_anomalies;
mod get_events;
mod get_health;
mod get_log;
mod get_logs;
mod get_logs_lines;
mod get_summary;
mod get_users;
mod get_visualize;
mod idempotency;
mod isolation;
mod keys;
mod names;
mod nesting;
mod otlp;
mod pages;
mod post_classify;
mod post_event;
mod post_events;
mod post_log;
mod post_logs;
mod post_mcp;
mod post_otlp_logs;
mod post_traces;
mod queue;
mod repeated;
mod search;
mod segments;
mod speed;
mod stack;
mod stream;
mod timestamps;
mod turn;
mod unknown;
