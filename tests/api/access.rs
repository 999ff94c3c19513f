//! Access control: API keys, their scopes and their agents.

use http::Method;
use serde_json::{Value, json};
use shared::auth::Scope;

use crate::answer::Answer;
use crate::events::{at, event};
use crate::keys::{expired_key, key_for, key_with, revoked_key, unknown_key};
use crate::stack::{Stack, fresh};

/// Calls every endpoint that requires a key, each time for `agent` and `user`. The body of a POST is valid.
async fn call_all(stack: &Stack, agent: &str, user: &str) -> Vec<(Scope, Answer)> {
    let interaction = json!({"agent_id": agent, "user_id": user, "user_input": "hi"});
    let mut event = event(user, "x", at(0));
    event["agent_id"] = json!(agent);
    vec![
        (Scope::LogsWrite, stack.post_log(&interaction).await),
        (Scope::LogsWrite, stack.post_logs(std::slice::from_ref(&interaction)).await),
        (Scope::LogsRead, stack.get_logs(agent, user).await),
        (Scope::LogsRead, stack.get_summary(agent, user).await),
        (Scope::LogsRead, stack.get_visualize(agent, user).await),
        (Scope::LogsRead, stack.get_users(agent).await),
        (Scope::LogsRead, stack.get_agent_summary_where(agent, "").await),
        (Scope::LogsRead, stack.get_agent_activity_where(agent, "").await),
        (Scope::LogsRead, stack.get_agent_logs_where(agent, "").await),
        (Scope::EventsWrite, stack.post_event(&event).await),
        (Scope::EventsWrite, stack.post_events(std::slice::from_ref(&event)).await),
        (Scope::EventsRead, stack.get_events(user).await),
        (Scope::EventsRead, stack.get_anomalies(user).await),
    ]
}

/// Returns whether the request was accepted, including every item of a batch. A busy stack accepts by queueing.
fn is_taken(answer: &Answer) -> bool {
    match answer.status() {
        207 => ["ingested", "ok", "queued"].iter().any(|status| answer.results(1)[0]["status"] == *status),
        status => status == 200 || status == 202,
    }
}

#[tokio::test]
async fn without_a_valid_key_every_endpoint_is_unauthorized() {
    let stack = Stack::connect();
    let mut callers = vec![stack.without_key()];
    let garbage = ["", " ", "nonsense", "sig_", "*"].map(str::to_owned);
    for key in [unknown_key(), revoked_key().await, expired_key().await].into_iter().chain(garbage) {
        callers.push(stack.with_key(key));
    }
    for caller in callers {
        for (_, answer) in call_all(&caller, "agent", &fresh("user")).await {
            answer.expect(401, &json!({"detail": "Unauthorized"}));
        }
    }
}

#[tokio::test]
async fn a_key_is_looked_at_before_the_request_is() {
    let stranger = Stack::connect().without_key();
    for path in ["/log", "/logs", "/v1/traces", "/v1/logs", "/v1/metrics", "/classify", "/mcp", "/event", "/events"] {
        stranger.post(path, "not JSON").await.json(401);
        stranger.send(Method::POST, path, &[("content-type", "text/plain")], "x".repeat(65_537)).await.json(401);
    }
    stranger.get("/anomalies/..?limit=0").await.json(401);
    stranger.get("/events/..?cursor=x").await.json(401);
}

#[tokio::test]
async fn a_scope_opens_its_own_endpoints_and_no_others() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    stack.log(&json!({"agent_id": "agent", "user_id": user, "user_input": "hi"})).await;
    for held in Scope::ALL {
        let limited = stack.with_key(key_with(&[held]).await);
        for (demanded, answer) in call_all(&limited, "agent", &user).await {
            if demanded == held {
                answer.check(is_taken(&answer), &format!("{held} to be enough"));
            } else {
                answer.expect(403, &json!({"detail": "Forbidden"}));
            }
        }
    }
}

#[tokio::test]
async fn a_key_for_some_agents_is_forbidden_the_others() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let limited = stack.with_key(key_for(&["agent 1", "日本"]).await);
    for agent in ["agent 1", "日本"] {
        for (_, answer) in call_all(&limited, agent, &user).await {
            answer.check(is_taken(&answer), "a key to open its own agent");
        }
    }
    for agent in ["agent 2", "agent", "*", "Agent 1"] {
        for (scope, answer) in call_all(&limited, agent, &user).await {
            match scope {
                // Time windows span agents. The response contains only what the key may access; the request itself is
                // not refused.
                Scope::EventsRead => {
                    let own = |item: &Value| item["agent_id"] == "agent 1" || item["agent_id"] == "日本";
                    answer.check(answer.list().iter().all(own), "nothing of other agents");
                }
                // Each item of a batch has its own result.
                _ if answer.status() == 207 => {
                    answer.expect(207, &json!({"results": [{"status": "forbidden", "detail": "Forbidden"}]}));
                }
                _ => answer.expect(403, &json!({"detail": "Forbidden"})),
            }
        }
    }
}

#[tokio::test]
async fn nothing_of_a_forbidden_request_is_stored() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let forbidden = [
        stack.with_key(key_with(&[Scope::LogsRead, Scope::EventsRead]).await),
        stack.with_key(key_for(&["another agent"]).await),
        stack.without_key(),
    ];
    for caller in forbidden.iter().cycle().take(12) {
        call_all(caller, "agent", &user).await;
    }
    stack.get_logs("agent", &user).await.expect(200, &json!([]));
    let mut event = event(&user, "x", at(0));
    event["agent_id"] = json!("agent");
    let answers = stack.post_alike(&event, 10).await;
    assert!(answers.iter().all(Value::is_null), "{answers:?}");
}
