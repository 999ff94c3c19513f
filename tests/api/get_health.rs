//! `GET /health`.

use futures_util::future::join_all;
use serde_json::json;

use crate::stack::{Stack, eventually};

/// Waits until the stack reports that it is healthy. On a busy machine, a store may exceed the two seconds that it has.
async fn assert_healthy(stack: &Stack) {
    let answer = eventually("the stack is healthy", async || {
        let answer = stack.get_health().await;
        (answer.status() != 503).then_some(answer)
    })
    .await;
    answer.expect(200, &json!({"status": "ok"}));
}

#[tokio::test]
async fn a_healthy_stack_says_so_to_anybody() {
    let stack = Stack::connect();
    for caller in [stack.clone(), stack.without_key(), stack.with_key("nonsense")] {
        assert_healthy(&caller).await;
    }
}

#[tokio::test]
async fn requests_wait_when_all_processes_are_busy() {
    let stack = Stack::connect();
    join_all((0..200).map(|_| assert_healthy(&stack))).await;
}
