//! Measures a function beside its floor.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use futures_util::future::try_join_all;
use serde::Serialize;

use crate::endpoints::Endpoint;
use crate::floor::Bare;
use crate::lambda::Sandbox;
use crate::process;
use crate::stores::Stores;

const STARTS: usize = 15;
/// Function and floor take turns, so that what else the machine does meets both.
const ROUNDS: u32 = 12;
const TIMES: u32 = 25;
/// How many sandboxes work at the same time.
pub const SANDBOXES: [usize; 3] = [1, 2, 8];
const THROUGHPUT_TIME: Duration = Duration::from_millis(700);

/// What was measured of a function. Times are in milliseconds.
#[derive(Debug, Serialize)]
pub struct Measured {
    pub name: &'static str,
    pub binary_bytes: u64,
    pub zip_bytes: u64,
    pub start: f64,
    pub floor_start: f64,
    pub first: f64,
    pub floor_first: f64,
    pub p50: f64,
    pub p99: f64,
    pub floor_p50: f64,
    pub hello_p50: f64,
    pub cpu: f64,
    pub floor_cpu: f64,
    pub memory_bytes: u64,
    pub floor_memory_bytes: u64,
    pub per_second: Vec<f64>,
}

impl Measured {
    /// The function's own time beside its calls, with the runtime's share.
    pub fn own(&self) -> f64 {
        self.p50 - self.floor_p50
    }
}

/// Where the programs are.
pub struct Programs(pub PathBuf);

impl Programs {
    /// The program `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Bytes of `binary`, and of a zip with it alone as Lambda takes it.
pub fn sizes(binary: &Path) -> Result<(u64, u64)> {
    /// The headers that a zip adds around its one file, `bootstrap`.
    const ZIP_HEADERS: u64 = 116;
    let content = fs::read(binary).with_context(|| format!("{} is not built", binary.display()))?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&content)?;
    Ok((content.len() as u64, encoder.finish()?.len() as u64 + ZIP_HEADERS))
}

/// The value below which `share` of `values` lie.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let place = (values.len().saturating_sub(1) as f64 * share).round() as usize;
    values.get(place).copied().unwrap_or(f64::NAN)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Whether `answer` is a response with a status of 2xx.
pub fn require_success(answer: &[u8]) -> Result<()> {
    let response: serde_json::Value = serde_json::from_slice(answer)?;
    match response["statusCode"].as_u64() {
        Some(200..=299) => Ok(()),
        _ => bail!("the function answers {response}"),
    }
}

/// Measures `endpoint`.
pub async fn measure(endpoint: Endpoint, programs: &Programs, stores: &Stores, user: &str) -> Result<Measured> {
    let program = programs.path(endpoint.name);
    let hello = programs.path("hello");
    let (binary_bytes, zip_bytes) = sizes(&program)?;
    let event = |number| endpoint.request(user, number).to_event(&stores.api_key);
    let ours = starts(&program, &stores.environment, || event(0));
    let (mut start, mut first) = ours.await?;
    let (mut floor_start, mut floor_first) = starts(&hello, &stores.environment, || event(0)).await?;
    let warm = warm(endpoint, programs, stores, user).await?;
    let mut per_second = Vec::new();
    for sandboxes in SANDBOXES {
        per_second.push(throughput(endpoint, &program, stores, user, sandboxes).await?);
    }
    Ok(Measured {
        name: endpoint.name,
        binary_bytes,
        zip_bytes,
        start: quantile(&mut start, 0.5),
        floor_start: quantile(&mut floor_start, 0.5),
        first: quantile(&mut first, 0.5),
        floor_first: quantile(&mut floor_first, 0.5),
        per_second,
        ..warm
    })
}

/// Start and first request of new sandboxes.
async fn starts(
    program: &Path,
    environment: &BTreeMap<String, String>,
    event: impl Fn() -> Bytes,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut start, mut first) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let sandbox = Sandbox::start(program, environment).await?;
        start.push(millis(sandbox.start));
        let (took, answer) = sandbox.invoke(event()).await?;
        require_success(&answer)?;
        first.push(millis(took));
    }
    Ok((start, first))
}

