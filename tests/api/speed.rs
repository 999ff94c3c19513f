//! Latency measurements of the endpoints, run on demand:
//!
//! ```text
//! cargo run --bin local -- exec -- cargo test -p tests -- --ignored --nocapture --test-threads 1
//! ```

use std::time::{Duration, Instant};

use futures_util::stream::{StreamExt, iter};
use serde_json::json;

use crate::events::{SECOND, at, event};
use crate::stack::{Stack, fresh};

const POST_BUDGET: Duration = Duration::from_millis(15);
const SUMMARY_BUDGET: Duration = Duration::from_millis(50);
const WARM_UP: usize = 20;
const SAMPLES: usize = 200;

#[tokio::test]
#[ignore = "measures speed; run alone"]
async fn posting_a_log_takes_less_than_15_ms() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let interaction = json!({"agent_id": "agent", "user_id": user, "user_input": "Thank you for the quick answer!"});
    let median = median("POST /log", async |_| drop(stack.post_log(&interaction).await.ok())).await;
    assert!(median < POST_BUDGET, "{median:?}");
}

#[tokio::test]
#[ignore = "measures speed; run alone"]
async fn posting_an_ordinary_event_takes_less_than_15_ms() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let median = median("POST /event", async |index| {
        let second = i64::try_from(index).expect("small");
        assert!(stack.ingest(&event(&user, "x", at(second * SECOND))).await.is_null());
    })
    .await;
    assert!(median < POST_BUDGET, "{median:?}");
}

#[tokio::test]
#[ignore = "measures speed; run alone"]
async fn summary_of_10_000_logs_takes_under_50_ms_and_counts_1_000() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let log = async |text: &str| {
        stack.post_log(&json!({"agent_id": "agent", "user_id": user, "user_input": text})).await.ok();
    };
    let seed = async |text, count| {
        iter(0..count).map(async |_| log(text).await).buffer_unordered(16).collect::<Vec<_>>().await;
    };
    seed("good", 9_100).await;
    seed("hello", 900).await;
    stack.get_summary("agent", &user).await.expect(200, &json!({"positive": 100, "neutral": 900}));

    let median =
        median("GET /summary, 10,000 logs", async |_| drop(stack.get_summary("agent", &user).await.ok())).await;
    assert!(median < SUMMARY_BUDGET, "{median:?}");
}

/// Measures the median duration of a call that is repeated in sequence, after a few warm-up calls.
async fn median(name: &str, call: impl AsyncFn(usize)) -> Duration {
    let mut times = Vec::with_capacity(SAMPLES);
    for index in 0..WARM_UP + SAMPLES {
        let start = Instant::now();
        call(index).await;
        times.push(start.elapsed());
    }
    let mut times = times.split_off(WARM_UP);
    times.sort_unstable();
    let (median, p95) = (times[SAMPLES / 2], times[SAMPLES * 95 / 100]);
    println!("{name}: median {median:.2?}, 95th percentile {p95:.2?} of {SAMPLES}");
    median
}
