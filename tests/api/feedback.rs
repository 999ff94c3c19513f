//! Feedback: `POST /logs/{agent_id}/{user_id}/{log_id}/feedback`, `GET /agents/{agent_id}/feedback`, and in lists of entries.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::keys::key_with;
use crate::stack::{Stack, eventually, eventually_equal, fresh};
use shared::auth::Scope;

fn id_of(entry: &Value) -> &str {
    entry["log_id"].as_str().expect("an id")
}

/// Logs `texts` of a new user with a new agent. Returns the agent, the user, and the entries.
async fn logged(stack: &Stack, texts: &[&str]) -> (String, String, Vec<Value>) {
    let (agent, user) = (fresh("agent 日"), fresh("user +"));
    let mut entries = Vec::new();
    for text in texts {
        entries.push(stack.log(&json!({"agent_id": agent, "user_id": user, "user_input": text})).await);
    }
    (agent, user, entries)
}

/// Gives `signal` as feedback on `entry`, and returns the stored feedback. If a busy stack asks for a retry, sends the request
/// again.
async fn give(stack: &Stack, entry: &Value, signal: Value) -> Value {
    let text = |name: &str| entry[name].as_str().expect("text").to_owned();
    let answer = eventually("feedback is stored", async || {
        let body = json!({ "signal": signal });
        let answer = stack.post_feedback(&text("agent_id"), &text("user_id"), &text("log_id"), &body).await;
        (!answer.asks_for_another_try()).then_some(answer)
    })
    .await;
    let body = answer.ok();
    answer.check(body["status"] == "ok" && body.get("feedback").is_some(), "a status and feedback");
    body["feedback"].clone()
}

/// Waits until the list of the agent's feedback is `expected`. The list follows the table with a short delay.
async fn assert_listed(stack: &Stack, agent: &str, expected: &[Value]) {
    let what = "the list has the feedback";
    eventually_equal(what, &json!(expected), async || stack.get_feedback(agent, "").await.ok()["feedback"].clone())
        .await;
}

/// Waits until `feedback` of the user's entries is `expected`.
async fn assert_shown(stack: &Stack, agent: &str, user: &str, query: &str, expected: &Value) {
    eventually_equal("the entries show the feedback", expected, async || {
        let entries = stack.get_logs_where(agent, user, query).await.list();
        entries.iter().map(|entry| entry.get("feedback").cloned().unwrap_or_default()).collect()
    })
    .await;
}

#[tokio::test]
async fn feedback_is_stored_and_the_entry_stays_as_it_was() {
    let stack = Stack::connect();
    let (agent, user, entries) = logged(&stack, &["I am angry", "thanks", "hello"]).await;
    let summary = stack.get_summary(&agent, &user).await.ok();
    let given = give(&stack, &entries[0], json!("neutral")).await;
    let expected = json!({
        "agent_id": agent, "user_id": user, "log_id": entries[0]["log_id"], "user_input": "I am angry",
        "detected_signal": "stressed", "signal": "neutral", "given_at": given["given_at"], "given_by": given["given_by"],
    });
    assert_eq!(given, expected);
    assert!(given["given_by"].is_string(), "{given}");

    assert_shown(&stack, &agent, &user, "", &json!(["neutral", null, null])).await;
    let mut shown = entries[0].clone();
    shown["feedback"] = json!("neutral");
    eventually_equal("the entry has its own fields", &json!([shown]), async || {
        stack.get_logs_where(&agent, &user, "signal=stressed").await.ok()
    })
    .await;
    // The entry itself never changes, so that callers may keep it.
    stack.get_log(&agent, &user, id_of(&entries[0])).await.expect(200, &entries[0]);
    stack.get_summary(&agent, &user).await.expect(200, &summary);
    stack.get_logs_where(&agent, &user, "signal=neutral").await.expect(200, &json!([entries[2]]));
}

#[tokio::test]
async fn repeated_feedback_changes_nothing_and_another_replaces() {
    let stack = Stack::connect();
    let (agent, user, entries) = logged(&stack, &["I am angry"]).await;
    let first = give(&stack, &entries[0], json!("neutral")).await;
    let other_key = stack.with_key(key_with(&Scope::ALL).await);
    assert_eq!(give(&other_key, &entries[0], json!("neutral")).await, first);
    assert_listed(&stack, &agent, std::slice::from_ref(&first)).await;

    let second = give(&other_key, &entries[0], json!("billing 日")).await;
    assert_eq!((&second["signal"], &second["given_by"]), (&json!("billing 日"), &json!("black-box test")));
    assert!(second["given_at"].as_str() > first["given_at"].as_str(), "{second} {first}");
    assert_listed(&stack, &agent, &[second]).await;
    assert_shown(&stack, &agent, &user, "", &json!(["billing 日"])).await;
}

