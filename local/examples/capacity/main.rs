//! Measures the cost of an event: DynamoDB calls, read and write units, and dollars for a million events. It runs the
//! code of the functions against the embedded DynamoDB, whose responses contain the consumed capacity.
//!
//! ```sh
//! cargo run --example capacity [SECTION...]
//! ```
//!
//! A section is `ordinary`, `floods`, `identities`, `batches` or `history`; all of them by default. Each row is also
//! printed to standard error as soon as it is measured.

mod bench;
mod meter;
mod report;

use anyhow::{Result, bail};
use shared::integrity::key::EventKey;

use bench::{Bench, FLOOD, Identity, MILLISECOND, MINUTE, Order, Sample};
use report::Report;

/// Payload sizes in bytes; 1,023 is the largest payload that is stored in its event's item.
const PAYLOADS: [usize; 5] = [102, 1_023, 1_024, 8_192, 61_440];
const SMALL: usize = PAYLOADS[0];
const LARGE: usize = PAYLOADS[4];
/// The maximum number of events in a batch from the table's stream, as in `template.yaml`.
const STREAM_BATCH: usize = 100;

#[tokio::main]
async fn main() -> Result<()> {
    let bench = Bench::start()?;
    bench.check_the_emulator().await?;
    let given: Vec<String> = std::env::args().skip(1).collect();
    let sections = ["ordinary", "floods", "identities", "batches", "history"];
    if let Some(unknown) = given.iter().find(|name| !sections.contains(&name.as_str())) {
        bail!("{unknown} is not a section; the sections are {}", sections.join(", "));
    }
    for section in sections {
        if !given.is_empty() && !given.iter().any(|name| name == section) {
            continue;
        }
        match section {
            "ordinary" => ordinary(&bench).await?,
            "floods" => floods(&bench).await?,
            "identities" => identities(&bench).await?,
            "batches" => batches(&bench).await?,
            _ => history(&bench).await?,
        }
    }
    Ok(())
}

/// Measures events far apart, and events with others in their window.
async fn ordinary(bench: &Bench) -> Result<()> {
    let mut report = Report::new("One at a time; beside it, what it would cost with every payload in its event's item");
    for payload in PAYLOADS {
        let calm = Sample { payload, ..Sample::new(&format!("calm {payload}")) };
        let events = (0..20).map(|n| calm.event(bench, n, n * MINUTE)).collect();
        report.row_and_inline(&format!("{payload} B, calm"), payload, &bench.each(events).await?);
        let busy = Sample { payload, ..Sample::new(&format!("busy {payload}")) };
        let mut events: Vec<_> = (0..11).map(|n| busy.event(bench, n, n * 100 * MILLISECOND)).collect();
        let eleventh = events.split_off(10);
        let tenth = events.split_off(9);
        bench.each(events).await?;
        report.row_and_inline(&format!("{payload} B, 9 in the window"), payload, &bench.each(tenth).await?);
        report.row_and_inline(&format!("{payload} B, 10 there: an anomaly"), payload, &bench.each(eleventh).await?);
    }
    report.print();
    Ok(())
}

