//! `GET /logs/{agent_id}/{user_id}`: the newest entries, oldest first.

use serde_json::{Value, json};

use crate::pages::follow;
use crate::segments::{put_segment, put_singles};
use crate::stack::{Stack, fresh};

#[tokio::test]
async fn the_last_ten_come_oldest_first() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let logged = log_in_turn(&stack, "agent", &user, 12).await;
    stack.get_logs("agent", &user).await.expect(200, &json!(logged[2..]));
}

#[tokio::test]
async fn limit_is_1_to_100() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let logged = log_in_turn(&stack, "agent", &user, 12).await;
    for (limit, first) in [(1, 11), (11, 1), (12, 0), (100, 0)] {
        let answer = stack.get_logs_where("agent", &user, &format!("limit={limit}")).await;
        answer.expect(200, &json!(logged[first..]));
    }
}

#[tokio::test]
async fn bad_limit_and_unknown_parameter_are_rejected() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (limit, kind) in [
        ("0", "greater_than_equal"),
        ("-1", "greater_than_equal"),
        ("101", "less_than_equal"),
        ("abc", "int_parsing"),
        ("1.5", "int_parsing"),
        ("", "int_parsing"),
    ] {
        let answer = stack.get_logs_where("agent", &user, &format!("limit={limit}")).await;
        answer.expect_faults(&[("query.limit", kind)]);
        answer.check(answer.json(422)["detail"][0]["input"] == limit, "the limit that was sent");
    }
    let faults = [("query.limit", "int_parsing"), ("query.nobody", "extra_forbidden")];
    stack.get_logs_where("agent", &user, "limit=x&nobody=1").await.expect_faults(&faults);
}

#[tokio::test]
async fn nobody_has_no_entries() {
    Stack::connect().get_logs("agent", &fresh("user")).await.expect(200, &json!([]));
}

#[tokio::test]
async fn logs_of_names_with_a_common_prefix_are_separate() {
    let (stack, user, agent) = (Stack::connect(), fresh("user"), fresh("agent"));
    let pairs = [
        (agent.clone(), user.clone()),
        (agent.clone(), format!("{user}1")),
        (agent.clone(), format!("{user} ")),
        (agent.clone(), user.to_uppercase()),
        (format!("{agent}1"), user.clone()),
        (user.clone(), agent.clone()),
    ];
    for (agent, user) in &pairs {
        log_in_turn(&stack, agent, user, 1).await;
    }
    for (agent, user) in &pairs {
        let answer = stack.get_logs(agent, user).await;
        let entries = answer.list();
        let own = |entry: &Value| entry["agent_id"] == **agent && entry["user_id"] == **user;
        answer.check(entries.len() == 1 && own(&entries[0]), &format!("the one entry of {agent:?} and {user:?}"));
        stack.get_summary(agent, user).await.expect(200, &json!({"neutral": 1}));
    }
}

#[tokio::test]
async fn entries_of_the_same_moment_are_all_there() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let posts = (0..40).map(async |_| stack.log(&interaction("agent", &user, "hi")).await);
    let mut logged = futures_util::future::join_all(posts).await;
    let order = |entry: &Value| (entry["timestamp"].to_string(), entry["log_id"].to_string());
    logged.sort_by_key(order);
    stack.get_logs_where("agent", &user, "limit=100").await.expect(200, &json!(logged));
    stack.get_logs_where("agent", &user, "limit=7").await.expect(200, &json!(logged[33..]));
}

/// Returns the entries on all pages from the page at `query` on, oldest first.
async fn read_back(stack: &Stack, user: &str, query: &str) -> Vec<Value> {
    let mut pages = follow(query, async |query| stack.get_logs_where("agent", user, query).await).await;
    pages.reverse();
    pages.concat()
}

#[tokio::test]
async fn links_lead_from_the_newest_page_to_the_oldest_entry() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let logged = log_in_turn(&stack, "agent", &user, 12).await;
    for limit in [1, 4, 5, 11, 12, 13] {
        let pages =
            follow(&format!("limit={limit}"), async |query| stack.get_logs_where("agent", &user, query).await).await;
        assert_eq!(pages.len(), 12_usize.div_ceil(limit), "limit {limit}");
        assert_eq!(pages[0], logged[12 - limit.min(12)..], "limit {limit}");
        assert_eq!(pages.into_iter().rev().collect::<Vec<_>>().concat(), logged, "limit {limit}");
    }
}

