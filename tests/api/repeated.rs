//! Query parameters that occur more than once. Every known parameter is rejected, so that no value is ignored silently.

use serde_json::json;

use crate::answer::Answer;
use crate::isolation::routes;
use crate::stack::{Stack, fresh};

const JSON: (&str, &str) = ("content-type", "application/json");

/// The query parameters of an endpoint, each with a valid value.
type Parameters = &'static [(&'static str, &'static str)];

const SINCE: (&str, &str) = ("since", "2026-01-01");
const UNTIL: (&str, &str) = ("until", "2026-01-02");
const LIMIT: (&str, &str) = ("limit", "1");
/// A cursor is not parsed if there are two.
const CURSOR: (&str, &str) = ("cursor", "x");
const NAMES: Parameters = &[("prefix", "a"), CURSOR, LIMIT];

/// Every endpoint with query parameters, for the agent `agent` and the user `user`.
const ENDPOINTS: [(&str, Parameters); 12] = [
    ("/agents", NAMES),
    ("/agents/activity", NAMES),
    ("/agents/agent/users", NAMES),
    ("/agents/agent/summary", &[SINCE, UNTIL, ("interval", "hour")]),
    ("/agents/agent/activity", &[SINCE, LIMIT, ("signal", "stressed"), ("sort", "name"), CURSOR]),
    ("/agents/agent/logs", &[LIMIT, SINCE, UNTIL, ("signal", "stressed"), CURSOR]),
    ("/agents/agent/visualize", &[SINCE, UNTIL, ("width", "800"), ("height", "600"), ("theme", "dark")]),
    (
        "/logs/agent/user",
        &[LIMIT, SINCE, UNTIL, ("signal", "stressed"), ("session_id", "1"), ("q", "hi"), ("order", "oldest"), CURSOR],
    ),
    ("/summary/agent/user", &[SINCE, UNTIL, ("bucket", "hour"), CURSOR]),
    ("/visualize/agent/user", &[SINCE, UNTIL, ("width", "800"), ("height", "600"), ("theme", "dark")]),
    ("/events/user", &[SINCE, UNTIL, CURSOR, LIMIT, ("signal_type", "x")]),
    ("/anomalies/user", &[SINCE, UNTIL, CURSOR, LIMIT, ("severity", "critical"), ("group", "episode")]),
];

#[track_caller]
fn assert_repeated(answer: &Answer, name: &str, values: [&str; 2]) {
    let loc = format!("query.{name}");
    answer.expect_faults(&[(&loc, "value_error")]);
    let fault = &answer.json(422)["detail"][0];
    let is_named = fault["msg"].as_str().is_some_and(|message| message.contains(&format!("parameter {name} ")));
    answer.check(is_named, "a message that names the parameter");
    answer.check(fault["input"] == json!(values), "both values");
}

#[tokio::test]
async fn every_parameter_is_rejected_when_repeated() {
    let stack = Stack::connect();
    for (path, parameters) in ENDPOINTS {
        for (name, value) in parameters {
            // Equal values are no exception, and neither are other spellings of the name.
            for query in [
                format!("{name}={value}&{name}={value}"),
                format!("{name}={value}&%{:02x}{}={value}", name.as_bytes()[0], &name[1..]),
            ] {
                let answer = stack.get(&format!("{path}?{query}")).await;
                assert_repeated(&answer, name, [value, value]);
            }
        }
    }
}

#[tokio::test]
async fn repeated_parameter_is_rejected_between_others() {
    let stack = Stack::connect();
    let answer = stack.get("/logs/agent/user?limit=1&since=2026-01-01&limit=&until=2026-01-02").await;
    assert_repeated(&answer, "limit", ["1", ""]);
    let answer = stack.get("/events/user?limit=1&nobody=1&limit=2&nobody=2&since=x").await;
    answer.expect_faults(&[
        ("query.limit", "value_error"),
        ("query.nobody", "extra_forbidden"),
        ("query.since", "datetime_from_date_parsing"),
    ]);
}

#[tokio::test]
async fn repeated_unknown_parameter_is_reported_once_on_every_route() {
    let stack = Stack::connect();
    for route in routes().into_iter().filter(|route| !route.is_refused()) {
        let user = fresh("user");
        let path = format!("{}?nobody=1&nobody=2", route.path("agent", &user));
        let answer = stack.send(route.method.clone(), &path, &[JSON], route.body("agent", &user)).await;
        answer.expect_faults(&[("query.nobody", "extra_forbidden")]);
    }
}
