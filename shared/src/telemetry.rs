//! Structured logs: one JSON object per line on standard output, collected by Lambda.

use std::io::Write;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

use crate::env;
use crate::metrics::Metrics;
use crate::time::Timestamp;

/// Installs the subscriber for the whole process. The level is `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, else `info`,
/// and never finer: at finer levels the Lambda runtime logs whole requests, with keys and users' text.
///
/// Log lines never contain users' text: only names of functions, routes and keys, statuses, times and error codes.
pub fn init() {
    let level = ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"]
        .into_iter()
        .find_map(|name| env::optional(name).and_then(|level| LevelFilter::from_str(&level).ok()))
        .map_or(LevelFilter::INFO, |level| level.min(LevelFilter::INFO));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(level)
        .finish();
    // A second call fails because a subscriber is already installed, which is fine.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes `metrics` to the log, from where CloudWatch extracts them.
pub fn publish(metrics: &Metrics) {
    let lines = metrics.lines(Timestamp::now());
    let mut out = std::io::stdout().lock();
    for line in lines {
        // A single write, so that no other line is interleaved.
        if let Err(error) = out.write_all(format!("{line}\n").as_bytes()) {
            tracing::warn!(%error, "cannot write metrics");
        }
    }
}
