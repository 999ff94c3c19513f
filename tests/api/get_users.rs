//! `GET /agents/{agent_id}/users`: the users who have logs with an agent.

use serde_json::json;

use crate::pages::follow;
use crate::stack::{Stack, fresh};

#[tokio::test]
async fn users_are_found_by_agent_and_by_what_their_names_begin_with() {
    let (stack, agent) = (Stack::connect(), fresh("an agent"));
    let users = ["Ünïcødé", "-", "a", "a b", "a-", "b", "日本 语"];
    for (agent, user) in users.iter().map(|user| (agent.as_str(), *user)).chain([(&*format!("{agent}1"), "other")]) {
        stack.log(&json!({"agent_id": agent, "user_id": user, "user_input": "hi"})).await;
    }
    let in_order = ["Ünïcødé", "日本 语", "-", "a b", "a-", "a", "b"];
    stack.get_users(&agent).await.expect(200, &json!(in_order));
    for limit in 1..=8 {
        let query = format!("limit={limit}");
        let pages = follow(&query, async |query| stack.get_users_where(&agent, query).await).await;
        assert_eq!(pages.concat(), in_order, "limit {limit}");
    }
    stack.get_users_where(&agent, "prefix=a").await.expect(200, &json!(["a b", "a-", "a"]));
    let pages = follow("prefix=a&limit=1", async |query| stack.get_users_where(&agent, query).await).await;
    assert_eq!(pages.concat(), ["a b", "a-", "a"]);
    stack.get_users_where(&agent, "prefix=a%20").await.expect(200, &json!(["a b"]));
    stack.get_users_where(&agent, "prefix=%E6%97%A5").await.expect(200, &json!(["日本 语"]));
    stack.get_users_where(&agent, "prefix=other").await.expect(200, &json!([]));
}

#[tokio::test]
async fn an_agent_nobody_talked_to_has_no_users() {
    Stack::connect().get_users(&fresh("agent")).await.expect(200, &json!([]));
}

#[tokio::test]
async fn bad_parameters_are_named_at_once() {
    let stack = Stack::connect();
    stack.get("/agents/%5C/users?limit=x&cursor=").await.expect_faults(&[
        ("path.agent_id", "value_error"),
        ("query.cursor", "value_error"),
        ("query.limit", "int_parsing"),
    ]);
}
