//! `GET /summary/{agent_id}/{user_id}`: how often each signal occurred.

use serde_json::json;

use crate::stack::{Stack, fresh};

#[tokio::test]
async fn signals_that_occur_are_counted_and_no_others() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for text in ["good", "great", "thanks", "hello"] {
        stack.post_log(&json!({"agent_id": "agent", "user_id": user, "user_input": text})).await.ok();
    }
    stack.get_summary("agent", &user).await.expect(200, &json!({"positive": 3, "neutral": 1}));
}

#[tokio::test]
async fn signals_of_the_callers_own_are_counted_whatever_their_names() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let names = ["a=1,b", "=", ",", "日本 语", "neutral.jsonl", "Neutral", "-", "a+b&c"];
    for name in names.iter().chain(&names[..2]) {
        let interaction = json!({"agent_id": "agent", "user_id": user, "user_input": "", "detected_signal": name});
        stack.post_log(&interaction).await.ok();
    }
    let expected = json!({
        "a=1,b": 2, "=": 2, ",": 1, "日本 语": 1, "neutral.jsonl": 1, "Neutral": 1, "-": 1, "a+b&c": 1,
    });
    stack.get_summary("agent", &user).await.expect(200, &expected);
}

#[tokio::test]
async fn nobody_has_an_empty_summary() {
    Stack::connect().get_summary("agent", &fresh("user")).await.expect(200, &json!({}));
}
