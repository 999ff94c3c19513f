//! The whole turn of a conversation: the agent's reply and the metadata of an interaction.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::segments::put_singles;
use crate::stack::{Stack, fresh};

/// Returns an interaction of `user` with additional fields.
fn turn(user: &str, more: &Value) -> Value {
    let mut interaction = json!({"agent_id": "agent", "user_id": user, "user_input": "I am so frustrated"});
    interaction.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    interaction
}

#[tokio::test]
async fn reply_and_metadata_come_back_as_they_were_sent() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for more in [
        json!({"agent_output": "Thanks, great! <b>日</b> \u{0} \"\\\r\n", "metadata": {"model": "m-1", "tokens": 118}}),
        json!({"agent_output": "", "metadata": {}}),
        json!({"metadata": {"": -0.25, "A": true, "a": false, "日 \"": "\n"}}),
        json!({"agent_output": null, "metadata": null}),
    ] {
        let logged = stack.log(&turn(&user, &more)).await;
        assert_eq!(logged["agent_output"], more["agent_output"], "{logged}");
        assert_eq!(logged["metadata"], more["metadata"], "{logged}");
        assert_eq!(logged["detected_signal"], "stressed", "only the user's text is classified: {logged}");
        let answer = stack.get_logs_where("agent", &user, "limit=1").await;
        answer.expect(200, &json!([logged]));
    }
}

#[tokio::test]
async fn retry_with_another_reply_or_metadata_is_a_conflict() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let id = Uuid::now_v7();
    let sent = |agent_output: &str, metadata: &Value| {
        turn(&user, &json!({"log_id": id, "agent_output": agent_output, "metadata": metadata}))
    };
    let logged = stack.log(&sent("Sorry.", &json!({"a": 1, "b": "x"}))).await;
    let again = stack.post_log(&sent("Sorry.", &json!({"b": "x", "a": 1}))).await;
    again.expect(200, &json!({"status": "ok", "logged": logged, "duplicate": true}));
    for (agent_output, metadata) in [
        ("sorry.", json!({"a": 1, "b": "x"})),
        ("Sorry.", json!({"a": 1})),
        ("Sorry.", json!({"a": "1", "b": "x"})),
        ("Sorry.", json!(null)),
    ] {
        let answer = stack.post_log(&sent(agent_output, &metadata)).await;
        answer.check(answer.status() == 409, "a conflict");
    }
    stack.get_logs("agent", &user).await.expect(200, &json!([logged]));
}

#[tokio::test]
async fn invalid_replies_and_metadata_are_refused_and_not_stored() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let keys = |count: usize| Value::Object((0..count).map(|key| (key.to_string(), json!(key))).collect());
    let text = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
    for (more, field, kind) in [
        (json!({"agent_output": 1}), "body.agent_output", "string_type"),
        (json!({"agent_output": {"text": "hi"}}), "body.agent_output", "string_type"),
        (json!({"metadata": []}), "body.metadata", "dict_type"),
        (json!({"metadata": "{}"}), "body.metadata", "dict_type"),
        (json!({"metadata": {"a": null}}), "body.metadata", "value_error"),
        (json!({"metadata": {"a": {"b": 1}}}), "body.metadata", "value_error"),
        (json!({"metadata": keys(17)}), "body.metadata", "too_long"),
        (json!({"metadata": text(2_049)}), "body.metadata", "bytes_too_long"),
    ] {
        stack.post_log(&turn(&user, &more)).await.expect_faults(&[(field, kind)]);
    }
    let both = json!({"agent_output": [], "metadata": 1});
    let faults = [("body.agent_output", "string_type"), ("body.metadata", "dict_type")];
    stack.post_log(&turn(&user, &both)).await.expect_faults(&faults);
    stack.get_logs("agent", &user).await.expect(200, &json!([]));
    for metadata in [keys(16), text(2_048)] {
        let logged = stack.log(&turn(&user, &json!({ "metadata": metadata }))).await;
        assert_eq!(logged["metadata"], metadata);
    }
}

#[tokio::test]
async fn metadata_with_serde_jsons_private_key_is_kept() {
    let (stack, user, id) = (Stack::connect(), fresh("user"), Uuid::now_v7());
    for key in ["$serde_json::private::RawValue", "\\u0024serde_json::private::Number"] {
        let metadata = format!(r#"{{"{key}":"not JSON"}}"#);
        let body = format!(
            r#"{{"agent_id":"agent","user_id":"{user}","user_input":"x","log_id":"{id}","metadata":{metadata}}}"#
        );
        let shown = format!(r#""metadata":{}"#, metadata.replace("\\u0024", "$"));
        let first = stack.post("/log", body.clone()).await;
        if key.starts_with('$') {
            first.check(first.status() == 200 && first.text().contains(&shown), "the metadata as it was sent");
            let again = stack.post("/log", body).await;
            again.check(again.text().contains(&shown) && again.text().contains("duplicate"), "a duplicate");
        } else {
            first.check(first.status() == 409, "a conflict with the metadata stored first");
        }
    }
}

#[tokio::test]
async fn entries_without_the_new_fields_are_read_as_stored() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let entries = put_singles(&user, &[("2026-01-01T12:00:00Z", "positive")]).await;
    assert!(entries[0].get("agent_output").is_none() && entries[0].get("metadata").is_none());
    stack.get_logs("agent", &user).await.expect(200, &json!(entries));
}