#[tokio::test]
async fn null_withdraws_feedback_however_often() {
    let stack = Stack::connect();
    let (agent, user, entries) = logged(&stack, &["I am angry", "thanks"]).await;
    let kept = give(&stack, &entries[1], json!("neutral")).await;
    give(&stack, &entries[0], json!("neutral")).await;
    for _ in 0..2 {
        assert_eq!(give(&stack, &entries[0], json!(null)).await, json!(null));
    }
    assert_shown(&stack, &agent, &user, "", &json!([null, "neutral"])).await;
    assert_listed(&stack, &agent, &[kept]).await;
}

#[tokio::test]
async fn feedback_on_a_missing_entry_is_not_found() {
    let stack = Stack::connect();
    let (agent, user, entries) = logged(&stack, &["I am angry"]).await;
    let (id, body) = (id_of(&entries[0]), json!({"signal": "neutral"}));
    for (agent, user, id) in
        [(&*agent, &*user, &*Uuid::now_v7().to_string()), (&agent, &fresh("user"), id), (&fresh("agent"), &user, id)]
    {
        for body in [&body, &json!({"signal": null})] {
            let answer = stack.post_feedback(agent, user, id, body).await;
            answer.expect(404, &json!({"error": "No interaction with this log_id"}));
        }
    }
    assert_listed(&stack, &agent, &[]).await;
}

#[tokio::test]
async fn invalid_feedback_is_refused_with_all_faults() {
    let stack = Stack::connect();
    let (agent, user, entries) = logged(&stack, &["I am angry"]).await;
    for (body, kind) in [
        (json!({}), "missing"),
        (json!({"signal": 1}), "string_type"),
        (json!({"signal": ""}), "string_too_short"),
        (json!({"signal": "a/b"}), "value_error"),
        (json!({"signal": "x".repeat(33)}), "string_too_long"),
        (json!({"signal": {"signal": "a"}}), "string_type"),
    ] {
        let answer = stack.post_feedback(&agent, &user, id_of(&entries[0]), &body).await;
        answer.expect_faults(&[("body.signal", kind)]);
    }
    let answer = stack.post("/logs/a%5Cb/%2e%2e/x/feedback", "{}").await;
    answer.expect_faults(&[
        ("body.signal", "missing"),
        ("path.agent_id", "value_error"),
        ("path.user_id", "value_error"),
        ("path.log_id", "uuid_parsing"),
    ]);
    let answer = stack.get_feedback(&agent, "limit=0&since=x&cursor=x&user_id=x").await;
    answer.expect_faults(&[
        ("query.limit", "greater_than_equal"),
        ("query.since", "datetime_from_date_parsing"),
        ("query.cursor", "value_error"),
        ("query.user_id", "extra_forbidden"),
    ]);
    assert_listed(&stack, &agent, &[]).await;
}

#[tokio::test]
async fn feedback_names_the_fields_that_it_ignores() {
    let stack = Stack::connect();
    let (agent, user, entries) = logged(&stack, &["I am angry"]).await;
    let body = json!({"signal": "neutral", "comment": "It is a game."});
    let answer = stack.post_feedback(&agent, &user, id_of(&entries[0]), &body).await;
    answer.check(answer.ok()["ignored"] == json!(["comment"]), "the field to be named");
}

