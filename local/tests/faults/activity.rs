//! The read model over all users, when stores fail, functions die, and notifications arrive twice and in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use cli::rebuild;
use cli::target::StackTarget;
use futures_util::stream::{self, StreamExt};
use local::queues::Sqs;
use serde_json::json;
use shared::logging::segment::AGENTS;
use shared::logging::store::ListLogs;
use shared::time::Timestamp;

use crate::counted::{counted, items};
use crate::faulty::{Faulty, eventually};
use crate::traffic::scatter;

const USERS: usize = 5;
const REQUESTS: usize = 120;
const PARALLEL_REQUESTS: usize = 12;
/// The number of times that the counting function is killed.
const KILLS: usize = 8;
const SIGNALS: [&str; 3] = ["neutral", "positive", "stressed"];

/// Records the interactions of the request `number`, and returns their users and signals.
async fn record(faulty: &Faulty, number: usize, now: i64) -> Vec<(String, &'static str)> {
    let entry = |index: usize| {
        let (user, signal) = (format!("user {}", scatter(index) % USERS), SIGNALS[scatter(index + 1) % SIGNALS.len()]);
        (user, signal)
    };
    let count = if number.is_multiple_of(4) { 5 } else { 1 };
    let entries: Vec<_> = (0..count).map(|part| entry(number * 100 + part)).collect();
    let bodies: Vec<_> = entries
        .iter()
        .enumerate()
        .map(|(part, (user, signal))| {
            // Of the last two hours: the counts of a user are kept for some weeks.
            let millis = now - i64::try_from(scatter(number) % 7_200_000).expect("small");
            let log_id = format!("{:08x}-{:04x}-7c2a-8a53-{number:08x}{part:04x}", millis >> 16, millis & 0xffff);
            json!({ "agent_id": "a", "user_id": user, "user_input": "x", "detected_signal": signal, "log_id": log_id })
        })
        .collect();
    let (path, body) = match bodies.as_slice() {
        [single] => ("/log", single.clone()),
        bodies => ("/logs", json!(bodies)),
    };
    loop {
        let Some((status, answer)) = faulty.post(path, &body).await else { continue };
        let results = answer["results"].as_array().into_iter().flatten();
        if status.is_success() && results.clone().all(|result| result["status"] != "unavailable") {
            return entries;
        }
    }
}

/// Sends the notification of every object again, in another order.
async fn notify_again(target: &StackTarget, sqs: &Sqs, url: &str) {
    let log = target.roll_up().expect("a stack").log;
    let mut keys = log.list(AGENTS, None, 1_000).await.expect("keys").keys;
    keys.sort_by_key(|key| scatter(key.len() + usize::from(key.as_bytes()[key.len() - 20])));
    for key in keys {
        let key = key.replace('%', "%25").replace('=', "%3D");
        let body = json!({ "Records": [{ "s3": { "object": { "key": key } } }] }).to_string();
        sqs.call("SendMessage", &json!({ "QueueUrl": url, "MessageBody": body })).await.expect("a message sent");
    }
}

#[tokio::test]
async fn activity_is_exact_after_faults_kills_and_repetitions() {
    let faulty = Faulty::start(2).await;
    let environment = &faulty.stack.description().environment;
    let target = StackTarget::local(environment).expect("a stack");
    let (sqs, url) = (Sqs::of(environment).expect("SQS"), &environment["SIGNALS_ACTIVITY_QUEUE"]);
    faulty.fail_a_little();
    let (is_sent, now) = (AtomicBool::new(false), Timestamp::now().millis());
    let kill = async {
        for _ in 0..KILLS {
            eventually("the function runs", async || {
                (is_sent.load(Ordering::Relaxed) || faulty.kill("roll-up-logs") > 0).then_some(())
            })
            .await;
            // Until the function has begun to work again.
            eventually("messages are received", async || {
                (is_sent.load(Ordering::Relaxed) || !faulty.processes("roll-up-logs").is_empty()).then_some(())
            })
            .await;
        }
    };
    let send = async {
        let requests = stream::iter(0..REQUESTS).map(|number| record(&faulty, number, now));
        let recorded: Vec<_> = requests.buffer_unordered(PARALLEL_REQUESTS).collect().await;
        is_sent.store(true, Ordering::Relaxed);
        recorded
    };
    let (recorded, ()) = futures_util::join!(send, kill);
    notify_again(&target, &sqs, url).await;
    faulty.heal();

    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (user, signal) in recorded.into_iter().flatten() {
        *expected.entry(format!("a {user} {}", &signal[..1])).or_default() += 1;
    }
    eventually("all is counted", async || (counted(&target).await == expected).then_some(())).await;
    eventually("all repetitions are handled", async || (sqs.depth(url).await.ok()? == 0).then_some(())).await;
    let before = items(&target).await;
    rebuild::run(&target, |_| {}).await.expect("a rebuild");
    let after = items(&target).await;
    let differing: BTreeSet<_> = before.iter().filter(|(key, item)| after.get(*key) != Some(item)).collect();
    assert!(differing.is_empty() && before.len() == after.len(), "{differing:?}");
    faulty.stop().await;
}
