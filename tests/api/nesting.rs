//! Deeply nested bodies, in every spelling, and objects with serde_json's private key.

use serde_json::{Value, json};

use crate::events::{at, event};
use crate::stack::{Stack, fresh};

const PRIVATE_KEY: &str = "$serde_json::private::RawValue";

/// Returns bodies whose nesting a parser with a limit of 128 levels must reject, in several spellings.
fn too_deep() -> Vec<String> {
    let nested = |open: &str, close: &str, levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
    vec![
        nested("[", "]", 128),
        nested("[", "]", 30_000),
        nested("{\"a\":", "}", 128),
        nested("{\"\\u0061\" :\n", "}", 4_000),
        nested(" [ {\"\":", " } ]", 4_000),
        format!("{{\"{PRIVATE_KEY}\":{}}}", nested("[", "]", 128)),
        "[".repeat(30_000),
        "{\"a\":".repeat(10_000),
    ]
}

/// Returns thousands of levels for a parser that reads the string under the private key as JSON: 120 arrays, then an
/// object with that key, whose string contains the same again. Quotes are escaped such that the text grows only slowly,
/// by the square of `strings`.
fn nested_in_strings(strings: usize, key: &str) -> String {
    (0..strings).fold("1".to_owned(), |text, _| {
        let escaped = text.replace('\\', "\\u005c").replace('"', "\\u0022");
        format!("{}{{\"{key}\":\"{escaped}\"}}{}", "[".repeat(120), "]".repeat(120))
    })
}

fn keys() -> [String; 2] {
    [PRIVATE_KEY.to_owned(), PRIVATE_KEY.replace('$', "\\u0024")]
}

/// Returns the fields of an event as text, to which a payload can be appended.
fn fields_of_event(user: &str) -> String {
    let event = event(user, "x", at(0)).to_string();
    event[1..event.len() - 1].to_owned()
}

#[tokio::test]
async fn nesting_in_any_spelling_is_invalid_json() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for nested in too_deep() {
        for (path, body) in [
            ("/log", format!(r#"{{"agent_id":"agent","user_id":"{user}","user_input":"x","session_id":{nested}}}"#)),
            ("/log", format!(r#"{{"agent_id":"agent","user_id":"{user}","user_input":"x","unknown":{nested}}}"#)),
            ("/event", format!(r#"{{{},"payload":{{"a":{nested}}}}}"#, fields_of_event(&user))),
            ("/classify", format!(r#"{{"text":{nested}}}"#)),
            ("/classify", format!(r#"{{"texts":[{nested}]}}"#)),
        ] {
            let answer = stack.post(path, body).await;
            answer.check(answer.faults()[0].1 == "json_invalid", "json_invalid");
        }
    }
    assert_eq!(stack.get_events(&user).await.list(), Vec::<Value>::new());
    assert_eq!(stack.get_logs("agent", &user).await.list(), Vec::<Value>::new());
}

#[tokio::test]
async fn nesting_in_strings_is_a_string_in_every_body() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for key in keys() {
        let nested = nested_in_strings(50, &key);
        assert!((30_000..64_000).contains(&nested.len()), "{}", nested.len());
        let log = format!(r#"{{"agent_id":"agent","user_id":"{user}","user_input":"x","session_id":{nested}}}"#);
        stack.post("/log", log).await.expect_faults(&[("body.session_id", "string_type")]);
        stack.post("/classify", format!(r#"{{"text":{nested}}}"#)).await.expect_faults(&[("body.text", "string_type")]);
        stack.post("/event", nested.clone()).await.expect_faults(&[("body", "model_attributes_type")]);
        let large = nested_in_strings(250, &key);
        assert!(large.len() < 1 << 20, "{}", large.len());
        stack.post("/classify", format!(r#"{{"text":{large}}}"#)).await.expect_faults(&[("body.text", "string_type")]);
    }
}

#[tokio::test]
async fn batch_stores_the_valid_events_beside_deep_ones() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    let valid = event(&user, "x", at(0)).to_string();
    let events: Vec<_> = too_deep()
        .into_iter()
        .take(6)
        .map(|nested| format!(r#"{{{},"payload":{{"a":{nested}}}}}"#, fields_of_event(&user)))
        .chain([valid])
        .collect();
    let answer = stack.post("/events", format!("[{}]", events.join(","))).await;
    let results = answer.results(7);
    for (index, result) in results[..6].iter().enumerate() {
        answer.check(result["status"] == "invalid", "invalid");
        let faults = answer.faults_of(result);
        let is_named = faults[0].1 == "json_invalid" && faults[0].0.starts_with(&format!("body.{index}."));
        answer.check(is_named, "json_invalid in its place");
    }
    answer.check(results[6]["status"] == "ingested", "the valid event to be stored");
    assert_eq!(stack.get_events(&user).await.list().len(), 1);
}

#[tokio::test]
async fn payload_with_the_private_key_is_kept_as_it_was_sent() {
    let stack = Stack::connect();
    for key in keys() {
        for payload in [
            format!(r#"{{"{key}":"[1]"}}"#),
            format!(r#"{{ "{key}" : "\"abc\"" , "n": 1.10 }}"#),
            format!(r#"{{"a":{{"{key}":"{{\"b\":1}}"}},"$serde_json::private::Number":"1"}}"#),
            format!(r#"{{"a":{}}}"#, nested_in_strings(40, &key)),
        ] {
            let user = fresh("user");
            let body = format!(r#"{{{},"payload":{payload}}}"#, fields_of_event(&user));
            let answer = stack.post("/event", body).await;
            answer.check(answer.ok()["status"] == "ingested", "an ingested event");
            let events = stack.get_events(&user).await;
            events.check(events.text().contains(&format!(r#""payload":{payload}"#)), "the payload as it was sent");
        }
    }
}

#[tokio::test]
async fn private_key_hides_no_field_and_is_no_other_type() {
    let (stack, user) = (Stack::connect(), fresh("user"));
    for key in keys() {
        let inside = json!(event(&user, "x", at(0)).to_string());
        let answer = stack.post("/event", format!(r#"{{"{key}":{inside}}}"#)).await;
        let missing = ["body.user_id", "body.agent_id", "body.signal_type", "body.timestamp"];
        answer.expect_faults(&missing.map(|field| (field, "missing")));
        let log = format!(r#"{{"agent_id":"agent","user_id":"{user}","user_input":{{"{key}":"\"abc\""}}}}"#);
        let answer = stack.post("/log", log).await;
        answer.expect_faults(&[("body.user_input", "string_type")]);
        let shown = format!(r#""input":{{"{key}":"\"abc\""}}"#);
        answer.check(answer.text().contains(&shown), "the value as it was sent");
    }
}