#[tokio::test]
async fn entries_are_filtered_by_signal_and_time_over_all_pages() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut logged = Vec::new();
    for text in ["good", "angry", "hm", "good", "unsure", "good", "angry", "hm"] {
        logged.push(stack.log(&interaction("agent", &user, text)).await);
    }
    let of =
        |signal: &str| logged.iter().filter(|entry| entry["detected_signal"] == signal).cloned().collect::<Vec<_>>();
    for (signal, count) in [("positive", 3), ("stressed", 2), ("uncertain", 1), ("bored", 0)] {
        assert_eq!(of(signal).len(), count);
        for limit in [1, 2, 100] {
            let found = read_back(&stack, &user, &format!("signal={signal}&limit={limit}")).await;
            assert_eq!(found, of(signal), "{signal}, limit {limit}");
        }
    }
    let time = |index: usize| logged[index]["timestamp"].as_str().expect("a time");
    // The server's clock may assign one millisecond to two entries.
    let within = |since: &str, until: &str| {
        let times =
            logged.iter().filter(|entry| (since..=until).contains(&entry["timestamp"].as_str().unwrap_or_default()));
        times.cloned().collect::<Vec<_>>()
    };
    for (first, last) in [(0, 7), (2, 5), (3, 3)] {
        for limit in [1, 3, 100] {
            let query = format!("since={}&until={}&limit={limit}", time(first), time(last));
            assert_eq!(read_back(&stack, &user, &query).await, within(time(first), time(last)), "{query}");
        }
    }
    let query = format!("since={}&signal=positive", time(4));
    let expected: Vec<_> =
        within(time(4), time(7)).into_iter().filter(|entry| entry["detected_signal"] == "positive").collect();
    assert_eq!(read_back(&stack, &user, &query).await, expected);
    stack.get_logs_where("agent", &user, "since=2030-01-01").await.expect(200, &json!([]));
    stack.get_logs_where("agent", &user, "since=2021-01-01&until=2020-01-01").await.expect(200, &json!([]));
}

#[tokio::test]
async fn segments_that_straddle_a_page_or_a_time_bound_are_read() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut all = put_segment(
        &user,
        &[
            ("2026-01-01T12:00:00Z", "positive"),
            ("2026-01-01T12:30:00Z", "bored"),
            ("2026-01-01T12:59:59.999Z", "positive"),
        ],
    )
    .await;
    all.extend(put_segment(&user, &[("2026-01-01T12:20:00Z", "bored"), ("2026-01-01T12:40:00Z", "positive")]).await);
    let times = ["2026-01-01T12:10:00Z", "2026-01-01T12:25:00Z", "2026-01-01T12:35:00Z", "2026-01-01T13:00:00Z"];
    all.extend(put_singles(&user, &times.map(|time| (time, "neutral"))).await);
    all.sort_by_key(|entry| entry["timestamp"].to_string());
    for limit in 1..=10 {
        assert_eq!(read_back(&stack, &user, &format!("limit={limit}")).await, all, "limit {limit}");
        let query = format!("limit={limit}&since=2026-01-01T12:10:00Z&until=2026-01-01T12:30:00Z");
        assert_eq!(read_back(&stack, &user, &query).await, all[1..5], "limit {limit}");
        let bored = [all[2].clone(), all[4].clone()];
        assert_eq!(read_back(&stack, &user, &format!("limit={limit}&signal=bored")).await, bored, "limit {limit}");
    }
}

#[tokio::test]
async fn bad_parameters_are_named_at_once() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let query = "limit=0&since=x&until=2026-02-30&signal=a%2Fb&cursor=x";
    stack.get_logs_where("agent", &user, query).await.expect_faults(&[
        ("query.limit", "greater_than_equal"),
        ("query.since", "datetime_from_date_parsing"),
        ("query.until", "datetime_from_date_parsing"),
        ("query.signal", "value_error"),
        ("query.cursor", "value_error"),
    ]);
}

#[tokio::test]
async fn forged_cursors_are_refused_or_show_nothing() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    log_in_turn(&stack, "agent", &user, 1).await;
    let id = "f".repeat(32);
    let overflow =
        "8299999999876-8299999999999-fe6fffff-ffff-8fff-7fff-fffffffffffe.a%3D18446744073709551615,b%3D1.jsonl";
    for cursor in [&format!("9999999999999*{id}**{overflow}"), &format!("9223372036854775808*{id}"), "1*x", "*"] {
        let answer = stack.get_logs_where("agent", &user, &format!("cursor={cursor}")).await;
        answer.expect_faults(&[("query.cursor", "value_error")]);
    }
    for cursor in [format!("-9223372036854775808*{id}"), format!("0*{id}*m")] {
        stack.get_logs_where("agent", &user, &format!("cursor={cursor}")).await.expect(200, &json!([]));
    }
    let all = stack.get_logs_where("agent", &user, &format!("cursor=9223372036854775807*{id}*m")).await;
    all.check(all.list().len() == 1, "the entry");
}

#[tokio::test]
async fn a_cursor_of_another_log_shows_nothing_of_that_log() {
    let (stack, user, other) = (Stack::connect(), fresh("user"), fresh("user"));
    let entries = [("2026-01-01T12:00:00Z", "positive"), ("2026-01-01T12:50:00Z", "neutral")];
    put_segment(&other, &entries).await;
    let next = stack.get_logs_where("agent", &other, "limit=1").await;
    let next = next.next_page().expect("a second page");
    stack.get_logs_where("agent", &user, next).await.expect(200, &json!([]));
    let own = put_segment(&user, &[("2026-01-01T12:30:00Z", "neutral")]).await;
    stack.get_logs_where("agent", &user, next).await.expect(200, &json!(own));
}

fn interaction(agent: &str, user: &str, user_input: &str) -> Value {
    json!({"agent_id": agent, "user_id": user, "user_input": user_input})
}

/// Records `count` interactions in sequence and returns the entries in that order.
async fn log_in_turn(stack: &Stack, agent: &str, user: &str, count: usize) -> Vec<Value> {
    let mut logged = Vec::new();
    for index in 0..count {
        logged.push(stack.log(&interaction(agent, user, &format!("message {index}"))).await);
    }
    logged
}
