//! `GET /logs/{agent_id}/{user_id}`: the last entries, oldest first.

use serde_json::{Value, json};

use crate::stack::{Stack, fresh};

#[tokio::test]
async fn the_last_ten_come_oldest_first() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let logged = log_in_turn(&stack, "agent", &user, 12).await;
    stack.get_logs("agent", &user).await.expect(200, &json!(logged[2..]));
}

#[tokio::test]
async fn limit_is_1_to_100() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let logged = log_in_turn(&stack, "agent", &user, 12).await;
    for (limit, first) in [(1, 11), (11, 1), (12, 0), (100, 0)] {
        let answer = stack.get_logs_where("agent", &user, &format!("limit={limit}")).await;
        answer.expect(200, &json!(logged[first..]));
    }
}

#[tokio::test]
async fn a_bad_limit_is_refused_and_an_unknown_parameter_ignored() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (limit, kind) in [
        ("0", "greater_than_equal"),
        ("-1", "greater_than_equal"),
        ("101", "less_than_equal"),
        ("abc", "int_parsing"),
        ("1.5", "int_parsing"),
        ("", "int_parsing"),
    ] {
        let answer = stack.get_logs_where("agent", &user, &format!("limit={limit}")).await;
        answer.expect_faults(&[("query.limit", kind)]);
        answer.check(answer.json(422)["detail"][0]["input"] == limit, "the limit that was sent");
    }
    stack.get_logs_where("agent", &user, "nobody=1").await.expect(200, &json!([]));
}

#[tokio::test]
async fn nobody_has_no_entries() {
    Stack::connect().get_logs("agent", &fresh("user")).await.expect(200, &json!([]));
}

#[tokio::test]
async fn users_and_agents_see_their_own_entries_although_their_names_begin_alike() {
    let (stack, user, agent) = (Stack::connect(), fresh("user"), fresh("agent"));
    let pairs = [
        (agent.clone(), user.clone()),
        (agent.clone(), format!("{user}1")),
        (agent.clone(), format!("{user} ")),
        (agent.clone(), user.to_uppercase()),
        (format!("{agent}1"), user.clone()),
        (user.clone(), agent.clone()),
    ];
    for (agent, user) in &pairs {
        log_in_turn(&stack, agent, user, 1).await;
    }
    for (agent, user) in &pairs {
        let answer = stack.get_logs(agent, user).await;
        let entries = answer.list();
        let own = |entry: &Value| entry["agent_id"] == **agent && entry["user_id"] == **user;
        answer.check(entries.len() == 1 && own(&entries[0]), &format!("the one entry of {agent:?} and {user:?}"));
        stack.get_summary(agent, user).await.expect(200, &json!({"neutral": 1}));
    }
}

#[tokio::test]
async fn entries_of_the_same_moment_are_all_there() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let posts = (0..40).map(async |_| stack.post_log(&interaction("agent", &user, "hi")).await.ok()["logged"].clone());
    let mut logged = futures_util::future::join_all(posts).await;
    let order = |entry: &Value| (entry["timestamp"].to_string(), entry["log_id"].to_string());
    logged.sort_by_key(order);
    stack.get_logs_where("agent", &user, "limit=100").await.expect(200, &json!(logged));
    stack.get_logs_where("agent", &user, "limit=7").await.expect(200, &json!(logged[33..]));
}

fn interaction(agent: &str, user: &str, user_input: &str) -> Value {
    json!({"agent_id": agent, "user_id": user, "user_input": user_input})
}

/// Records `count` interactions, one after the other, and gives the entries in that order.
async fn log_in_turn(stack: &Stack, agent: &str, user: &str, count: usize) -> Vec<Value> {
    let mut logged = Vec::new();
    for index in 0..count {
        let answer = stack.post_log(&interaction(agent, user, &format!("message {index}"))).await;
        logged.push(answer.ok()["logged"].clone());
    }
    logged
}
