//! How much several do at the same time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::bare::Bare;
use crate::case::Case;
use crate::lambda::Sandbox;

/// How long each is measured.
const TIME: Duration = Duration::from_millis(700);
/// How often the bare calls are made between two looks at the clock.
const BARE_TIMES: u32 = 10;

/// Requests a second that `sandboxes` of the function answer, each one after the other.
pub async fn of_function(case: Case<'_>, sandboxes: usize) -> Result<f64> {
    // Events of an earlier run must not be met again.
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

/// How often a second `processes` make the bare calls, each one after the other.
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

/// What `workers` do a second together: each does its work again and again, and tells how often it has done it.
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
