//! Unusual names of users and agents, in every place that accepts a name.

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::events::{at, event};
use crate::pages::follow;
use crate::stack::{Stack, eventually, fresh};

#[tokio::test]
async fn users_and_agents_of_any_script_and_length_work_everywhere() {
    let stack = Stack::connect();
    for name in ["日本 语", "a b+c&d=e;f", "Ünïcødé", "🙂", "...", "~!$'()*,:@[]{}|^`\"<>", " leading and trailing "]
    {
        works_everywhere(&stack, &fresh(name), name).await;
        works_everywhere(&stack, name, &fresh(name)).await;
    }
    works_everywhere(&stack, "agent", &format!("{:x<128}", fresh("user"))).await;
    works_everywhere(&stack, &format!("{:x<128}", fresh("agent")), "user").await;
}

#[tokio::test]
async fn a_path_encoded_twice_names_the_same_user() {
    let (stack, user) = (Stack::connect(), fresh("a b+c"));
    stack.log(&json!({"agent_id": "agent", "user_id": user, "user_input": "hi"})).await;
    for path in [user.replace(' ', "%20"), user.replace(' ', "%2520"), user.replace(' ', "%20").replace('+', "%2B")] {
        let answer = stack.get(&format!("/logs/agent/{path}")).await;
        answer.check(answer.list().len() == 1, "the user's entry");
    }
}

#[tokio::test]
async fn names_that_look_alike_are_different_users() {
    let (stack, run) = (Stack::connect(), fresh("user"));
    // é as one code point and as two, an invisible character, and letters that are compatible but not equal.
    let names = ["\u{e9}", "e\u{301}", "\u{e9}\u{200b}", "\u{ff45}\u{301}", "E\u{301}"];
    for (count, name) in names.iter().enumerate() {
        let user = format!("{name}-{run}");
        for number in 0..=count {
            stack.ingest(&event(&user, "x", at(number as i64))).await;
            stack.post_log(&json!({"agent_id": "agent", "user_id": user, "user_input": "hi"})).await.ok();
        }
    }
    for (count, name) in names.iter().enumerate() {
        let user = format!("{name}-{run}");
        let events = stack.get_events(&user).await;
        let is_own = events.list().iter().all(|event| event["user_id"] == user.as_str());
        events.check(is_own && events.list().len() == count + 1, "the user's own events");
        let logs = stack.get_logs("agent", &user).await;
        logs.check(logs.list().len() == count + 1, "the user's own entries");
    }
}

#[tokio::test]
async fn a_user_cannot_be_named_by_the_query() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    stack.log(&json!({"agent_id": "agent", "user_id": user, "user_input": "hi"})).await;
    let answer = stack.get_logs_where("agent", &fresh("nobody"), &format!("user_id={user}")).await;
    answer.expect_faults(&[("query.user_id", "extra_forbidden")]);
}

#[tokio::test]
async fn names_with_path_structure_are_rejected_in_every_path() {
    let stack = Stack::connect();
    let too_long = "x".repeat(129);
    let too_long_in_bytes = "%C3%A9".repeat(65);
    let bad = ["%2e%2e", "%2E", "%252e%252e", "a%252Fb", "a%5Cb", "a%00b", "a%0Ab", "100%25", "%FF"];
    for name in bad.into_iter().chain([too_long.as_str(), &too_long_in_bytes]) {
        for endpoint in ["logs", "summary", "visualize"] {
            stack.get(&format!("/{endpoint}/agent/{name}")).await.expect_fault_at("path.user_id");
            stack.get(&format!("/{endpoint}/{name}/user")).await.expect_fault_at("path.agent_id");
        }
        for endpoint in ["users", "summary", "activity", "logs", "visualize", "feedback"] {
            stack.get(&format!("/agents/{name}/{endpoint}")).await.expect_fault_at("path.agent_id");
        }
        for (path, place) in [(format!("agent/{name}"), "path.user_id"), (format!("{name}/user"), "path.agent_id")] {
            let path = format!("/logs/{path}/{}/feedback", Uuid::now_v7());
            stack.post(&path, json!({"signal": "neutral"}).to_string()).await.expect_fault_at(place);
        }
        for endpoint in ["events", "anomalies"] {
            stack.get(&format!("/{endpoint}/{name}")).await.expect_fault_at("path.user_id");
        }
    }
}

