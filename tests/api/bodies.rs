//! Bodies that every endpoint with a body rejects in the same way, before it validates any field.

use http::Method;
use serde_json::json;

use crate::events::{at, event};
use crate::stack::{Stack, fresh};

const ENDPOINTS: [&str; 2] = ["/log", "/event"];
const MAX_BODY_BYTES: usize = 65_536;

#[tokio::test]
async fn an_empty_body_is_missing() {
    let stack = Stack::connect();
    for path in ENDPOINTS {
        for body in ["", " ", "\n"] {
            stack.post(path, body).await.expect_faults(&[("body", "missing")]);
        }
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_invalid_json() {
    let stack = Stack::connect();
    let nested = format!("{{\"payload\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let objects = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    for path in ENDPOINTS {
        for body in
            ["{", "not JSON", "{'a': 1}", "{\"a\": 1} 2", "{\"a\": NaN}", "{\"a\": \"\n\"}", "[1,", &nested, &objects]
        {
            let answer = stack.post(path, body.to_owned()).await;
            let faults = answer.faults();
            let one = faults.len() == 1 && faults[0].0.starts_with("body.") && faults[0].1 == "json_invalid";
            answer.check(one, "json_invalid, with the place of the fault");
        }
        stack.post(path, &b"{\"user_id\": \"\xff\"}"[..]).await.faults();
        stack.post(path, r#"{"user_id": "\ud800"}"#).await.faults();
    }
}

#[tokio::test]
async fn body_with_a_byte_order_mark_is_accepted() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let marked = |body: String| format!("\u{feff}{body}");
    let event = event(&user, "x", at(0)).to_string();
    stack.post("/event", marked(event.clone())).await.ok();
    stack.post("/events", marked(format!("[{event}]"))).await.results(1);
    let answer = stack.post_lines(marked(event)).await;
    answer.check(answer.results(1)[0]["status"] == "ingested", "an ingested event");
    let log = json!({"agent_id": "agent", "user_id": user, "user_input": "x"}).to_string();
    stack.post("/logs", marked(format!("[{log}]"))).await.results(1);
    stack.post("/log", marked(log)).await.ok();
    stack.post("/classify", marked(json!({"text": "x"}).to_string())).await.ok();
    // A byte order mark is allowed only once, at the beginning.
    for body in [marked(marked("{}".to_owned())), "{\u{feff}}".to_owned(), " \u{feff}{}".to_owned()] {
        let answer = stack.post("/event", body).await;
        answer.check(answer.faults()[0].1 == "json_invalid", "json_invalid");
    }
    stack.post("/event", marked(String::new())).await.expect_faults(&[("body", "missing")]);
}

#[tokio::test]
async fn json_that_is_no_object_is_refused() {
    let stack = Stack::connect();
    for path in ENDPOINTS {
        for body in ["[]", "[{}]", "\"text\"", "1", "true", "null"] {
            stack.post(path, body).await.expect_faults(&[("body", "model_attributes_type")]);
        }
    }
}

#[tokio::test]
async fn body_not_declared_as_json_is_an_unsupported_media_type() {
    let stack = Stack::connect();
    for path in ENDPOINTS {
        for content_type in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml"]
        {
            let answer = stack.send(Method::POST, path, &[("content-type", content_type)], "{}").await;
            answer.check(answer.json(415)["detail"].is_string(), "a reason");
        }
        for content_type in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"] {
            stack.send(Method::POST, path, &[("content-type", content_type)], "{}").await.faults();
        }
    }
}

#[tokio::test]
async fn body_at_the_limit_is_accepted_and_a_larger_one_is_rejected() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut log = json!({"agent_id": "agent", "user_id": user, "user_input": ""});
    let room = MAX_BODY_BYTES - log.to_string().len();
    let mut event = event(&user, "x", at(0));
    event["payload"] = json!({"text": ""});
    let event_room = MAX_BODY_BYTES - event.to_string().len();

    for too_long in [room + 1, 1 << 20] {
        log["user_input"] = json!("x".repeat(too_long));
        let answer = stack.post_log(&log).await;
        answer.check(answer.json(413)["detail"].to_string().contains("65536"), "the limit to be named");
    }
    stack.get_logs("agent", &user).await.expect(200, &json!([]));
    log["user_input"] = json!("x".repeat(room));
    let logged = stack.log(&log).await;
    stack.get_logs("agent", &user).await.expect(200, &json!([logged]));

    event["payload"]["text"] = json!("x".repeat(event_room + 1));
    let answer = stack.post_event(&event).await;
    answer.check(answer.json(413)["detail"].to_string().contains("65536"), "the limit to be named");
    event["payload"]["text"] = json!("x".repeat(event_room));
    stack.ingest(&event).await;
}
