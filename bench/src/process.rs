//! Reads processor time and memory of a process from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Returns the processor time of all threads of `pid`. Format: `Documentation/scheduler/sched-stats.rst` of Linux.
pub fn cpu(pid: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).context("the process has ended")? {
        // A thread may have ended since the listing.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        total += Duration::from_nanos(nanos.context("schedstat cannot be read")?);
    }
    Ok(total)
}

/// Returns the peak resident memory of `pid` in bytes: `VmHWM` of proc(5).
pub fn peak_memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    Ok(kilobytes.context("there is no VmHWM")? * 1_024)
}
