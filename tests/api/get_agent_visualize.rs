//! `GET /agents/{agent_id}/visualize`: the counts of an agent over all users as a bar chart.

use serde_json::json;

use crate::stack::{Stack, fresh};

#[tokio::test]
async fn chart_shows_the_counts_of_all_users() {
    let (stack, agent) = (Stack::connect(), fresh("<b>日本&"));
    for (user, signal, time) in [
        ("maria", "stressed", "2026-01-01T00:00:00Z"),
        ("paul", "<i>", "2026-01-01T00:04:00Z"),
        ("zoe", "positive", "2026-01-01T00:05:00Z"),
    ] {
        let interaction = json!({
            "agent_id": agent, "user_id": user, "user_input": "", "detected_signal": signal, "timestamp": time,
        });
        stack.log(&interaction).await;
    }
    let range = "since=2026-01-01T00:00:00Z&until=2026-01-01T00:10:00Z";
    stack.wait_until_counted(&agent, range, 3).await;
    let png = stack.get_agent_visualize_as("*/*", &agent, range).await;
    png.check(png.bytes("image/png").starts_with(b"\x89PNG\r\n\x1a\n"), "the signature of a PNG");
    let query = format!("{range}&theme=dark&width=1600&height=500");
    let svg = stack.get_agent_visualize_as("image/svg+xml", &agent, &query).await;
    let text = String::from_utf8_lossy(svg.bytes("image/svg+xml")).into_owned();
    svg.check(text.starts_with("<svg width=\"1600\" height=\"500\""), "an SVG of 1600 by 500");
    let subtitle = "3 interactions from 2026-01-01 00:00 to 2026-01-01 00:10 UTC with &lt;b&gt;日本&amp;";
    for part in ["Signals of all users", subtitle, "stressed", "positive", "&lt;i&gt;"] {
        svg.check(text.contains(part), part);
    }
    svg.check(svg.header("vary") == "accept", "that the answer varies with Accept");
    let first = "since=2026-01-01T00:00:00Z&until=2026-01-01T00:05:00Z";
    let svg = stack.get_agent_visualize_as("image/svg+xml", &agent, first).await;
    svg.check(svg.contains("2 interactions") && !svg.contains("positive"), "the signals of that time");
}

#[tokio::test]
async fn no_data_is_nothing_to_visualize() {
    let answer = Stack::connect().get_agent_visualize_as("image/png", &fresh("agent"), "").await;
    answer.expect(404, &json!({"error": "No data to visualize"}));
}

#[tokio::test]
async fn bad_parameters_are_named_at_once() {
    let query = "theme=blue&width=319&height=1001&since=2026-01-01&until=2026-03-01&interval=day";
    Stack::connect().get_agent_visualize_as("image/png", &fresh("agent"), query).await.expect_faults(&[
        ("query.theme", "literal_error"),
        ("query.width", "greater_than_equal"),
        ("query.height", "less_than_equal"),
        ("query.since", "value_error"),
        ("query.interval", "extra_forbidden"),
    ]);
}
