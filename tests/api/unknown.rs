//! Names that the API does not have: query parameters are rejected, and fields of a body are named in the response.

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::events::{at, event};
use crate::isolation::routes;
use crate::stack::{Stack, fresh};

const JSON: (&str, &str) = ("content-type", "application/json");
const ASYNC: (&str, &str) = ("prefer", "respond-async");

#[tokio::test]
async fn every_route_rejects_an_unknown_parameter() {
    let stack = Stack::connect();
    for route in routes().into_iter().filter(|route| !route.is_refused()) {
        let user = fresh("user");
        for (query, name) in [("nobody=1", "nobody"), ("limits=1", "limits"), ("=", ""), ("%D0%B9", "й")] {
            let path = format!("{}?{query}", route.path("agent", &user));
            let answer = stack.send(route.method.clone(), &path, &[JSON], route.body("agent", &user)).await;
            answer.expect_faults(&[(&format!("query.{name}"), "extra_forbidden")]);
        }
    }
}

#[tokio::test]
async fn unknown_parameters_are_named_with_the_invalid_ones() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for endpoint in ["logs/agent", "summary/agent", "visualize/agent", "events", "anomalies"] {
        let answer = stack.get(&format!("/{endpoint}/{user}?since=x&Limit=1&sinc=x")).await;
        answer.expect_faults(&[
            ("query.since", "datetime_from_date_parsing"),
            ("query.Limit", "extra_forbidden"),
            ("query.sinc", "extra_forbidden"),
        ]);
    }
    let names: Vec<String> = (0..100).map(|n| format!("{}{n:03}=1", "x".repeat(20))).collect();
    let answer = stack.get(&format!("/agents?{}", names.join("&"))).await;
    answer.check(answer.faults().len() == 16, "16 of the names");
    let answer = stack.get(&format!("/agents?{}=1", "x".repeat(1_000))).await;
    answer.expect_faults(&[(&format!("query.{}", "x".repeat(64)), "extra_forbidden")]);
}

#[tokio::test]
async fn rejected_parameter_stores_nothing() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let interaction = json!({"agent_id": "agent", "user_id": user, "user_input": "hi"});
    let answer = stack.post("/log?dry_run=true", interaction.to_string()).await;
    answer.expect_faults(&[("query.dry_run", "extra_forbidden")]);
    let answer = stack.post("/events?dry_run=true", json!([event(&user, "x", at(0))]).to_string()).await;
    answer.expect_faults(&[("query.dry_run", "extra_forbidden")]);
    let answer = stack.post("/logs?dry_run=true", json!([interaction]).to_string()).await;
    answer.expect_faults(&[("query.dry_run", "extra_forbidden")]);
    stack.get_logs("agent", &user).await.expect(200, &json!([]));
    stack.get_events(&user).await.expect(200, &json!([]));
}

/// Checks the field `ignored` of a response or of a result.
#[track_caller]
fn assert_ignored(answer: &Answer, body: &Value, expected: &Value) {
    let found = body.get("ignored").cloned().unwrap_or_default();
    answer.check(found == *expected, &format!("{expected} to be ignored"));
}

#[tokio::test]
async fn log_names_the_fields_that_it_ignores() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut sent = json!({"agent_id": "agent", "user_id": user, "user_input": "hi", "log_id": Uuid::now_v7()});
    let first = stack.post_log(&sent).await;
    first.check(first.json(first.status()).get("ignored").is_none(), "no field to be ignored");
    sent["response"] = json!("Sure.");
    sent["v"] = json!(2);
    for _ in 0..2 {
        let answer = stack.post_log(&sent).await;
        assert_ignored(&answer, &answer.json(answer.status()), &json!(["response", "v"]));
        answer.check(!answer.text().contains("Sure."), "nothing of the field's value");
    }
    // Fields within metadata are the caller's own.
    sent = json!({"agent_id": "agent", "user_id": user, "user_input": "hi", "metadata": {"response": 1}});
    let answer = stack.post_log(&sent).await;
    answer.check(answer.json(answer.status()).get("ignored").is_none(), "no field to be ignored");
}

#[tokio::test]
async fn ignored_names_are_bounded_and_listed_once() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let names: String = (0..40).map(|n| format!(r#","{}{n}":1,"b":1,"\u0062":1"#, "é".repeat(3))).collect();
    let long = "\\\"".repeat(100);
    let body = format!(r#"{{"agent_id":"agent","user_id":"{user}","user_input":"hi","{long}":1{names}}}"#);
    let answer = stack.post("/log", body).await;
    let ignored = answer.json(answer.status())["ignored"].as_array().cloned().unwrap_or_default();
    answer.check(ignored.len() == 16, "16 names");
    answer.check(ignored[0] == "\"".repeat(64), "64 characters of the long name");
    answer.check(ignored[1..4] == [json!("ééé0"), json!("b"), json!("ééé1")], "the names in order");
}

#[tokio::test]
async fn event_names_the_fields_that_it_ignores() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for headers in [vec![JSON], vec![JSON, ASYNC]] {
        let mut sent = event(&user, "x", at(0));
        sent["payload"] = json!({"mine": 1});
        let answer = stack.send(Method::POST, "/event", &headers, sent.to_string()).await;
        answer.check(answer.json(answer.status()).get("ignored").is_none(), "no field to be ignored");
        sent["payloads"] = json!({});
        let answer = stack.send(Method::POST, "/event", &headers, sent.to_string()).await;
        assert_ignored(&answer, &answer.json(answer.status()), &json!(["payloads"]));
    }
}

#[tokio::test]
async fn batch_names_the_ignored_fields_of_each_event() {
    let stack = Stack::connect();
    for headers in [vec![JSON], vec![JSON, ASYNC]] {
        let user = fresh("user");
        let mut events = [event(&user, "x", at(0)), event(&user, "x", at(0)), event(&user, "x", at(0))];
        events[0]["payloads"] = json!({});
        events[1]["timestamp"] = json!("never");
        events[1]["other"] = json!(1);
        let answer = stack.send(Method::POST, "/events", &headers, json!(events).to_string()).await;
        let results = answer.json(answer.status())["results"].clone();
        assert_ignored(&answer, &results[0], &json!(["payloads"]));
        answer.check(results[1]["status"] == "invalid", "the second to be invalid");
        assert_ignored(&answer, &results[1], &json!(null));
        assert_ignored(&answer, &results[2], &json!(null));
    }
}

#[tokio::test]
async fn classify_names_the_fields_that_it_ignores() {
    let stack = Stack::connect();
    let answer = stack.post_classify(&json!({"text": "thanks", "language": "en"})).await;
    assert_ignored(&answer, &answer.ok(), &json!(["language"]));
    let answer = stack.post_classify(&json!({"texts": ["thanks"], "language": "en"})).await;
    assert_ignored(&answer, &answer.ok(), &json!(["language"]));
    let answer = stack.post_classify(&json!({"texts": ["thanks"]})).await;
    assert_ignored(&answer, &answer.ok(), &json!(null));
}