/// API Gateway decodes a path before routing, so `/`, `?` and `#` are structure in API Gateway and an error elsewhere.
/// In either case, the response reveals nothing about a user with such a name.
#[tokio::test]
async fn encoded_separators_in_a_path_are_refused_or_structure() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for path in ["logs/agent/{user}%2Fb", "summary/agent%2Fb/{user}", "events/a%2F{user}", "anomalies/a%2F{user}"] {
        let answer = stack.get(&format!("/{}", path.replace("{user}", &user))).await;
        answer.check([404, 422].contains(&answer.status()), "404 by the router or 422 by the function");
    }
    // Cut at the separator, the name is that of another user, who has no data.
    for separator in ["%3F", "%23"] {
        let answer = stack.get(&format!("/logs/agent/{user}{separator}b")).await;
        if answer.status() != 422 {
            answer.expect(200, &json!([]));
        }
    }
}

#[tokio::test]
async fn dots_in_a_path_lead_nowhere() {
    let stack = Stack::connect();
    stack.get("/logs/agent/..").await.expect_fault_at("path.user_id");
    stack.get("/logs/../user").await.expect_fault_at("path.agent_id");
    stack.get("/anomalies/.").await.expect_fault_at("path.user_id");
    stack.get("/events/..").await.expect_fault_at("path.user_id");
    stack.get("/logs/a/b/..").await.expect_fault_at("path.log_id");
    stack.get("/logs/a/b/c/d").await.expect(404, &json!({"message": "Not Found"}));
}

#[tokio::test]
async fn both_names_in_a_path_are_faulted_at_once() {
    let answer = Stack::connect().send(Method::GET, "/logs/a%5Cb/%2e%2e?limit=0", &[], "").await;
    let mut locations: Vec<_> = answer.faults().into_iter().map(|(loc, _)| loc).collect();
    locations.sort();
    answer.check(locations == ["path.agent_id", "path.user_id", "query.limit"], "three faults");
}

/// Calls every endpoint that accepts a name. Either name is fresh, so the data belongs to this test.
async fn works_everywhere(stack: &Stack, agent: &str, user: &str) {
    let interaction = json!({"agent_id": agent, "user_id": user, "user_input": "good"});
    let logged = stack.log(&interaction).await;
    assert_eq!((&logged["agent_id"], &logged["user_id"]), (&json!(agent), &json!(user)));
    stack.get_logs(agent, user).await.expect(200, &json!([logged]));
    let log_id = logged["log_id"].as_str().expect("an id");
    let given = stack.post_feedback(agent, user, log_id, &json!({"signal": "neutral"})).await.ok()["feedback"].clone();
    assert_eq!((&given["agent_id"], &given["user_id"]), (&json!(agent), &json!(user)));
    eventually("the agent's feedback is listed", async || {
        let listed = stack.get_feedback(agent, "").await.ok()["feedback"].clone();
        listed.as_array().is_some_and(|listed| listed.contains(&given)).then_some(())
    })
    .await;
    stack.get_summary(agent, user).await.expect(200, &json!({"positive": 1}));
    stack.get_visualize(agent, user).await.bytes("image/png");

    // An anomaly belongs to a user, so the user is fresh, within the maximum length of a name.
    let user = if user.len() < 90 { fresh(user) } else { user.to_owned() };
    let mut event = event(&user, "x", at(0));
    event["agent_id"] = json!(agent);
    let anomaly = stack.post_alike(&event, 11).await.pop().unwrap_or_default();
    assert_eq!((&anomaly["agent_id"], &anomaly["user_id"]), (&json!(agent), &json!(user)), "{anomaly}");
    stack.get_anomalies(&user).await.expect(200, &json!([anomaly]));
    assert_page_by_page(stack, agent, &user).await;
}

/// Checks the eleven events of `user` page by page, through links that contain the names of agents and events.
async fn assert_page_by_page(stack: &Stack, agent: &str, user: &str) {
    let pages = follow("limit=4", async |query| stack.get_events_where(user, query).await).await;
    let events: Vec<_> = pages.concat();
    assert_eq!(events.len(), 11, "{events:?}");
    let own = |event: &&Value| event["agent_id"] == agent && event["user_id"] == user;
    assert_eq!(events.iter().filter(own).count(), 11, "{events:?}");
}
