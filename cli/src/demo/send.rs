//! Sends calls concurrently.

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Client;
use serde_json::Value;

use super::calls::{Call, Endpoint};
use super::report::Report;

/// The API to call.
pub(super) struct Target {
    /// The base address of the API's paths.
    pub api: String,
    pub key: String,
}

/// Sends all `lanes` concurrently and reports the outcome of each call.
pub(super) async fn all(client: &Client, target: &Target, lanes: Vec<Vec<Call>>) -> Result<Report> {
    let total: usize = lanes.iter().map(Vec::len).sum();
    let style =
        ProgressStyle::with_template("{bar:40} {pos}/{len}  {per_sec}  {eta} left").context("the progress bar")?;
    let progress = ProgressBar::new(total.try_into().unwrap_or(u64::MAX)).with_style(style);
    let mut lanes: FuturesUnordered<_> = lanes
        .into_iter()
        .map(|calls| async {
            let mut report = Report::default();
            for call in calls {
                send(client, target, call, &mut report).await;
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

async fn send(client: &Client, target: &Target, call: Call, report: &mut Report) {
    let path = match call.endpoint {
        Endpoint::Log => "log",
        Endpoint::Event => "event",
    };
    let request = client.post(format!("{}/{path}", target.api)).header("x-api-key", &target.key).json(&call.body);
    let answer = async {
        let response = request.send().await?;
        Ok::<_, reqwest::Error>((response.status(), response.bytes().await?))
    };
    match answer.await {
        Ok((status, body)) if status.is_success() => {
            report.stored(call.endpoint, &serde_json::from_slice(&body).unwrap_or(Value::Null));
        }
        Ok((status, body)) => {
            report.refused(call.endpoint, &call.origin, status.as_u16(), &String::from_utf8_lossy(&body))
        }
        Err(error) => report.failed(call.endpoint, &call.origin, &error),
    }
}
