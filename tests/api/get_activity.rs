//! `GET /agents/activity`: the agents with their counts of today.

use serde_json::{Value, json};
use shared::time::Timestamp;

use crate::keys::key_for;
use crate::pages::follow;
use crate::stack::{Stack, eventually, fresh};

/// Returns the current hour as shown.
fn hour() -> String {
    format!("{}:00:00.000Z", &Timestamp::now().to_rfc3339_millis()[..13])
}

#[tokio::test]
async fn each_agent_has_the_counts_and_users_of_today() {
    let stack = Stack::connect();
    // A full hour ends while the interactions are counted only if this takes longer than an hour.
    let (stem, row) = eventually("the interactions of one hour are counted", async || {
        let (stem, before) = (fresh("agent"), hour());
        let [own, other] = ["a", "b"].map(|end| format!("{stem} {end}"));
        for (agent, user, text) in
            [(&own, "maria", "frustrated"), (&own, "maria", "hi"), (&own, "paul", "hi"), (&other, "x", "hi")]
        {
            stack.log(&json!({"agent_id": agent, "user_id": user, "user_input": text})).await;
        }
        let yesterday = Timestamp::now().offset(-25 * 3_600_000_000).to_rfc3339_millis();
        stack.log(&json!({"agent_id": other, "user_id": "y", "user_input": "hi", "timestamp": yesterday})).await;
        stack.wait_until_counted(&own, "", 3).await;
        stack.wait_until_counted(&other, &format!("since={yesterday}"), 2).await;
        let rows = stack.get_activity_where(&format!("prefix={stem}")).await.list();
        (hour() == before).then_some((stem, json!(rows)))
    })
    .await;
    let hour = row[0]["newest_hour"].clone();
    let expected = json!([
        {"agent_id": format!("{stem} a"), "counts": {"neutral": 2, "stressed": 1}, "users": 2, "stressed_users": 1,
         "newest_hour": hour},
        {"agent_id": format!("{stem} b"), "counts": {"neutral": 1}, "users": 1, "stressed_users": 0, "newest_hour": hour},
    ]);
    assert_eq!(row, expected);
    assert!(hour.as_str().is_some_and(|hour| hour.ends_with(":00:00.000Z")), "{hour}");
}

#[tokio::test]
async fn agents_are_those_of_the_key_and_paged() {
    let (stack, stem) = (Stack::connect(), fresh("agent"));
    let agents: Vec<_> = (0..4).map(|index| format!("{stem} {index}")).collect();
    for agent in &agents {
        let time = "2026-01-01T12:00:00Z";
        stack.log(&json!({"agent_id": agent, "user_id": "user", "user_input": "hi", "timestamp": time})).await;
    }
    let limited = stack.with_key(key_for(&[&agents[1], &agents[3], &format!("{stem} 9")]).await);
    for query in [String::new(), "limit=1".to_owned(), format!("prefix={stem}")] {
        let pages = follow(&query, async |query| limited.get_activity_where(query).await).await;
        let idle = |agent: &String| json!({"agent_id": agent, "counts": {}, "users": 0, "stressed_users": 0, "newest_hour": null});
        assert_eq!(pages.concat(), [idle(&agents[1]), idle(&agents[3])], "{query}");
    }
    let pages = follow(&format!("prefix={stem}&limit=3"), async |query| stack.get_activity_where(query).await).await;
    let names: Vec<Value> = pages.concat().iter().map(|row| row["agent_id"].clone()).collect();
    assert_eq!(names, agents);
}

#[tokio::test]
async fn bad_parameters_are_named_at_once() {
    Stack::connect().get_activity_where("limit=101&cursor=a/b&day=today").await.expect_faults(&[
        ("query.limit", "less_than_equal"),
        ("query.cursor", "value_error"),
        ("query.day", "extra_forbidden"),
    ]);
}
