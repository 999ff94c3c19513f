//! `GET /anomalies/{user_id}`: a user's anomalies, newest first.

use serde_json::{Value, json};

use crate::event_set::{Stored, listed};
use crate::events::{SECOND, at, event};
use crate::keys::key_for;
use crate::stack::{Stack, fresh};

#[tokio::test]
async fn anomalies_come_newest_first_a_hundred_unless_asked_otherwise() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    // Four a second: 20 in a window, so that every event from the eleventh on is one too many.
    let mut anomalies = Vec::new();
    for index in 0..112 {
        anomalies.push(stack.ingest(&event(&user, "x", at(index * SECOND / 4))).await);
    }
    anomalies.retain(|anomaly| !anomaly.is_null());
    anomalies.reverse();
    assert_eq!(anomalies.len(), 102);
    stack.get_anomalies(&user).await.expect(200, &json!(anomalies[..100]));
    for limit in [1, 2, 100] {
        let answer = stack.get_anomalies_where(&user, &format!("limit={limit}")).await;
        answer.expect(200, &json!(anomalies[..limit]));
    }
}

#[tokio::test]
async fn a_bad_limit_is_refused_and_an_unknown_parameter_ignored() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (limit, kind) in
        [("0", "greater_than_equal"), ("101", "less_than_equal"), ("abc", "int_parsing"), ("", "int_parsing")]
    {
        let answer = stack.get_anomalies_where(&user, &format!("limit={limit}")).await;
        answer.expect_faults(&[("query.limit", kind)]);
    }
    stack.get_anomalies_where(&user, "nobody=1").await.expect(200, &json!([]));
}

#[tokio::test]
async fn nobody_has_no_anomalies() {
    Stack::connect().get_anomalies(&fresh("user")).await.expect(200, &json!([]));
}

#[tokio::test]
async fn a_key_for_some_agents_sees_the_anomalies_of_their_events_alone() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for index in 0..30 {
        let mut event = Stored::new(format!("{index:02}"), "x", index * SECOND / 10);
        event.agent = format!("agent {}", index % 3);
        stack.ingest(&event.body(&user)).await;
    }
    let all = stack.get_anomalies(&user).await.list();
    assert_eq!(listed(&all).len(), 20);
    let limited = stack.with_key(key_for(&["agent 1", "agent 2"]).await);
    let own: Vec<Value> = all.iter().filter(|anomaly| anomaly["agent_id"] != "agent 0").cloned().collect();
    limited.get_anomalies(&user).await.expect(200, &json!(own));
    // The limit counts what the key may see, not what is hidden from it.
    limited.get_anomalies_where(&user, "limit=5").await.expect(200, &json!(own[..5]));
    let other = stack.with_key(key_for(&["agent 3"]).await);
    other.get_anomalies(&user).await.expect(200, &json!([]));
}

#[tokio::test]
async fn a_key_for_some_agents_is_not_told_of_another_agents_anomaly_by_an_answer() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for index in 0..10 {
        stack.ingest(&Stored::new(format!("{index}"), "x", SECOND).body(&user)).await;
    }
    let mut late = Stored::new("late", "x", 0);
    late.agent = "agent 1".to_owned();
    let anomaly = stack.with_key(key_for(&["agent 1"]).await).ingest(&late.body(&user)).await;
    assert_eq!(anomaly, Value::Null, "it belongs to the agent of the ten events");
    assert_eq!(stack.get_anomalies(&user).await.list().len(), 1);
}
