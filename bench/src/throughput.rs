//! How much several sandboxes do at the same time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;
use gate::figures::Programs;

use crate::bare::Bare;
use crate::endpoints::Endpoint;
use crate::lambda::Sandbox;
use crate::stores::Stores;

/// How long each is measured.
pub const TIME: Duration = Duration::from_millis(700);
/// How often the bare calls are made between two looks at the clock.
const BARE_TIMES: u32 = 10;

/// Requests a second that `sandboxes` of `endpoint` answer, each one after the other.
pub async fn of_function(
    endpoint: Endpoint,
    programs: &Programs,
    stores: &Stores,
    user: &str,
    sandboxes: usize,
) -> Result<f64> {
    // Events of an earlier run must not be met again.
    static NUMBER: AtomicU32 = AtomicU32::new(1_000_000);
    let event = || endpoint.request(user, NUMBER.fetch_add(1, Ordering::Relaxed)).to_event(&stores.api_key);
    let mut all = Vec::new();
    for _ in 0..sandboxes {
        let sandbox = Sandbox::start(&programs.path(endpoint.name), &stores.environment).await?;
        endpoint.require(&sandbox.invoke(event()).await?.1)?;
        all.push(sandbox);
    }
    let started = Instant::now();
    let answered = try_join_all(all.iter().map(|sandbox| async {
        let mut answered = 0_u32;
        while started.elapsed() < TIME {
            endpoint.require(&sandbox.invoke(event()).await?.1)?;
            answered += 1;
        }
        Ok::<_, anyhow::Error>(f64::from(answered) / started.elapsed().as_secs_f64())
    }))
    .await?;
    try_join_all(all.into_iter().map(Sandbox::stop)).await?;
    Ok(answered.iter().sum())
}

/// How often a second `processes` make the bare calls of `endpoint`, each one after the other.
pub async fn of_bare_calls(
    endpoint: Endpoint,
    programs: &Programs,
    stores: &Stores,
    user: &str,
    processes: usize,
) -> Result<f64> {
    let subject = endpoint.subject(user)?;
    let mut all = Vec::new();
    for _ in 0..processes {
        let mut bare = Bare::start(&programs.path("bare"), &stores.environment)?;
        bare.run(endpoint.name, 1, &subject).await?;
        all.push(bare);
    }
    let started = Instant::now();
    let made = try_join_all(all.iter_mut().map(|bare| async {
        let mut made = 0_u32;
        while started.elapsed() < TIME {
            bare.run(endpoint.name, BARE_TIMES, &subject).await?;
            made += BARE_TIMES;
        }
        Ok::<_, anyhow::Error>(f64::from(made) / started.elapsed().as_secs_f64())
    }))
    .await?;
    try_join_all(all.into_iter().map(Bare::stop)).await?;
    Ok(made.iter().sum())
}
