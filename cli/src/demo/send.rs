//! Sends calls concurrently.

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::calls::{Call, Endpoint};
use super::report::Report;
use crate::client::Client;

/// Sends all `lanes` concurrently and reports the outcome of each call.
pub(super) async fn all(client: &Client, lanes: Vec<Vec<Call>>) -> Result<Report> {
    let total: usize = lanes.iter().map(Vec::len).sum();
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len}  {per_sec}  {eta} left").context("the progress bar")?;
    let progress = ProgressBar::new(total.try_into().unwrap_or(u64::MAX)).with_style(style);
    let mut lanes: FuturesUnordered<_> = lanes
        .into_iter()
        .map(|calls| async {
            let mut report = Report::default();
            for call in calls {
                send(client, call, &mut report).await;
                progress.inc(1);
            }
            report
        })
        .collect();
    let mut report = Report::default();
    while let Some(lane) = lanes.next().await {
        report.add(lane);
    }
    drop(lanes);
    progress.finish_and_clear();
    Ok(report)
}

async fn send(client: &Client, call: Call, report: &mut Report) {
    let path = match call.endpoint {
        Endpoint::Log => "/log",
        Endpoint::Event => "/event",
    };
    match client.post(path, &call.idempotency_key(), &call.body).await {
        Ok(response) if response.status.is_success() => {
            report.stored(call.endpoint, &serde_json::from_slice(&response.body).unwrap_or(Value::Null));
        }
        Ok(response) => {
            let body = String::from_utf8_lossy(&response.body);
            report.refused(call.endpoint, &call.origin, response.status.as_u16(), &body);
        }
        Err(failure) => report.failed(call.endpoint, &call.origin, &failure),
    }
}
