//! `GET /logs/{agent_id}/{user_id}/{log_id}`: one entry.

use http::Method;
use serde_json::{Value, json};
use uuid::{Builder, Uuid};

use crate::answer::Answer;
use crate::stack::{Stack, fresh, segment};

const CACHING: &str = "private, immutable, max-age=3600";

fn interaction(user: &str, text: &str) -> Value {
    json!({"agent_id": "agent", "user_id": user, "user_input": text, "agent_output": "Sure.", "metadata": {"a": 1}})
}

fn id_of(entry: &Value) -> &str {
    entry["log_id"].as_str().expect("an id")
}

#[tokio::test]
async fn entry_is_shown_as_it_was_logged() {
    let (stack, user) = (Stack::connect(), fresh("user 日"));
    let mut logged = Vec::new();
    for text in ["one", "two"] {
        logged.push(stack.log(&interaction(&user, text)).await);
    }
    for entry in &logged {
        stack.get_log("agent", &user, id_of(entry)).await.expect(200, entry);
        stack.get_log("agent", &user, &id_of(entry).to_uppercase()).await.expect(200, entry);
    }
    let listed = stack.get_logs("agent", &user).await;
    listed.expect(200, &json!(logged));
}

#[tokio::test]
async fn imported_entry_is_found_by_its_id() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let mut sent = interaction(&user, "long ago");
    sent["timestamp"] = json!("2020-02-29T12:00:00.123Z");
    let logged = stack.log(&sent).await;
    stack.get_log("agent", &user, id_of(&logged)).await.expect(200, &logged);
}

#[tokio::test]
async fn absent_entry_is_not_found() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let logged = stack.log(&interaction(&user, "hi")).await;
    let id = Uuid::parse_str(id_of(&logged)).expect("a UUID");
    let near = Uuid::from_u128(id.as_u128() ^ 1).to_string();
    let latest = Builder::from_unix_timestamp_millis((1 << 48) - 1, &[0; 10]).into_uuid().to_string();
    let first = Builder::from_unix_timestamp_millis(0, &[0; 10]).into_uuid().to_string();
    for id in [&near, &latest, &first, &Uuid::now_v7().to_string()] {
        assert_absent(&stack.get_log("agent", &user, id).await);
    }
    // The id belongs to one agent and one user.
    assert_absent(&stack.get_log("agent", &fresh("user"), id_of(&logged)).await);
    assert_absent(&stack.get_log(&fresh("agent"), &user, id_of(&logged)).await);
}

#[track_caller]
fn assert_absent(answer: &Answer) {
    answer.check(answer.json(404)["error"].is_string(), "an error");
    answer.check(answer.header("cache-control") == "no-store" && answer.header("etag").is_empty(), "nothing to keep");
}

#[tokio::test]
async fn text_that_is_not_an_id_is_refused() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for (id, kind) in [
        ("x", "uuid_parsing"),
        ("..", "uuid_parsing"),
        ("019b796d-d600-7c2a-8a53-5d1c54f1a6c", "uuid_parsing"),
        ("0b6f6c2e-2f7e-4b57-9c0b-7d1b7d8e4a11", "uuid_version"),
    ] {
        stack.get_log("agent", &user, id).await.expect_faults(&[("path.log_id", kind)]);
    }
    let answer = stack.get("/logs/a%5Cb/%2e%2e/x?limit=1").await;
    answer.expect_faults(&[
        ("path.agent_id", "value_error"),
        ("path.user_id", "value_error"),
        ("path.log_id", "uuid_parsing"),
        ("query.limit", "extra_forbidden"),
    ]);
}

#[tokio::test]
async fn entry_may_be_kept_and_is_not_sent_twice() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let (one, other) = (stack.log(&interaction(&user, "one")).await, stack.log(&interaction(&user, "two")).await);
    let first = stack.get_log("agent", &user, id_of(&one)).await;
    first.check(first.header("cache-control") == CACHING, CACHING);
    first.check(first.header("vary").eq_ignore_ascii_case("x-api-key"), "a response for each key");
    let tag = first.header("etag").to_owned();
    first.check(tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'), "a strong entity tag");
    let again = stack.get_log("agent", &user, id_of(&one)).await;
    again.check(again.header("etag") == tag, "the same tag");
    let of_other = stack.get_log("agent", &user, id_of(&other)).await;
    of_other.check(of_other.header("etag") != tag, "another tag for another entry");

    let path = format!("/logs/agent/{}/{}", segment(&user), id_of(&one));
    for tags in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let answer = stack.send(Method::GET, &path, &[("if-none-match", &tags)], "").await;
        answer.check(answer.status() == 304 && answer.text().is_empty(), "304 without a body");
        answer.check(answer.header("etag") == tag && answer.header("cache-control") == CACHING, "the headers of a 200");
    }
    let answer = stack.send(Method::GET, &path, &[("if-none-match", of_other.header("etag"))], "").await;
    answer.expect(200, &one);
    let absent = format!("/logs/agent/{}/{}", segment(&user), Uuid::now_v7());
    assert_absent(&stack.send(Method::GET, &absent, &[("if-none-match", "*")], "").await);
}
