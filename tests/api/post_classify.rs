//! `POST /classify`: classifies texts without storing them.

use serde_json::{Value, json};
use shared::auth::Scope;

use crate::keys::{key_for, key_with};
use crate::stack::{Stack, fresh};

#[tokio::test]
async fn one_text_is_answered_with_its_signal_and_what_decided() {
    let answer = Stack::connect().post_classify(&json!({"text": "I am so frustrated with this"})).await;
    let verdict = answer.ok();
    assert_eq!(verdict["signal"], "stressed");
    let score = verdict["score"].as_f64().expect("a number");
    assert!((0.5..=1.0).contains(&score), "{verdict}");
    assert!(verdict["version"].as_str().is_some_and(|version| !version.is_empty()), "{verdict}");
    let matched = verdict["matched"].as_array().expect("a list");
    assert!(matched.iter().any(|term| term["signal"] == "stressed" && term["weight"].is_number()), "{verdict}");
}

#[tokio::test]
async fn texts_are_answered_in_their_order_as_a_log_entry_would_be() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let texts = ["Thanks, that is great", "", "is this right? I am confused", "The sky is blue", "\u{0}\u{1f600} 日本"];
    let results = stack.post_classify(&json!({"texts": texts})).await.ok()["results"].clone();
    assert_eq!(results.as_array().map(Vec::len), Some(texts.len()));
    assert_eq!((&results[0]["signal"], &results[2]["signal"]), (&json!("positive"), &json!("uncertain")));
    for (text, result) in texts.iter().zip(results.as_array().expect("a list")) {
        let interaction = json!({"agent_id": "agent", "user_id": user, "user_input": text});
        let logged = stack.log(&interaction).await;
        assert_eq!(logged["detected_signal"], result["signal"], "{text}");
        for part in ["score", "language", "matched", "version"] {
            assert_eq!(logged["classification"][part], result[part], "{text}");
        }
    }
}

#[tokio::test]
async fn text_in_a_language_without_a_lexicon_has_no_score() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let texts = json!({"texts": ["これは最悪です", "Где мой заказ?"]});
    let results = stack.post_classify(&texts).await.ok()["results"].clone();
    assert_eq!((&results[0]["signal"], &results[0]["language"]), (&json!("stressed"), &json!("ja")));
    assert_eq!((&results[1]["signal"], &results[1]["language"]), (&json!("neutral"), &Value::Null));
    assert_eq!((results[0]["score"].is_number(), &results[1]["score"]), (true, &Value::Null));

    for text in texts["texts"].as_array().expect("a list") {
        stack.log(&json!({"agent_id": "agent", "user_id": user, "user_input": text})).await;
    }
    stack.get_summary("agent", &user).await.expect(200, &json!({"stressed": 1, "unclassified": 1}));
}

#[tokio::test]
async fn up_to_a_hundred_texts_are_taken() {
    let stack = Stack::connect();
    assert_eq!(stack.post_classify(&json!({"texts": []})).await.ok(), json!({"results": []}));
    let answer = stack.post_classify(&json!({"texts": vec!["hi"; 100]})).await.ok();
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(100));
    stack.post_classify(&json!({"texts": vec!["hi"; 101]})).await.expect_faults(&[("body.texts", "too_long")]);
}

#[tokio::test]
async fn every_fault_is_named_where_it_is() {
    let stack = Stack::connect();
    let refused: [(Value, &[(&str, &str)]); 6] = [
        (json!({}), &[("body.text", "missing")]),
        (json!({"text": 1}), &[("body.text", "string_type")]),
        (json!({"text": null}), &[("body.text", "string_type")]),
        (json!({"texts": "hi"}), &[("body.texts", "list_type")]),
        (json!({"texts": ["hi", 1, "hi", null]}), &[("body.texts.1", "string_type"), ("body.texts.3", "string_type")]),
        (json!({"text": "hi", "texts": ["hi"]}), &[("body", "value_error")]),
    ];
    for (body, faults) in refused {
        stack.post_classify(&body).await.expect_faults(faults);
    }
}

#[tokio::test]
async fn more_than_a_batch_may_have_is_refused() {
    let answer = Stack::connect().post_classify(&json!({"text": "x".repeat(1_048_576)})).await;
    answer.check(
        answer.json(413)["detail"].as_str().is_some_and(|it| it.contains("max_batch_bytes")),
        "the limit's name",
    );
}

#[tokio::test]
async fn only_keys_that_may_write_logs_may_classify() {
    let (stack, text) = (Stack::connect(), json!({"text": "hi"}));
    stack.with_key(key_for(&[&fresh("agent")]).await).post_classify(&text).await.ok();
    stack.with_key(key_with(&[Scope::LogsWrite]).await).post_classify(&text).await.ok();
    let others = [Scope::LogsRead, Scope::EventsWrite, Scope::EventsRead];
    stack.with_key(key_with(&others).await).post_classify(&text).await.expect(403, &json!({"detail": "Forbidden"}));
    stack.without_key().post_classify(&text).await.expect(401, &json!({"detail": "Unauthorized"}));
}
