//! EventBridge's schedules: invoke functions some time after the start of the stack, and then once per period.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::invoke::Invoker;
use crate::template::Function;

/// Time from the start of a stack to the first invocation: work that nobody waits for does not slow down the start.
const DELAY: Duration = Duration::from_secs(600);

/// Starts the schedules of `functions`, which `cargo lambda watch` serves at `address`.
pub fn drive(functions: &[Function], address: SocketAddr) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for function in functions {
        for period in &function.schedules {
            let (invoker, mut ticks) = (
                Invoker::new(address, &function.name, function.timeout),
                tokio::time::interval_at(Instant::now() + DELAY, *period),
            );
            tasks.spawn(async move {
                loop {
                    ticks.tick().await;
                    if let Err(error) = invoker.invoke(&json!({ "detail-type": "Scheduled Event" })).await {
                        eprintln!("the schedule of {} failed: {error:#}", invoker.name());
                    }
                }
            });
        }
    }
    tasks
}
