//! Traffic for many minutes while stores fail: nothing is lost, and neither memory nor open files nor latency grow.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::faulty::{Faulty, event, eventually};
use crate::traffic::Traffic;

/// The variable that sets the duration in minutes.
const MINUTES: &str = "SOAK_MINUTES";
const DEFAULT_MINUTES: u64 = 20;
/// Events of a round. Each round has its own users.
const EVENTS: usize = 1_600;
/// Requests whose latencies are compared.
const PROBES: usize = 200;
/// Growth that is no leak: buffers that a process had not needed before.
const SLACK_KIB: u64 = 4 * 1_024;
const SLACK_FILES: u64 = 8;

/// The largest resident memory in KiB and number of open files of the processes of a program.
type Usage = BTreeMap<String, (u64, u64)>;

fn usage(faulty: &Faulty) -> Usage {
    let mut usage = Usage::new();
    let own = ("stack".to_owned(), std::process::id().cast_signed());
    for (program, pid) in faulty.functions().into_iter().chain([own]) {
        let process = Path::new("/proc").join(pid.to_string());
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        let files = std::fs::read_dir(process.join("fd")).map_or(0, |files| files.count() as u64);
        let (most_resident, most_files) = usage.entry(program).or_default();
        *most_resident = resident.unwrap_or(0).max(*most_resident);
        *most_files = files.max(*most_files);
    }
    usage
}

/// Returns the median latency of `POST /event`.
async fn latency(faulty: &Faulty, name: &str) -> Duration {
    let mut latencies = Vec::new();
    for number in 0..PROBES {
        let started = Instant::now();
        let event = event(&format!("{name} {number}"), "1", "x", 0);
        let (status, response) = faulty.post("/event", &event).await.expect("a response");
        assert_eq!(status.as_u16(), 200, "{response}");
        latencies.push(started.elapsed());
    }
    latencies.sort();
    latencies[PROBES / 2]
}

async fn round(faulty: &Faulty, number: usize) {
    let traffic = Traffic::of_users(&format!("round {number} user"), EVENTS);
    faulty.fail_a_little();
    traffic.send(faulty).await;
    faulty.heal();
    traffic.check(faulty).await;
}

#[tokio::test]
#[ignore = "takes twenty minutes: make soak"]
async fn long_traffic_with_faults_loses_nothing_and_leaks_nothing() {
    let minutes = std::env::var(MINUTES).ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(DEFAULT_MINUTES);
    let faulty = Faulty::start(2).await;
    // The first rounds fill caches and pools.
    for number in 0..2 {
        round(&faulty, number).await;
    }
    let (before, fast) = (usage(&faulty), latency(&faulty, "before").await);
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut rounds = 2;
    while Instant::now() < end {
        round(&faulty, rounds).await;
        rounds += 1;
    }
    let (after, slow) = (usage(&faulty), latency(&faulty, "after").await);
    println!("{rounds} rounds of {EVENTS} events; POST /event took {fast:?} before and {slow:?} after");
    for (program, (resident, files)) in &after {
        let (resident_before, files_before) = before.get(program).copied().unwrap_or((*resident, *files));
        println!("{program}: {resident_before} -> {resident} KiB, {files_before} -> {files} files");
    }
    for (program, (resident, _)) in after.into_iter().filter(|(program, _)| program != "stack") {
        let Some((resident_before, _)) = before.get(&program) else { continue };
        assert!(resident <= resident_before + SLACK_KIB, "{program} grew from {resident_before} to {resident} KiB");
    }
    // Connections of the last round are kept for some time; a leak would keep them open for ever.
    eventually("no function has more files open than before", async || {
        let now = usage(&faulty);
        let has_more = |(program, (_, files)): (&String, &(u64, u64))| {
            before.get(program).is_some_and(|(_, files_before)| *files > files_before + SLACK_FILES)
        };
        (!now.iter().filter(|(program, _)| *program != "stack").any(has_more)).then_some(())
    })
    .await;
    assert!(slow < 2 * fast + Duration::from_millis(10), "POST /event took {fast:?} before and {slow:?} after");
    faulty.stop().await;
}
