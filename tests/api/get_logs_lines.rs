//! `GET /logs/{agent_id}/{user_id}` as NDJSON and as CSV.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::stack::{Stack, eventually, fresh};

const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";
const CSV_UTF8: &str = "text/csv; charset=utf-8; header=present";
const HEADER: &str = "log_id,timestamp,agent_id,user_id,user_input,agent_output,detected_signal,classification,response_type,\
                      coherence_score_impact,escalation_flag,session_id,metadata,v\n";
const MAX_PAGE_BYTES: usize = 4 << 20;

/// Records interactions with `texts`, one second apart, and waits until all are stored.
async fn record(stack: &Stack, user: &str, texts: &[String]) {
    let interaction = |(second, text): (usize, &String)| {
        let id = (1_767_268_800_000 + 1_000 * second as u128) << 80 | 0x7 << 76 | 0x8 << 60;
        json!({
            "agent_id": "agent", "user_id": user, "user_input": text, "detected_signal": "neutral",
            "log_id": Uuid::from_u128(id),
        })
    };
    let all: Vec<Value> = texts.iter().enumerate().map(interaction).collect();
    for part in all.chunks(20) {
        eventually("every interaction is accepted", async || {
            let answer = stack.post_logs(part).await;
            if answer.asks_for_another_try() {
                return None;
            }
            let results = answer.results(part.len());
            results.iter().all(|result| result["status"] != "unavailable").then_some(())
        })
        .await;
    }
    eventually("all entries are stored", async || {
        let counts = stack.get_summary("agent", user).await.ok();
        (counts["neutral"] == texts.len()).then_some(())
    })
    .await;
}

fn lines_of(answer: &Answer) -> Vec<String> {
    let text = String::from_utf8(answer.bytes(NDJSON).to_vec()).expect("UTF-8");
    answer.check(text.is_empty() || text.ends_with('\n'), "a line feed at the end");
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn each_line_is_an_entry_as_in_json() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let texts = ["hello", "two\nlines", "\u{2028} \u{1f600} \"quoted\" \\\\", "\u{1}"].map(str::to_owned);
    record(&stack, &user, &texts).await;
    let json = stack.get_logs("agent", &user).await;
    let lines = stack.get_logs_as(NDJSON, "agent", &user, "").await;
    let array = format!("[{}]", lines_of(&lines).join(","));
    lines.check(array == json.text(), "the entries of the JSON array");
    for answer in [&json, &lines] {
        answer.check(answer.header("vary") == "accept", "that the answer varies with Accept");
        answer.check(answer.header("etag").is_empty() && answer.header("cache-control") == "no-store", "no caching");
    }
    let none = stack.get_logs_as(NDJSON, "agent", &fresh("user"), "").await;
    none.check(none.bytes(NDJSON).is_empty() && none.next_page().is_none(), "no entries");
}

#[tokio::test]
async fn csv_has_a_header_and_no_formulas() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let entry = stack
        .log(&json!({
            "agent_id": "agent", "user_id": user, "user_input": "=1+1, \"so\"", "agent_output": "", "detected_signal": "neutral",
            "metadata": { "model": "m-1", "n": 1 }, "coherence_score_impact": -0.5, "session_id": "+49",
        }))
        .await;
    let text = |name: &str| entry[name].as_str().expect("a text");
    let cells = "\"'=1+1, \"\"so\"\"\",',neutral,,,-0.5,false,'+49,\"{\"\"model\"\":\"\"m-1\"\",\"\"n\"\":1}\",1";
    let line = format!("{},{},agent,{user},{cells}\n", text("log_id"), text("timestamp"));
    let csv = stack.get_logs_as(CSV, "agent", &user, "").await;
    let found = String::from_utf8(csv.bytes(CSV_UTF8).to_vec()).expect("UTF-8");
    assert_eq!(found, format!("{HEADER}{line}"));
    csv.check(csv.header("vary") == "accept", "that the answer varies with Accept");
    let none = stack.get_logs_as(CSV, "agent", &fresh("user"), "").await;
    none.check(none.bytes(CSV_UTF8) == HEADER.as_bytes(), "the header alone");
}

#[tokio::test]
async fn pages_of_lines_are_linked_and_filtered_like_json() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let texts: Vec<String> = (0..250).map(|n| format!("message {n}")).collect();
    record(&stack, &user, &texts).await;
    for (query, sizes) in [
        ("limit=1000", vec![250]),
        ("limit=120", vec![120, 120, 10]),
        ("limit=120&order=oldest", vec![120, 120, 10]),
        ("limit=1000&q=message%2024", vec![11]),
        ("limit=1000&until=2026-01-01T12:00:09Z", vec![10]),
    ] {
        let (mut next, mut found) = (Some(query.to_owned()), Vec::new());
        while let Some(query) = next {
            let answer = stack.get_logs_as(NDJSON, "agent", &user, &query).await;
            found.push(lines_of(&answer));
            next = answer.next_page().map(str::to_owned);
        }
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{query}");
        if !query.contains("oldest") {
            found.reverse();
        }
        assert!(found.concat().is_sorted_by_key(|line| entry(line)["timestamp"].to_string()), "{query}");
    }
}

fn entry(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

#[tokio::test]
async fn page_of_lines_has_at_most_four_mebibytes() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    // As CSV, each pair of characters of this text has one character more.
    let texts: Vec<String> = (0..100).map(|n| format!("{n} {}", ",=".repeat(30_000))).collect();
    record(&stack, &user, &texts).await;
    for (kind, content_type, per_page) in [(NDJSON, NDJSON, 69), (CSV, CSV_UTF8, 46)] {
        for order in ["newest", "oldest"] {
            let (mut next, mut sizes, mut count) = (Some(format!("limit=1000&order={order}")), Vec::new(), 0);
            while let Some(query) = next {
                let answer = stack.get_logs_as(kind, "agent", &user, &query).await;
                let body = answer.bytes(content_type);
                answer.check(body.len() <= MAX_PAGE_BYTES, "at most 4 MiB");
                let lines = body.iter().filter(|byte| **byte == b'\n').count() - usize::from(kind == CSV);
                count += lines;
                sizes.push(lines);
                next = answer.next_page().map(str::to_owned);
            }
            assert_eq!(count, 100, "{kind}, {order}: {sizes:?}");
            assert_eq!(sizes[0], per_page, "{kind}, {order}: {sizes:?}");
        }
    }
}

#[tokio::test]
async fn limit_depends_on_the_accepted_type() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (media, most) in [("application/json", 100), ("*/*", 100), (NDJSON, 1_000), (CSV, 1_000)] {
        let answer = stack.get_logs_as(media, "agent", &user, &format!("limit={most}")).await;
        answer.check(answer.status() == 200, "status 200");
        let answer = stack.get_logs_as(media, "agent", &user, &format!("limit={}", most + 1)).await;
        answer.expect_faults(&[("query.limit", "less_than_equal")]);
    }
}

#[tokio::test]
async fn accepted_type_with_the_highest_quality_is_returned() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (accepted, returned) in [
        ("", "application/json"),
        ("image/png", "application/json"),
        ("*/*", "application/json"),
        ("text/*", CSV_UTF8),
        ("text/csv;q=0.5, application/x-ndjson", NDJSON),
        ("application/x-ndjson;q=0.9, application/json", "application/json"),
        ("application/x-ndjson;q=0", "application/json"),
    ] {
        let answer = stack.get_logs_as(accepted, "agent", &user, "").await;
        answer.check(answer.status() == 200 && answer.header("content-type") == returned, returned);
    }
}