#[tokio::test]
async fn lists_are_paged_from_the_newest_with_agreement_per_page() {
    let stack = Stack::connect();
    let (agent, _, entries) = logged(&stack, &["I am angry", "I am upset", "thanks", "hello", "Где мой заказ?"]).await;
    let mut expected = Vec::new();
    for (entry, signal) in entries.iter().zip(["stressed", "neutral", "positive", "neutral", "neutral"]) {
        expected.insert(0, give(&stack, entry, json!(signal)).await);
    }
    assert_listed(&stack, &agent, &expected).await;
    let agreement = json!({
        "neutral": {"given": 3, "detected": 1, "agreed": 1},
        "positive": {"given": 1, "detected": 1, "agreed": 1},
        "stressed": {"given": 1, "detected": 2, "agreed": 1},
        "unclassified": {"given": 0, "detected": 1, "agreed": 0},
    });
    let whole = stack.get_feedback(&agent, "").await;
    whole.check(whole.next_page().is_none(), "no further page");
    assert_eq!(whole.ok()["agreement"], agreement);
    for limit in 1..=5 {
        let (mut query, mut found) = (format!("limit={limit}"), Vec::new());
        loop {
            let answer = stack.get_feedback(&agent, &query).await;
            let page = answer.ok();
            let feedback = page["feedback"].as_array().expect("a list").clone();
            let sum: u64 =
                page["agreement"].as_object().expect("an object").values().filter_map(|of| of["given"].as_u64()).sum();
            answer.check(sum == feedback.len() as u64, "the agreement of this page");
            found.extend(feedback);
            let Some(next) = answer.next_page() else { break };
            query = next.to_owned();
        }
        assert_eq!(found, expected, "limit {limit}");
    }
    let between = |first: usize, last: usize| {
        let time = |index: usize| expected[index]["given_at"].as_str().expect("a time").to_owned();
        format!("since={}&until={}", time(last), time(first))
    };
    for (first, last) in [(0, 4), (1, 3), (2, 2)] {
        let answer = stack.get_feedback(&agent, &between(first, last)).await;
        answer.check(answer.ok()["feedback"] == json!(expected[first..=last]), "the feedback of this time");
    }
    // A cursor of another range leads nowhere.
    let next = stack.get_feedback(&agent, "limit=4").await.next_page().expect("a page").to_owned();
    let cursor = next.split('&').find(|part| part.starts_with("cursor=")).expect("a cursor").to_owned();
    let answer = stack.get_feedback(&agent, &format!("{}&{cursor}", between(0, 0))).await;
    answer.expect(200, &json!({"feedback": [], "agreement": {}}));
}

#[tokio::test]
async fn pages_of_entries_show_feedback_in_every_order_and_filter() {
    let stack = Stack::connect();
    let (agent, user, entries) = logged(&stack, &["I am angry", "thanks", "I am upset", "hello"]).await;
    for (index, signal) in [(0, "neutral"), (2, "uncertain"), (3, "neutral")] {
        give(&stack, &entries[index], json!(signal)).await;
    }
    for (query, expected) in [
        ("limit=100", json!(["neutral", null, "uncertain", "neutral"])),
        ("limit=2", json!(["uncertain", "neutral"])),
        ("limit=2&order=oldest", json!(["neutral", null])),
        ("signal=stressed", json!(["neutral", "uncertain"])),
        ("q=UPSET", json!(["uncertain"])),
        ("q=thanks", json!([null])),
    ] {
        assert_shown(&stack, &agent, &user, query, &expected).await;
    }
    // The same text of another user has no feedback.
    let other = fresh("user");
    stack.log(&json!({"agent_id": agent, "user_id": other, "user_input": "I am angry"})).await;
    assert_shown(&stack, &agent, &other, "", &json!([null])).await;
}

#[tokio::test]
async fn feedback_finds_entries_of_batches() {
    let (stack, agent, user) = (Stack::connect(), fresh("agent"), fresh("user"));
    let ids: Vec<_> = (1..=3).map(|n| format!("019b796d-d60{n}-7c2a-8a53-5d1c54f1a6c1")).collect();
    let batch: Vec<_> = ids
        .iter()
        .map(|id| json!({"agent_id": agent, "user_id": user, "user_input": format!("angry {id}"), "log_id": id}))
        .collect();
    stack.post_logs(&batch).await.results(3);
    let entry = json!({"agent_id": agent, "user_id": user, "log_id": ids[1]});
    eventually("the batch is stored", async || (stack.get_logs(&agent, &user).await.list().len() == 3).then_some(()))
        .await;
    let given = give(&stack, &entry, json!("neutral")).await;
    assert_eq!((&given["log_id"], &given["user_input"]), (&json!(ids[1]), &json!(format!("angry {}", ids[1]))));
    assert_shown(&stack, &agent, &user, "", &json!([null, "neutral", null])).await;
}

#[tokio::test]
async fn pages_of_long_texts_fit_a_response() {
    let stack = Stack::connect();
    // Control characters take six times as many bytes in Lambda's response.
    let text = "\u{1}".repeat(10_000);
    let texts = vec![text.as_str(); 45];
    let (agent, _, entries) = logged(&stack, &texts).await;
    for entry in &entries {
        give(&stack, entry, json!("neutral")).await;
    }
    eventually("all feedback is listed", async || {
        let (mut query, mut count) = ("limit=100".to_owned(), 0);
        loop {
            let answer = stack.get_feedback(&agent, &query).await;
            count += answer.ok()["feedback"].as_array().expect("a list").len();
            match answer.next_page() {
                Some(next) => query = next.to_owned(),
                None => return (count == entries.len()).then_some(()),
            }
        }
    })
    .await;
}
