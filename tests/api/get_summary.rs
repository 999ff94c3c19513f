//! `GET /summary/{agent_id}/{user_id}`: the number of entries per signal.

use serde_json::json;

use crate::segments::{put_segment, put_singles};
use crate::stack::{Stack, fresh};

#[tokio::test]
async fn signals_that_occur_are_counted_and_no_others() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for text in ["good", "great", "thanks", "hello"] {
        stack.log(&json!({"agent_id": "agent", "user_id": user, "user_input": text})).await;
    }
    stack.get_summary("agent", &user).await.expect(200, &json!({"positive": 3, "neutral": 1}));
}

#[tokio::test]
async fn signals_of_the_callers_own_are_counted_whatever_their_names() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let names = ["a=1,b", "=", ",", "日本 语", "neutral.jsonl", "Neutral", "-", "a+b&c"];
    for name in names.iter().chain(&names[..2]) {
        let interaction = json!({"agent_id": "agent", "user_id": user, "user_input": "", "detected_signal": name});
        stack.log(&interaction).await;
    }
    let expected = json!({
        "a=1,b": 2, "=": 2, ",": 1, "日本 语": 1, "neutral.jsonl": 1, "Neutral": 1, "-": 1, "a+b&c": 1,
    });
    stack.get_summary("agent", &user).await.expect(200, &expected);
}

#[tokio::test]
async fn nobody_has_an_empty_summary() {
    Stack::connect().get_summary("agent", &fresh("user")).await.expect(200, &json!({}));
}

/// Records single entries around full hours and a midnight, and two segments of several entries on both sides of
/// midnight.
async fn new_year(user: &str) {
    let singles = [
        ("2025-12-31T22:59:59.999Z", "neutral"),
        ("2025-12-31T23:00:00Z", "positive"),
        ("2026-01-01T01:00:00Z", "positive"),
        ("2026-01-01T05:30:00Z", "stressed"),
    ];
    put_singles(user, &singles).await;
    put_segment(user, &[("2025-12-31T23:00:00.001Z", "bored"), ("2025-12-31T23:59:59.999Z", "bored")]).await;
    put_segment(user, &[("2026-01-01T00:00:00Z", "bored"), ("2026-01-01T00:59:59.999Z", "positive")]).await;
}

#[tokio::test]
async fn hourly_buckets_begin_at_full_hours_and_omit_empty_hours() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    new_year(&user).await;
    let expected = json!({
        "since": null, "until": null, "covers_since": null, "complete": true,
        "next": null, "counts": {"positive": 3, "neutral": 1, "stressed": 1, "bored": 3},
        "buckets": [
            {"start": "2025-12-31T22:00:00.000Z", "counts": {"neutral": 1}},
            {"start": "2025-12-31T23:00:00.000Z", "counts": {"positive": 1, "bored": 2}},
            {"start": "2026-01-01T00:00:00.000Z", "counts": {"positive": 1, "bored": 1}},
            {"start": "2026-01-01T01:00:00.000Z", "counts": {"positive": 1}},
            {"start": "2026-01-01T05:00:00.000Z", "counts": {"stressed": 1}},
        ],
    });
    stack.get_summary_where("agent", &user, "bucket=hour").await.expect(200, &expected);
}

#[tokio::test]
async fn both_ends_of_time_are_included_and_cut_buckets_and_segments() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    new_year(&user).await;
    let query = "since=2025-12-31T23:00:00Z&until=2026-01-01T00:00:00Z";
    let mut expected = json!({
        "since": "2025-12-31T23:00:00.000Z", "until": "2026-01-01T00:00:00.000Z",
        "covers_since": "2025-12-31T23:00:00.000Z", "complete": true, "next": null,
        "counts": {"positive": 1, "bored": 3},
    });
    stack.get_summary_where("agent", &user, query).await.expect(200, &expected);
    expected["buckets"] = json!([
        {"start": "2025-12-31T00:00:00.000Z", "counts": {"positive": 1, "bored": 2}},
        {"start": "2026-01-01T00:00:00.000Z", "counts": {"bored": 1}},
    ]);
    stack.get_summary_where("agent", &user, &format!("{query}&bucket=day")).await.expect(200, &expected);
    let inner = "since=2025-12-31T23:00:00.002Z&until=2025-12-31T23:59:59.999999Z";
    let answer = stack.get_summary_where("agent", &user, inner).await;
    answer.check(answer.ok()["counts"] == json!({"bored": 1}), "the one entry between the ends");
}

#[tokio::test]
async fn what_was_just_recorded_is_in_the_bucket_of_now() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let interaction = json!({"agent_id": "agent", "user_id": user, "user_input": "thanks"});
    let logged = stack.log(&interaction).await;
    let hour = format!("{}:00:00.000Z", &logged["timestamp"].as_str().expect("a time")[..13]);
    let answer = stack.get_summary_where("agent", &user, &format!("since={hour}&bucket=hour")).await;
    let expected = json!([{"start": hour, "counts": {"positive": 1}}]);
    answer.check(answer.ok()["buckets"] == expected, &format!("the buckets {expected}"));
}

#[tokio::test]
async fn a_part_of_time_without_entries_is_empty() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for query in ["bucket=day", "since=2030-01-01&bucket=day", "since=2021-01-01&until=2020-01-01&bucket=hour"] {
        let answer = stack.get_summary_where("agent", &user, query).await;
        let body = answer.ok();
        let is_empty = body["counts"] == json!({}) && body["buckets"] == json!([]) && body["complete"] == true;
        answer.check(is_empty, "nothing, and all of it");
    }
}

#[tokio::test]
async fn count_resumes_at_any_cursor() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    new_year(&user).await;
    // After the entries of midnight, within the segment of the hour before, and after everything.
    for (position, counts) in [
        ("1767225600000*00000000000000000000000000000000", json!({"neutral": 1, "positive": 1, "bored": 2})),
        ("1767225599999*00000000000000000000000000000000*m", json!({"neutral": 1, "positive": 1, "bored": 1})),
        ("0*00000000000000000000000000000000", json!({})),
    ] {
        let cursor = format!("cursor={position}");
        let answer = stack.get_summary_where("agent", &user, &cursor).await;
        answer.check(answer.ok()["counts"] == counts && answer.ok()["complete"] == true, &counts.to_string());
    }
}

#[tokio::test]
async fn bad_parameters_are_named_at_once() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    stack.get_summary_where("agent", &user, "since=x&until=&bucket=week&cursor=1").await.expect_faults(&[
        ("query.since", "datetime_from_date_parsing"),
        ("query.until", "datetime_from_date_parsing"),
        ("query.bucket", "literal_error"),
        ("query.cursor", "value_error"),
    ]);
}
