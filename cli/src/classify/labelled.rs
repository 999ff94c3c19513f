//! Texts with the signals that people gave them, from saved responses of `GET /agents/{agent_id}/feedback`.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Deserializer, Value};
use shared::ids::Signal;

/// A text with feedback.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Labelled {
    /// The text.
    pub user_input: String,
    /// The signal that the text should have.
    pub signal: Signal,
    /// The signal that the text had when the feedback was given, if the file has it.
    pub detected_signal: Option<Signal>,
}

/// Parses `text`: JSON values one after the other, each a response with the field `feedback`, an array, or one text with
/// feedback.
///
/// # Errors
/// Fails with the line and the reason if the text has another format, or no feedback.
pub(super) fn parse(text: &str) -> Result<Vec<Labelled>> {
    let text = text.trim_start_matches('\u{feff}');
    let mut labelled = Vec::new();
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let start = start_of_value(text, values.byte_offset());
        let Some(value) = values.next() else { break };
        let items = match value.context("not JSON")? {
            Value::Array(items) => items,
            Value::Object(mut fields) if fields.contains_key("feedback") && !fields.contains_key("user_input") => {
                match fields.remove("feedback") {
                    Some(Value::Array(items)) => items,
                    _ => bail!("line {}: the field feedback is not a list", line_of(text, start)),
                }
            }
            value => vec![value],
        };
        for item in items {
            let one = Labelled::deserialize(item);
            labelled.push(one.with_context(|| {
                let line = line_of(text, start);
                format!("line {line}: not feedback, which has user_input and signal")
            })?);
        }
    }
    ensure!(!labelled.is_empty(), "there is no feedback in it");
    Ok(labelled)
}

/// Returns the byte offset of the first character from `offset` on that is not white space.
fn start_of_value(text: &str, offset: usize) -> usize {
    let rest = text.get(offset..).unwrap_or_default();
    offset + (rest.len() - rest.trim_start().len())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        parse(text).expect("feedback").into_iter().map(|labelled| labelled.user_input).collect()
    }

    #[test]
    fn responses_arrays_and_lines_are_read() {
        let one = |text: &str| format!(r#"{{"log_id":"x","user_input":"{text}","signal":"neutral"}}"#);
        let page = |text: &str| format!("{{\n\"feedback\": [{}],\n\"agreement\": {{}} }}", one(text));
        assert_eq!(texts(&format!("{}\r\n\n{}\n", one("a"), one("b"))), ["a", "b"]);
        assert_eq!(texts(&format!("\u{feff}{}\n{}{}", page("a"), page("b"), r#"{"feedback":[]}"#)), ["a", "b"]);
        assert_eq!(texts(&format!("[{},{}]", one("a"), one("b"))), ["a", "b"]);
        let read = parse(r#"{"user_input":"", "signal":"a", "detected_signal":"b"}"#).expect("feedback");
        let signal = |name: &str| Signal::try_from(name).expect("a signal");
        let expected = Labelled { user_input: String::new(), signal: signal("a"), detected_signal: Some(signal("b")) };
        assert_eq!(read, [expected]);
    }

    #[test]
    fn other_content_is_rejected_with_its_line() {
        let valid = r#"{"user_input":"a","signal":"neutral"}"#;
        for (text, reason) in [
            ("".to_owned(), "there is no feedback in it"),
            (r#"{"feedback":[]}"#.to_owned(), "there is no feedback in it"),
            (
                format!("{valid}\n{{\"user_input\":\"a\"}}"),
                "line 2: not feedback, which has user_input and signal: missing",
            ),
            (format!("{valid}\n\n{{\"user_input\":\"a\",\"signal\":\"\"}}"), "line 3: not feedback"),
            (format!("{valid}\n{{\"feedback\":1}}"), "line 2: the field feedback is not a list"),
            (format!("{valid}\nx"), "not JSON: expected value at line 2 column 1"),
            ("1".to_owned(), "line 1: not feedback"),
        ] {
            let error = format!("{:#}", parse(&text).expect_err(&text));
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