/// Requests to a sandbox that has had some, in turns with the bare calls and with the runtime's floor.
async fn warm(endpoint: Endpoint, programs: &Programs, stores: &Stores, user: &str) -> Result<Measured> {
    let sandbox = Sandbox::start(&programs.path(endpoint.name), &stores.environment).await?;
    let hello = Sandbox::start(&programs.path("hello"), &stores.environment).await?;
    let mut bare = Bare::start(&programs.path("bare"), &stores.environment)?;
    let subject = endpoint.subject(user)?;
    let (mut own, mut calls, mut least) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cpu, mut floor_cpu) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS + 1 {
        // The first round warms up.
        let counts = round > 0;
        let before = process::cpu(sandbox.pid()?)?;
        for number in 0..TIMES {
            let event = endpoint.request(user, 1_000 + round * TIMES + number).to_event(&stores.api_key);
            let (took, answer) = sandbox.invoke(event).await?;
            require_success(&answer)?;
            if counts {
                own.push(millis(took));
            }
        }
        if counts {
            cpu += process::cpu(sandbox.pid()?)?.saturating_sub(before);
        }
        for number in 0..TIMES {
            let (took, _) = hello.invoke(endpoint.request(user, number).to_event(&stores.api_key)).await?;
            if counts {
                least.push(millis(took));
            }
        }
        if endpoint.calls_aws() {
            let before = process::cpu(bare.pid()?)?;
            let micros = bare.run(endpoint.name, TIMES, &subject).await?;
            if counts {
                calls.extend(micros.iter().map(|micros| micros / 1e3));
                floor_cpu += process::cpu(bare.pid()?)?.saturating_sub(before);
            }
        }
    }
    let times = f64::from(ROUNDS * TIMES);
    Ok(Measured {
        name: endpoint.name,
        binary_bytes: 0,
        zip_bytes: 0,
        start: 0.0,
        floor_start: 0.0,
        first: 0.0,
        floor_first: 0.0,
        p50: quantile(&mut own, 0.5),
        p99: quantile(&mut own, 0.99),
        floor_p50: if calls.is_empty() { 0.0 } else { quantile(&mut calls, 0.5) },
        hello_p50: quantile(&mut least, 0.5),
        cpu: millis(cpu) / times,
        floor_cpu: millis(floor_cpu) / times,
        memory_bytes: process::peak_memory(sandbox.pid()?)?,
        floor_memory_bytes: process::peak_memory(hello.pid()?)?,
        per_second: Vec::new(),
    })
}

/// Requests a second that `sandboxes` answer, each one after the other.
pub async fn throughput(
    endpoint: Endpoint,
    program: &Path,
    stores: &Stores,
    user: &str,
    sandboxes: usize,
) -> Result<f64> {
    // Events of an earlier run must not be met again.
    static NUMBER: AtomicU32 = AtomicU32::new(1_000_000);
    let mut all = Vec::new();
    for _ in 0..sandboxes {
        let sandbox = Sandbox::start(program, &stores.environment).await?;
        sandbox
            .invoke(endpoint.request(user, NUMBER.fetch_add(1, Ordering::Relaxed)).to_event(&stores.api_key))
            .await?;
        all.push(sandbox);
    }
    let started = Instant::now();
    let answered = try_join_all(all.iter().map(|sandbox| async move {
        let mut answered = 0_u32;
        while started.elapsed() < THROUGHPUT_TIME {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            sandbox.invoke(endpoint.request(user, number).to_event(&stores.api_key)).await?;
            answered += 1;
        }
        Ok::<_, anyhow::Error>(answered)
    }))
    .await?;
    Ok(f64::from(answered.iter().sum::<u32>()) / started.elapsed().as_secs_f64())
}
