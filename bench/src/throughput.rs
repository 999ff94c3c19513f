//! Throughput of several sandboxes or processes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::bare::Bare;
use crate::case::Case;
use crate::lambda::Sandbox;

/// Duration of each measurement.
const TIME: Duration = Duration::from_millis(700);
/// Repetitions of the bare calls between two readings of the clock.
const BARE_TIMES: u32 = 10;

/// Measures the requests per second of `sandboxes`, each with one request at a time.
pub async fn of_function(case: Case<'_>, sandboxes: usize) -> Result<f64> {
    // Different numbers than in earlier runs, so that no event is a duplicate.
    static NUMBER: AtomicU32 = AtomicU32::new(1_000_000);
    let next = || NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut all = Vec::new();
    for _ in 0..sandboxes {
        let sandbox = case.sandbox(&case.stores.environment).await?;
        case.ask(&sandbox, next()).await?;
        all.push(sandbox);
    }
    let asked = all.iter().map(|sandbox| async || case.ask(sandbox, next()).await.map(|_| 1));
    let rate = per_second(asked).await?;
    try_join_all(all.into_iter().map(Sandbox::stop)).await?;
    Ok(rate)
}

/// Measures the bare calls per second of `processes`, each with one repetition at a time.
pub async fn of_bare_calls(case: Case<'_>, processes: usize) -> Result<f64> {
    let mut all = Vec::new();
    for _ in 0..processes {
        let mut bare = case.bare(&case.stores.environment)?;
        case.call(&mut bare, 1).await?;
        all.push(bare);
    }
    let called = all.iter_mut().map(|bare| async || case.call(bare, BARE_TIMES).await.map(|_| BARE_TIMES));
    let rate = per_second(called).await?;
    try_join_all(all.into_iter().map(Bare::stop)).await?;
    Ok(rate)
}

/// Runs `workers` in parallel and returns their total rate per second. Each worker returns the number of repetitions.
pub async fn per_second<W: AsyncFnMut() -> Result<u32>>(workers: impl Iterator<Item = W>) -> Result<f64> {
    let rates = try_join_all(workers.map(|mut work| async move {
        let started = Instant::now();
        let mut done = 0;
        while started.elapsed() < TIME {
            done += work().await?;
        }
        Ok::<_, anyhow::Error>(f64::from(done) / started.elapsed().as_secs_f64())
    }));
    Ok(rates.await?.iter().sum())
}
