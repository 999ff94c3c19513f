//! Waits until every endpoint has responded.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use indicatif::ProgressBar;
use serde_json::Value;
use shared::startup::FAILED;

use crate::functions::Functions;
use crate::supervisor::HAS_ENDED;
use crate::template::Template;

/// The time that all endpoints together have to respond. Building the functions is not included.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The interval at which the port, and the log for functions that failed to start, are checked.
const PERIOD: Duration = Duration::from_millis(25);

/// Requests every route of `template` at `functions` until all have responded.
///
/// # Errors
/// Fails if the functions end, a function does not start, a route is unknown, or the timeout expires.
pub async fn wait(template: &Template, functions: &mut Functions) -> Result<()> {
    let address = functions.address();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut pending: BTreeSet<_> = template
        .functions
        .iter()
        .filter(|function| !function.routes.is_empty())
        .map(|function| function.name.as_str())
        .collect();
    let probes = template.functions.iter().flat_map(|function| {
        function.routes.iter().map(|route| probe(&client, address, &function.name, &route.method, &route.path))
    });
    let mut probes: FuturesUnordered<_> = probes.collect();
    let progress = progress(&pending);
    let deadline = Instant::now() + TIMEOUT;
    let mut looks = tokio::time::interval(PERIOD);

    while !probes.is_empty() {
        tokio::select! {
            Some(answer) = probes.next() => {
                pending.remove(answer?);
                progress.set_message(message(&pending));
            }
            error = functions.failure() => return Err(error),
            _ = looks.tick() => {
                let log = functions.log();
                if log.contains(HAS_ENDED) || log.contains(FAILED) {
                    bail!("a function does not start{}", functions.tail());
                }
                if Instant::now() > deadline {
                    let seconds = TIMEOUT.as_secs();
                    bail!(
                        "{} for {seconds} s in vain: are their routes in Cargo.toml, under \
                         [workspace.metadata.lambda.watch.router], those of template.yaml?{}",
                        message(&pending), functions.tail()
                    );
                }
            }
        }
    }
    progress.finish_and_clear();
    Ok(())
}

fn message(pending: &BTreeSet<&str>) -> String {
    let names: Vec<_> = pending.iter().copied().collect();
    format!("waiting for {}", names.join(", "))
}

/// Returns a spinner, or prints one line without a terminal.
fn progress(pending: &BTreeSet<&str>) -> ProgressBar {
    let progress = ProgressBar::new_spinner();
    progress.set_message(message(pending));
    progress.enable_steady_tick(Duration::from_millis(100));
    if !std::io::stderr().is_terminal() {
        eprintln!("{}", message(pending));
    }
    progress
}

/// Requests one route until its function responds. Any response counts; without a key, it is usually a refusal.
async fn probe<'a>(
    client: &reqwest::Client,
    address: SocketAddr,
    function: &'a str,
    method: &str,
    path: &str,
) -> Result<&'a str> {
    let path: Vec<_> = path.split('/').map(|part| if part.starts_with('{') { "ready" } else { part }).collect();
    let method = if method == "ANY" { "GET" } else { method };
    let url = format!("http://{address}{}", path.join("/"));
    loop {
        match client.request(method.parse()?, &url).send().await {
            Ok(response) => {
                let status = response.status();
                let body: Value = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
                // The emulator's response for a route or a binary that it does not have.
                if status == reqwest::StatusCode::NOT_FOUND && body.get("title").is_some() {
                    return Err(anyhow!(
                        "cargo lambda watch has no function for {method} {} (it should be {function}): \
                         compare [workspace.metadata.lambda.functions.router] in Cargo.toml with template.yaml",
                        path.join("/")
                    ));
                }
                if status.is_server_error() && body.get("errorType").is_some() {
                    return Err(anyhow!("{function} fails: {body}"));
                }
                return Ok(function);
            }
            Err(error) if error.is_connect() => tokio::time::sleep(PERIOD).await,
            Err(error) => return Err(error.into()),
        }
    }
}
