//! Sends batches concurrently.

use std::time::Duration;

use anyhow::Result;
use futures_util::stream::{FuturesUnordered, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};

use super::report::Report;
use crate::client::Client;
use crate::import::Concurrency;
use crate::import::batches::Batch;
use crate::import::row::Origin;
use crate::import::send::{self, Endpoint};
use crate::retries::Retries;

/// The maximum number of requests at the same time. There are fewer while the stack is overloaded.
const PARALLEL: usize = 3;
/// The time that an overloaded stack has to recover.
const PAUSE: Duration = Duration::from_secs(1);

/// A batch and its endpoint.
pub(super) type Request = (Endpoint, Batch);

/// Sends the requests of each stage concurrently, one stage after the other, and adds the outcomes to `report`.
/// `describe` names the origin of an item.
///
/// # Errors
/// Fails if the stack rejects a request as a whole, or remains unavailable.
pub(super) async fn all(
    client: &Client,
    stages: Vec<Vec<Request>>,
    describe: impl Fn(Endpoint, Origin) -> String,
    report: &mut Report,
) -> Result<()> {
    let total: usize = stages.iter().flatten().map(|(_, batch)| batch.len()).sum();
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {per_sec}  {eta} left  {msg}")?;
    let progress = ProgressBar::new(total.try_into().unwrap_or(u64::MAX)).with_style(style);
    let retrying = |reason: &str| progress.set_message(format!("waiting: {reason}"));
    let mut concurrency = Concurrency::up_to(PARALLEL);
    for stage in stages {
        let send = async |(endpoint, batch)| {
            let outcome = send::send(client, endpoint, batch, Retries::default(), retrying).await?;
            anyhow::Ok((endpoint, outcome))
        };
        let mut left = stage.into_iter();
        let mut requests = FuturesUnordered::new();
        loop {
            let free = concurrency.current.saturating_sub(requests.len());
            requests.extend(left.by_ref().take(free).map(&send));
            let Some((endpoint, outcome)) = requests.try_next().await? else { break };
            progress.set_message("");
            progress.inc(outcome.tally.total());
            let is_overloaded = outcome.retries > 0 || outcome.tally.queued > 0;
            concurrency.adapt(is_overloaded);
            report.add(endpoint, outcome, |origin| describe(endpoint, origin));
            if is_overloaded {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    progress.finish_and_clear();
    Ok(())
}
