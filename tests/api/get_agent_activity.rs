//! `GET /agents/{agent_id}/activity`: the users of an agent with their latest state.

use serde_json::{Value, json};
use shared::time::Timestamp;

use crate::pages::follow;
use crate::stack::{Stack, fresh};

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

/// Returns the time `hours` hours ago.
fn ago(hours: i64) -> Timestamp {
    Timestamp::now().offset(-hours * HOUR)
}

/// Records an interaction `hours` hours ago for each of `rows`, and waits until they are counted.
async fn record(stack: &Stack, agent: &str, rows: &[(&str, i64, &str)]) {
    let interaction = |(user, hours, signal): &(&str, i64, &str)| {
        let time = ago(*hours).to_rfc3339_millis();
        json!({"agent_id": agent, "user_id": user, "user_input": "hi", "detected_signal": signal, "timestamp": time})
    };
    stack.post_logs(&rows.iter().map(interaction).collect::<Vec<_>>()).await.expect_accepted(rows.len());
    let oldest = ago(100).to_rfc3339_millis();
    stack.wait_until_counted(agent, &format!("since={oldest}"), rows.len() as u64).await;
}

async fn users(stack: &Stack, agent: &str, query: &str) -> Vec<String> {
    let pages = follow(query, async |query| stack.get_agent_activity_where(agent, query).await).await;
    let name = |row: &Value| row["user_id"].as_str().expect("a name").to_owned();
    pages.concat().iter().map(name).collect()
}

#[tokio::test]
async fn stressed_user_is_first_among_many() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    let names: Vec<_> = (0..60).map(|n| format!("user {n:02}")).collect();
    let mut rows: Vec<_> = names.iter().map(|name| (name.as_str(), 0, "neutral")).collect();
    rows.extend([("zoe", 2, "stressed"), ("zoe", 1, "neutral"), ("adam", 5, "stressed")]);
    record(&stack, &agent, &rows).await;
    assert_eq!(users(&stack, &agent, "sort=stressed").await, ["zoe", "adam"]);
    assert_eq!(users(&stack, &agent, "sort=stressed&signal=neutral&limit=1").await, ["zoe"]);
    let recent = users(&stack, &agent, "sort=recent&limit=7").await;
    assert_eq!((&recent[60..], recent.len()), (&["zoe".to_owned(), "adam".to_owned()][..], 62));
    assert_eq!(users(&stack, &agent, "limit=100").await, recent);
    let mut sorted = recent.clone();
    sorted.sort();
    assert_eq!(users(&stack, &agent, "sort=name&limit=7").await, sorted);
    assert_eq!(users(&stack, &agent, "sort=name&limit=7&signal=stressed").await, ["adam"]);
}

#[tokio::test]
async fn row_has_latest_entries_and_counts() {
    let (stack, agent) = (Stack::connect(), fresh("日本 agent"));
    let user = " a*b & ü ";
    record(&stack, &agent, &[(user, 60, "bored"), (user, 30, "stressed"), (user, 3, "bored")]).await;
    let last = stack.log(&json!({"agent_id": agent, "user_id": user, "user_input": "thanks"})).await;
    stack.wait_until_counted(&agent, "", 2).await;
    let stressed = stack.get_logs_where(&agent, user, "signal=stressed").await.list()[0]["timestamp"].clone();
    for sort in ["recent", "stressed", "name"] {
        let answer = stack.get_agent_activity_where(&agent, &format!("sort={sort}")).await;
        let rows = answer.list();
        let [row] = &rows[..] else { panic!("{answer}") };
        assert_eq!((&row["user_id"], &row["last_signal"]), (&json!(user), &json!("positive")));
        assert_eq!((&row["last_seen"], &row["last_log_id"]), (&last["timestamp"], &last["log_id"]));
        assert_eq!((&row["last_stressed"], &row["counts"]), (&stressed, &json!({"positive": 1, "bored": 1})));
    }
    let since = ago(48).to_rfc3339_millis();
    let row = stack.get_agent_activity_where(&agent, &format!("since={since}")).await.list().remove(0);
    assert_eq!(row["counts"], json!({"positive": 1, "stressed": 1, "bored": 1}));
    let days = row["days"].as_array().expect("days");
    let sum: u64 =
        days.iter().flat_map(|day| day["counts"].as_object().expect("counts").values()).filter_map(Value::as_u64).sum();
    let starts: Vec<_> = days.iter().map(|day| day["start"].as_str().expect("a time").to_owned()).collect();
    assert!(sum == 3 && starts.len() >= 2 && starts.is_sorted(), "{days:?}");
    assert!(starts.iter().all(|start| start.ends_with("T00:00:00.000Z")), "{starts:?}");
}

#[tokio::test]
async fn agent_without_interactions_has_no_users() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    for sort in ["recent", "stressed", "name"] {
        stack.get_agent_activity_where(&agent, &format!("sort={sort}")).await.expect(200, &json!([]));
    }
}

#[tokio::test]
async fn bad_parameters_are_named_at_once() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    stack
        .get_agent_activity_where(&agent, "sort=age&limit=101&since=x&signal=&cursor=maria&until=x")
        .await
        .expect_faults(&[
            ("query.sort", "literal_error"),
            ("query.limit", "less_than_equal"),
            ("query.since", "datetime_from_date_parsing"),
            ("query.signal", "string_too_short"),
            ("query.cursor", "value_error"),
            ("query.until", "extra_forbidden"),
        ]);
    let answer = stack.get_agent_activity_where(&agent, "since=2026-01-01").await;
    answer.expect_faults(&[("query.since", "value_error")]);
    answer.check(answer.contains("35 days"), "the limit");
    // A cursor belongs to its order: a name is not a position in time.
    stack.get_agent_activity_where(&agent, "sort=name&cursor=maria").await.expect(200, &json!([]));
    stack
        .get_agent_activity_where(&agent, "sort=name&cursor=a/b")
        .await
        .expect_faults(&[("query.cursor", "value_error")]);
}
