//! `GET /health`.

use serde_json::json;

use crate::stack::Stack;

#[tokio::test]
async fn a_healthy_stack_says_so_to_anybody() {
    let stack = Stack::connect();
    for caller in [stack.clone(), stack.without_key(), stack.with_key("nonsense")] {
        caller.get_health().await.expect(200, &json!({"status": "ok"}));
    }
}
