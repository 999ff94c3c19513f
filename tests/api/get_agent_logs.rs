//! `GET /agents/{agent_id}/logs`: the newest entries of an agent over all users.

use serde_json::{Value, json};

use crate::pages::follow;
use crate::stack::{Stack, fresh};

/// Records interactions of three users within three hours: alone, and in batches with other interactions. Returns the
/// entries, newest first, when they are counted.
async fn record(stack: &Stack, agent: &str) -> Vec<Value> {
    let interaction = |(user, time, signal): (&str, &str, &str)| {
        json!({
            "agent_id": agent, "user_id": user, "user_input": format!("{user} at {time}"), "detected_signal": signal,
            "timestamp": time,
        })
    };
    let batch = [
        ("maria", "2026-01-01T10:00:00Z", "stressed"),
        ("maria", "2026-01-01T10:20:00Z", "neutral"),
        ("maria", "2026-01-01T10:40:00Z", "stressed"),
        ("paul", "2026-01-01T10:40:00Z", "stressed"),
        ("paul", "2026-01-01T12:00:00Z", "neutral"),
    ];
    stack.post_logs(&batch.map(interaction)).await.expect_accepted(5);
    for alone in [("zoe", "2026-01-01T10:30:00Z", "stressed"), ("zoe", "2026-01-01T11:00:00.001Z", "odd one")] {
        stack.log(&interaction(alone)).await;
    }
    stack.wait_until_counted(agent, "since=2026-01-01&until=2026-01-02", 7).await;
    let mut entries = Vec::new();
    for user in ["maria", "paul", "zoe"] {
        entries.extend(stack.get_logs(agent, user).await.list());
    }
    let text = |entry: &Value, name: &str| entry[name].as_str().expect("text").to_owned();
    entries.sort_by_key(|entry| (text(entry, "timestamp"), text(entry, "log_id")));
    entries.reverse();
    assert_eq!(entries.len(), 7, "{entries:?}");
    entries
}

#[tokio::test]
async fn entries_of_all_users_are_shown_newest_first() {
    let (stack, agent) = (Stack::connect(), fresh("日本 agent"));
    let entries = record(&stack, &agent).await;
    stack.get_agent_logs_where(&agent, "").await.expect(200, &json!(entries));
    let is_stressed = |entry: &&Value| entry["detected_signal"] == "stressed";
    let stressed: Vec<_> = entries.iter().filter(is_stressed).cloned().collect();
    for limit in 1..=5 {
        for (filter, expected) in [("", &entries), ("signal=stressed&", &stressed)] {
            let query = format!("{filter}limit={limit}");
            let pages = follow(&query, async |query| stack.get_agent_logs_where(&agent, query).await).await;
            assert!(pages.iter().all(|page| page.len() <= limit), "{pages:?}");
            assert_eq!(&pages.concat(), expected, "{query}");
        }
    }
    stack.get_agent_logs_where(&agent, "signal=positive").await.expect(200, &json!([]));
}

#[tokio::test]
async fn both_ends_of_the_range_are_included() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    let entries = record(&stack, &agent).await;
    let within = async |query: &str| stack.get_agent_logs_where(&agent, query).await.list();
    assert_eq!(within("since=2026-01-01T11:00:00.001Z&until=2026-01-01T12:00:00Z").await, entries[..2]);
    assert_eq!(within("until=2026-01-01T10:20:00Z").await, entries[5..]);
    assert_eq!(within("since=2026-01-01T11:00:00.002Z").await, entries[..1]);
    assert_eq!(within("since=2026-01-02&until=2026-01-01").await, [] as [Value; 0]);
    assert_eq!(within("since=2027-01-01").await, [] as [Value; 0]);
}

#[tokio::test]
async fn new_entry_is_shown_with_all_its_fields() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    stack.get_agent_logs_where(&agent, "").await.expect(200, &json!([]));
    let interaction = json!({
        "agent_id": agent, "user_id": "ü & é", "user_input": "I am so frustrated", "agent_output": "Sorry!",
        "metadata": {"model": "m-1"},
    });
    let logged = stack.log(&interaction).await;
    stack.wait_until_counted(&agent, "", 1).await;
    stack.get_agent_logs_where(&agent, "signal=stressed").await.expect(200, &json!([logged]));
}

#[tokio::test]
async fn bad_parameters_are_named_at_once() {
    let (stack, agent) = (Stack::connect(), fresh("agent"));
    stack.get_agent_logs_where(&agent, "limit=51&since=x&until=x&signal=&cursor=1&q=x").await.expect_faults(&[
        ("query.limit", "less_than_equal"),
        ("query.since", "datetime_from_date_parsing"),
        ("query.until", "datetime_from_date_parsing"),
        ("query.signal", "string_too_short"),
        ("query.cursor", "value_error"),
        ("query.q", "extra_forbidden"),
    ]);
}
