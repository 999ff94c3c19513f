//! `GET /agents/{agent_id}/summary`: the counts of an agent over all users.

use serde_json::json;

use crate::stack::{Stack, fresh};

/// The time range of [`new_year`].
const RANGE: &str = "since=2025-12-31T23:00:00Z&until=2026-01-01T02:00:00Z";

/// Records interactions of two users around a midnight, and waits until they are counted.
async fn new_year(stack: &Stack, agent: &str) {
    let interaction = |(user, time, signal): (&str, &str, &str)| json!({"agent_id": agent, "user_id": user, "user_input": "hi", "detected_signal": signal, "timestamp": time});
    let interactions = [
        ("maria", "2025-12-31T23:59:59.999Z", "stressed"),
        ("maria", "2026-01-01T00:00:00Z", "stressed"),
        ("maria", "2026-01-01T00:04:59.999Z", "bored"),
        ("paul", "2026-01-01T00:05:00Z", "neutral"),
        ("paul", "2026-01-01T01:59:00Z", "neutral"),
    ];
    stack.post_logs(&interactions.map(interaction)).await.expect_accepted(5);
    stack.wait_until_counted(agent, RANGE, 5).await;
}

#[tokio::test]
async fn counts_of_all_users_are_added_up_by_interval() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    new_year(&stack, &agent).await;
    let mut expected = json!({
        "since": "2025-12-31T23:00:00.000Z", "until": "2026-01-01T02:00:00.000Z",
        "counts": {"neutral": 2, "stressed": 2, "bored": 1},
    });
    stack.get_agent_summary_where(&agent, RANGE).await.expect(200, &expected);
    for (interval, buckets) in [
        (
            "hour",
            json!([
                {"start": "2025-12-31T23:00:00.000Z", "counts": {"stressed": 1}, "users": 1, "stressed_users": 1},
                {"start": "2026-01-01T00:00:00.000Z", "counts": {"neutral": 1, "stressed": 1, "bored": 1}, "users": 2,
                 "stressed_users": 1},
                {"start": "2026-01-01T01:00:00.000Z", "counts": {"neutral": 1}, "users": 1, "stressed_users": 0},
            ]),
        ),
        (
            "day",
            json!([
                {"start": "2025-12-31T00:00:00.000Z", "counts": {"stressed": 1}},
                {"start": "2026-01-01T00:00:00.000Z", "counts": {"neutral": 2, "stressed": 1, "bored": 1}},
            ]),
        ),
        (
            "5m",
            json!([
                {"start": "2025-12-31T23:55:00.000Z", "counts": {"stressed": 1}},
                {"start": "2026-01-01T00:00:00.000Z", "counts": {"stressed": 1, "bored": 1}},
                {"start": "2026-01-01T00:05:00.000Z", "counts": {"neutral": 1}},
                {"start": "2026-01-01T01:55:00.000Z", "counts": {"neutral": 1}},
            ]),
        ),
    ] {
        expected["buckets"] = buckets;
        let answer = stack.get_agent_summary_where(&agent, &format!("{RANGE}&interval={interval}")).await;
        answer.expect(200, &expected);
    }
}

#[tokio::test]
async fn range_is_rounded_to_five_minutes_and_excludes_its_end() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    new_year(&stack, &agent).await;
    for (query, counts) in [
        ("since=2026-01-01T00:00:00Z&until=2026-01-01T00:05:00Z", json!({"stressed": 1, "bored": 1})),
        ("since=2026-01-01T00:04:59Z&until=2026-01-01T00:05:00.001Z", json!({"neutral": 1, "stressed": 1, "bored": 1})),
        ("since=2026-01-01T00:05:00Z&until=2026-01-01T00:05:00Z", json!({})),
        ("since=2026-01-02&until=2026-01-01", json!({})),
        ("until=2026-01-01", json!({"stressed": 1})),
    ] {
        let answer = stack.get_agent_summary_where(&agent, query).await;
        answer.check(answer.ok()["counts"] == counts, &counts.to_string());
    }
}

#[tokio::test]
async fn new_interaction_is_counted_in_the_latest_24_hours() {
    let (stack, agent) = (Stack::connect(), fresh("日本 agent"));
    stack.get_agent_summary_where(&agent, "").await.ok()["counts"].as_object().expect("counts");
    let logged = stack.log(&json!({"agent_id": agent, "user_id": "maria", "user_input": "thanks"})).await;
    stack.wait_until_counted(&agent, "", 1).await;
    let hour = format!("{}:00:00.000Z", &logged["timestamp"].as_str().expect("a time")[..13]);
    let answer = stack.get_agent_summary_where(&agent, "interval=hour").await;
    let expected = json!([{"start": hour, "counts": {"positive": 1}, "users": 1, "stressed_users": 0}]);
    answer.check(answer.ok()["buckets"] == expected, &expected.to_string());
    let days = stack.get_agent_summary_where(&agent, "interval=day").await.ok()["buckets"].clone();
    assert!(days[0].get("users").is_none(), "{days}");
}

#[tokio::test]
async fn repeated_interaction_is_counted_once() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    let interaction = |last: char| {
        let log_id = format!("019b796d-d600-7c2a-8a53-5d1c54f1a6c{last}");
        json!({"agent_id": agent, "user_id": "maria", "user_input": "hi", "log_id": log_id})
    };
    // Alone, and in a batch with another interaction: in two objects.
    stack.log(&interaction('1')).await;
    stack.post_logs(&[interaction('1'), interaction('2')]).await.expect_accepted(2);
    let range = "since=2026-01-01T12:00:00Z&until=2026-01-01T13:00:00Z";
    stack.wait_until_counted(&agent, range, 2).await;
}

#[tokio::test]
async fn too_long_ranges_and_bad_parameters_are_rejected() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    for (query, limit) in [
        ("since=2026-01-01&until=2026-02-06", "35 days"),
        ("since=2026-01-01", "35 days"),
        ("since=2026-01-01&until=2026-01-04&interval=5m", "2 days"),
    ] {
        let answer = stack.get_agent_summary_where(&agent, query).await;
        answer.expect_faults(&[("query.since", "value_error")]);
        answer.check(answer.contains(limit), limit);
    }
    for query in ["since=2026-01-01&until=2026-02-05", "since=2026-01-01&until=2026-01-03&interval=5m"] {
        stack.get_agent_summary_where(&agent, query).await.ok();
    }
    stack.get_agent_summary_where(&agent, "since=x&until=&interval=week&bucket=day").await.expect_faults(&[
        ("query.since", "datetime_from_date_parsing"),
        ("query.until", "datetime_from_date_parsing"),
        ("query.interval", "literal_error"),
        ("query.bucket", "extra_forbidden"),
    ]);
}