/// Measures many events of one user at once.
async fn floods(bench: &Bench) -> Result<()> {
    let mut report = Report::new("A flood of 1,000 events, by the order in which they come in");
    let mut stream = Report::new("The stream's second evaluation, after the request's");
    for payload in PAYLOADS {
        let label = format!("{payload} B, one time, ids in order");
        report.row_and_inline(&label, payload, &bench.each(bench.flood(payload, Order::ById)).await?);
    }
    let at_once = bench.at_once(bench.flood(SMALL, Order::AtOnce)).await?;
    report.row(&format!("{SMALL} B, one time, ids in order, 32 at once"), FLOOD, &at_once);
    for (order, label) in [
        (Order::Shuffled, "one time, ids at random"),
        (Order::Forward, "1 ms apart, in order"),
        (Order::Backward, "1 ms apart, last first"),
        (Order::ShuffledTimes, "1 ms apart, shuffled"),
    ] {
        let events = bench.flood(SMALL, order);
        let (user, mut keys) = bench::keys(&events);
        report.row_and_inline(&format!("{SMALL} B, {label}"), SMALL, &bench.each(events).await?);
        keys.sort_unstable();
        for size in [1, STREAM_BATCH] {
            let batches: Vec<&[EventKey]> = keys.chunks(size).collect();
            stream.row(&format!("flood, {label}, batches of {size}"), FLOOD, &bench.evaluate(&user, &batches).await?);
        }
    }
    report.print();

    let calm = Sample::new("stream");
    let events: Vec<_> = (0..20).map(|n| calm.event(bench, n, n * MINUTE)).collect();
    let (user, keys) = bench::keys(&events);
    bench.each(events).await?;
    let batches: Vec<&[EventKey]> = keys.chunks(1).collect();
    stream.row("calm", keys.len(), &bench.evaluate(&user, &batches).await?);
    stream.print();
    Ok(())
}

/// Measures the cost of recognising retried events.
async fn identities(bench: &Bench) -> Result<()> {
    let mut report = Report::new("Idempotency, calm");
    for payload in [SMALL, LARGE] {
        for (identity, label) in [
            (Identity::None, "no id"),
            (Identity::Client, "id and settled time"),
            (Identity::SentAt, "id and sent_at"),
            (Identity::Ahead, "id, ahead of the clock"),
        ] {
            let sample = Sample { payload, identity, ..Sample::new(&format!("{label} {payload}")) };
            let new = bench.each(vec![sample.event(bench, 1, 0)]).await?.0;
            report.row(&format!("{payload} B, {label}: new"), 1, &new);
            if identity == Identity::None {
                continue;
            }
            let sample = Sample { delay: 30 * MILLISECOND, ..sample };
            let again = bench.each(vec![sample.event(bench, 1, 0)]).await?.0;
            report.row(&format!("{payload} B, {label}: again"), 1, &again);
            let sample = Sample { payload: payload - 1, ..sample };
            let conflict = bench.each(vec![sample.event(bench, 1, 0)]).await?.0;
            report.row(&format!("{payload} B, {label}: another body"), 1, &conflict);
        }
    }
    report.print();
    Ok(())
}

/// `POST /events`.
async fn batches(bench: &Bench) -> Result<()> {
    const SIZE: i64 = 500;
    let mut report = Report::new("A batch of 500");
    for (users, label) in [(500, "of 500 users"), (50, "of 50 users, 10 each"), (1, "of one user, 1 ms apart")] {
        let event = |n| Sample::new(&format!("batch of {users} {:03}", n % users)).event(bench, n, n * MILLISECOND);
        report.row(label, SIZE as usize, &bench.batch((0..SIZE).map(event).collect()).await?);
    }
    let minutes = Sample::new("batch of minutes");
    let events = (0..SIZE).map(|n| minutes.event(bench, n, n * MINUTE)).collect();
    report.row("of one user, a minute apart", SIZE as usize, &bench.batch(events).await?);
    report.print();
    Ok(())
}

/// Measures users with few and with many stored events.
async fn history(bench: &Bench) -> Result<()> {
    let mut report = Report::new("By what the user has stored, events 10 s apart");
    for stored in [10, 10_000] {
        let sample = Sample::new(&format!("has {stored:06}"));
        bench.store((0..stored).map(|n| sample.event(bench, n, n * 10_000 * MILLISECOND)).collect()).await?;
        let next = sample.event(bench, stored, stored * 10_000 * MILLISECOND);
        report.row(&format!("{stored} events"), 1, &bench.each(vec![next]).await?.0);
        let late = sample.event(bench, stored + 1, stored / 2 * 10_000 * MILLISECOND + 1);
        report.row(&format!("{stored} events, a late one"), 1, &bench.each(vec![late]).await?.0);
    }
    report.print();
    Ok(())
}
