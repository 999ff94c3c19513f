//! `GET /agents`: the agents that have logs.

use serde_json::{Value, json};
use shared::auth::Scope;

use crate::keys::{key_for, key_with};
use crate::pages::follow;
use crate::stack::{Stack, fresh, segment};

/// Records an interaction with each of `agents`.
async fn log_with(stack: &Stack, agents: &[String]) {
    for agent in agents {
        let interaction = json!({"agent_id": agent, "user_id": "user", "user_input": "hi"});
        stack.log(&interaction).await;
    }
}

#[tokio::test]
async fn agents_with_logs_are_found_by_what_their_names_begin_with() {
    let (stack, stem) = (Stack::connect(), fresh("日本 agent"));
    // Percent-encoded, a space and a dot sort before the slash that ends the shorter name, and a digit sorts after it.
    let agents = [" x", ".x", "", "0"].map(|ending| format!("{stem}{ending}"));
    log_with(&stack, &agents).await;
    log_with(&stack, &agents[..1]).await;
    let prefix = format!("prefix={}", segment(&stem));
    stack.get_agents_where(&prefix).await.expect(200, &json!(agents));
    for limit in 1..=5 {
        let query = format!("{prefix}&limit={limit}");
        let pages = follow(&query, async |query| stack.get_agents_where(query).await).await;
        assert_eq!(pages.concat(), agents, "limit {limit}");
        assert_eq!(pages.len(), 4_usize.div_ceil(limit), "limit {limit}");
    }
    stack.get_agents_where(&format!("{prefix}%20X")).await.expect(200, &json!([]));
}

#[tokio::test]
async fn without_anything_typed_all_pages_together_have_every_agent() {
    let (stack, agents) = (Stack::connect(), [fresh("agent"), fresh("Ünïcødé agent")]);
    log_with(&stack, &agents).await;
    let pages = follow("", async |query| stack.get_agents_where(query).await).await.concat();
    assert!(agents.iter().all(|agent| pages.contains(&json!(agent))), "{pages:?}");
}

#[tokio::test]
async fn a_key_for_some_agents_is_shown_those_of_them_that_have_logs() {
    let (stack, stem) = (Stack::connect(), fresh("agent"));
    let agents: Vec<_> = (0..4).map(|index| format!("{stem} {index}")).collect();
    log_with(&stack, &agents).await;
    let without_logs = format!("{stem} 9");
    let limited = stack.with_key(key_for(&[&agents[1], &agents[3], &without_logs]).await);
    for query in ["", "prefix=agent", "limit=1", "cursor=a"] {
        let pages = follow(query, async |query| limited.get_agents_where(query).await).await;
        assert_eq!(pages.concat(), [json!(agents[1]), json!(agents[3])], "{query}");
    }
    limited.get_agents_where("cursor=b").await.expect(200, &json!([]));
}

#[tokio::test]
async fn a_key_for_many_agents_comes_to_an_end_though_none_has_logs() {
    let (stack, stem) = (Stack::connect(), fresh("agent"));
    let agents: Vec<_> = (0..50).map(|index| format!("{stem} {index}")).collect();
    let names: Vec<_> = agents.iter().map(String::as_str).collect();
    let limited = stack.with_key(key_for(&names).await);
    let pages = follow("limit=100", async |query| limited.get_agents_where(query).await).await;
    assert_eq!(pages.concat(), [] as [Value; 0]);
    log_with(&stack, &agents[20..21]).await;
    let pages = follow("limit=100", async |query| limited.get_agents_where(query).await).await;
    assert_eq!(pages.concat(), [json!(agents[20])]);
}

#[tokio::test]
async fn bad_parameters_are_named_at_once() {
    let stack = Stack::connect();
    stack
        .get_agents_where(&format!("prefix={}", "x".repeat(129)))
        .await
        .expect_faults(&[("query.prefix", "string_too_long")]);
    let answer = stack.get_agents_where(&format!("limit=0&cursor=a/b&prefix={}", "x".repeat(129))).await;
    answer.expect_faults(&[
        ("query.prefix", "string_too_long"),
        ("query.cursor", "value_error"),
        ("query.limit", "greater_than_equal"),
    ]);
    for prefix in ["%2F", "..%2F..", "%25", "%00", "*", "a%0Ab"] {
        stack.get_agents_where(&format!("prefix={prefix}")).await.expect(200, &json!([]));
    }
}

#[tokio::test]
async fn finding_agents_takes_the_scope_for_reading_logs() {
    let stack = Stack::connect();
    let others: Vec<_> = Scope::ALL.into_iter().filter(|scope| *scope != Scope::LogsRead).collect();
    let caller = stack.with_key(key_with(&others).await);
    caller.get_agents_where("limit=0").await.expect(403, &json!({"detail": "Forbidden"}));
    stack.without_key().get_agents_where("").await.expect(401, &json!({"detail": "Unauthorized"}));
}
