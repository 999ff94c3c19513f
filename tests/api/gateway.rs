//! Responses that API Gateway, or the local stack in its place, generates itself.

use http::Method;
use serde_json::json;

use crate::stack::Stack;

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let stack = Stack::connect();
    for path in [
        "",
        "/",
        "/nowhere",
        "/log/",
        "/agents/agent",
        "/agents/a/b/logs",
        "/agents/agent/activity/user",
        "/logs/agent",
        "/logs/a/b/c/d",
        "/summary/a/b/c",
        "/anomalies",
        "/LOG",
        "/mcp/",
        "/api/log",
    ] {
        for caller in [stack.clone(), stack.without_key()] {
            caller.get(path).await.expect(404, &json!({"message": "Not Found"}));
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_not_found() {
    let stack = Stack::connect();
    for (method, path) in [
        (Method::GET, "/log"),
        (Method::PUT, "/log"),
        (Method::GET, "/logs"),
        (Method::PUT, "/logs"),
        (Method::GET, "/v1/traces"),
        (Method::GET, "/public/otel/v1/traces"),
        (Method::PUT, "/v1/logs"),
        (Method::GET, "/v1/metrics"),
        (Method::DELETE, "/logs/agent/user"),
        (Method::POST, "/logs/agent/user"),
        (Method::GET, "/logs/agent/user/id/feedback"),
        (Method::DELETE, "/logs/agent/user/id/feedback"),
        (Method::POST, "/agents"),
        (Method::POST, "/agents/activity"),
        (Method::POST, "/agents/agent/feedback"),
        (Method::DELETE, "/agents/agent/users"),
        (Method::POST, "/agents/agent/activity"),
        (Method::POST, "/agents/agent/logs"),
        (Method::PUT, "/agents/agent/summary"),
        (Method::POST, "/agents/agent/visualize"),
        (Method::POST, "/summary/agent/user"),
        (Method::POST, "/visualize/agent/user"),
        (Method::GET, "/classify"),
        (Method::PUT, "/mcp"),
        (Method::PATCH, "/mcp"),
        (Method::GET, "/event"),
        (Method::PATCH, "/event"),
        (Method::GET, "/events"),
        (Method::PUT, "/events"),
        (Method::POST, "/events/user"),
        (Method::DELETE, "/events/user"),
        (Method::POST, "/anomalies/user"),
        (Method::POST, "/health"),
    ] {
        stack.send(method, path, &[], "").await.expect(404, &json!({"message": "Not Found"}));
    }
}
