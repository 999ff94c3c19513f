//! Entries searched by session and text, and read from the oldest on.

use serde_json::{Value, json};

use crate::pages::follow;
use crate::segments::{put_segment, put_singles};
use crate::stack::{Stack, fresh, segment};

/// Records an interaction for each text, each with a session and a reply, and returns the entries.
async fn converse(stack: &Stack, user: &str, turns: &[(&str, &str, &str)]) -> Vec<Value> {
    let mut logged = Vec::new();
    for (session, text, reply) in turns {
        let interaction = json!({
            "agent_id": "agent", "user_id": user, "user_input": text, "session_id": session, "agent_output": reply,
        });
        logged.push(stack.log(&interaction).await);
    }
    logged
}

/// Returns the entries on all pages of `query`, oldest first.
async fn read(stack: &Stack, user: &str, query: &str) -> Vec<Value> {
    let mut pages = follow(query, async |query| stack.get_logs_where("agent", user, query).await).await;
    if !query.contains("order=oldest") {
        pages.reverse();
    }
    pages.concat()
}

#[tokio::test]
async fn entries_are_filtered_by_session_and_text_over_all_pages() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let logged = converse(
        &stack,
        &user,
        &[
            ("a", "Where is my PARCEL?", "It is late."),
            ("a b", "great", "You are welcome."),
            ("a", "thanks", "The parcel comes today."),
            ("A", "Große Straße 5", ""),
            ("a b", "Ich bin angry", "STRASSE?"),
        ],
    )
    .await;
    for (query, expected) in [
        ("session_id=a", &[0, 2][..]),
        ("session_id=a%20b", &[1, 4]),
        ("session_id=", &[]),
        ("session_id=c", &[]),
        ("q=parcel", &[0, 2]),
        ("q=IT+IS", &[0]),
        ("q=strasse", &[3, 4]),
        ("q=STRA%C3%9FE", &[3, 4]),
        ("q=agent", &[]),
        ("q=parcel&session_id=a&signal=positive", &[2]),
        ("q=a&session_id=a%20b&signal=positive", &[1]),
    ] {
        let expected: Vec<_> = expected.iter().map(|index| logged[*index].clone()).collect();
        for limit in [1, 2, 100] {
            for order in ["newest", "oldest"] {
                let query = format!("{query}&limit={limit}&order={order}");
                assert_eq!(read(&stack, &user, &query).await, expected, "{query}");
            }
        }
    }
    let since = logged[2]["timestamp"].as_str().expect("a time");
    let found = read(&stack, &user, &format!("q=parcel&since={since}")).await;
    assert!(found.contains(&logged[2]) && found.len() <= 2, "{found:?}");
}

#[tokio::test]
async fn order_oldest_begins_with_the_oldest_entry() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let turns: Vec<String> = (0..12).map(|n| format!("turn {n}")).collect();
    let turns: Vec<_> = turns.iter().map(|turn| ("s", turn.as_str(), "")).collect();
    let logged = converse(&stack, &user, &turns).await;
    stack.get_logs_where("agent", &user, "order=oldest").await.expect(200, &json!(logged[..10]));
    stack.get_logs_where("agent", &user, "order=newest").await.expect(200, &json!(logged[2..]));
    for limit in [1, 5, 12, 13] {
        let query = format!("order=oldest&limit={limit}");
        let pages = follow(&query, async |query| stack.get_logs_where("agent", &user, query).await).await;
        assert_eq!(pages.concat(), logged, "{query}");
        assert!(pages.iter().all(|page| page.len() <= limit), "{query}");
    }
    let since = logged[4]["timestamp"].as_str().expect("a time");
    let found = read(&stack, &user, &format!("order=oldest&limit=3&since={since}")).await;
    assert!(logged[4..].iter().all(|entry| found.contains(entry)), "{found:?}");
    stack.get_logs_where("agent", &fresh("user"), "order=oldest").await.expect(200, &json!([]));
}

#[tokio::test]
async fn oldest_order_reads_segments_that_straddle_a_page() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut all = put_segment(
        &user,
        &[("2026-01-01T12:00:00Z", "a"), ("2026-01-01T12:30:00Z", "b"), ("2026-01-01T12:59:59.999Z", "a")],
    )
    .await;
    all.extend(put_segment(&user, &[("2026-01-01T12:20:00Z", "b"), ("2026-01-01T12:40:00Z", "a")]).await);
    let times = ["2026-01-01T12:10:00Z", "2026-01-01T12:25:00Z", "2024-01-01T12:35:00Z", "2026-01-01T13:00:00Z"];
    all.extend(put_singles(&user, &times.map(|time| (time, "a"))).await);
    all.sort_by_key(|entry| entry["timestamp"].to_string());
    for limit in 1..=10 {
        assert_eq!(read(&stack, &user, &format!("order=oldest&limit={limit}")).await, all, "limit {limit}");
        let query = format!("order=oldest&limit={limit}&since=2026-01-01T12:10:00Z&until=2026-01-01T12:30:00Z");
        assert_eq!(read(&stack, &user, &query).await, all[2..6], "limit {limit}");
        let query = format!("order=oldest&limit={limit}&signal=b");
        assert_eq!(read(&stack, &user, &query).await, [all[3].clone(), all[5].clone()], "limit {limit}");
    }
}

#[tokio::test]
async fn search_without_a_match_ends_pages_early_and_leads_on() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let times: Vec<String> = (0..60).map(|n| format!("2026-01-01T12:{n:02}:00Z")).collect();
    let entries: Vec<_> = times.iter().map(|time| (time.as_str(), "a")).collect();
    for _ in 0..10 {
        put_singles(&user, &entries).await;
    }
    for order in ["newest", "oldest"] {
        let query = format!("q=nothing&order={order}&limit=10");
        let pages = follow(&query, async |query| stack.get_logs_where("agent", &user, query).await).await;
        assert_eq!(pages, [Vec::<Value>::new(), Vec::new()], "{order}");
        let pages = follow(&format!("q=HI&order={order}&limit=100"), async |query| {
            stack.get_logs_where("agent", &user, query).await
        })
        .await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [100; 6], "{order}");
    }
}

#[tokio::test]
async fn bad_search_parameters_are_named_at_once() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let long = segment(&"é".repeat(129));
    stack.get_logs_where("agent", &user, &format!("q={long}&order=random&limit=0")).await.expect_faults(&[
        ("query.q", "string_too_long"),
        ("query.order", "literal_error"),
        ("query.limit", "greater_than_equal"),
    ]);
    stack
        .get_logs_where("agent", &user, "q=&order=")
        .await
        .expect_faults(&[("query.q", "string_too_short"), ("query.order", "literal_error")]);
}

#[tokio::test]
async fn cursor_belongs_to_one_order() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    converse(&stack, &user, &[("s", "one", ""), ("s", "two", "")]).await;
    for (order, other) in [("newest", "oldest"), ("oldest", "newest")] {
        let answer = stack.get_logs_where("agent", &user, &format!("limit=1&order={order}")).await;
        let next = answer.next_page().expect("a second page");
        let swapped = next.replace(&format!("order={order}"), &format!("order={other}"));
        assert_ne!(next, swapped);
        stack.get_logs_where("agent", &user, &swapped).await.expect_faults(&[("query.cursor", "value_error")]);
    }
}
