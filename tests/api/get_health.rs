//! `GET /health`.

use futures_util::future::join_all;
use serde_json::json;

use crate::stack::Stack;

#[tokio::test]
async fn a_healthy_stack_says_so_to_anybody() {
    let stack = Stack::connect();
    for caller in [stack.clone(), stack.without_key(), stack.with_key("nonsense")] {
        caller.get_health().await.expect(200, &json!({"status": "ok"}));
    }
}

#[tokio::test]
async fn more_requests_at_once_than_there_are_processes_wait_their_turn() {
    let stack = Stack::connect();
    let answers = join_all((0..200).map(|_| stack.get_health())).await;
    for answer in answers {
        answer.expect(200, &json!({"status": "ok"}));
    }
}
