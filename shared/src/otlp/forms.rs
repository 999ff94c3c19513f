//! The places where instrumentations put messages: attributes and events of a span or log record.

use opentelemetry_proto::tonic::trace::v1::span::Event;

use super::attributes::{Attributes, to_json};
use super::messages::{Role, Transcript, content};

/// Event with the messages of a model call, and name of the log record with the same content.
pub const DETAILS: &str = "gen_ai.client.inference.operation.details";

const INPUT: &str = "gen_ai.input.messages";
const OUTPUT: &str = "gen_ai.output.messages";

/// Messages of a model call.
#[derive(Debug)]
pub enum Messages {
    /// The messages of the first form that has any.
    Found(Transcript),
    /// The instrumentation does not record messages.
    Missing,
    /// The messages are not readable. Most often the SDK has cut a long attribute.
    Unreadable,
}

/// Returns the messages sent to the model.
pub fn input(attributes: Attributes<'_>, events: &[Event]) -> Messages {
    let forms: [&dyn Fn(&mut Transcript) -> Form; 8] = [
        &|into| json(attributes, INPUT, Role::User, into),
        &|into| details(events, INPUT, Role::User, into),
        &|into| openinference(attributes, "llm.input_messages.", into),
        &|into| text_or_json(attributes, "langfuse.observation.input", Role::User, into),
        &|into| json(attributes, "ai.prompt.messages", Role::User, into),
        &|into| openllmetry(attributes, "gen_ai.prompt.", into),
        &|into| json(attributes, "gen_ai.prompt", Role::User, into),
        &|into| message_events(events, into),
    ];
    first(&forms)
}

/// Returns the text that the model replied with.
pub fn reply(attributes: Attributes<'_>, events: &[Event]) -> Option<String> {
    let forms: [&dyn Fn(&mut Transcript) -> Form; 8] = [
        &|into| json(attributes, OUTPUT, Role::Assistant, into),
        &|into| details(events, OUTPUT, Role::Assistant, into),
        &|into| openinference(attributes, "llm.output_messages.", into),
        &|into| text_or_json(attributes, "langfuse.observation.output", Role::Assistant, into),
        &|into| text(attributes, &["ai.response.text", "ai.result.text"], into),
        &|into| openllmetry(attributes, "gen_ai.completion.", into),
        &|into| json(attributes, "gen_ai.completion", Role::Assistant, into),
        &|into| choice_events(events, into),
    ];
    match first(&forms) {
        Messages::Found(transcript) => transcript.into_reply(),
        Messages::Missing | Messages::Unreadable => None,
    }
}

/// The result of reading one form.
enum Form {
    /// Without an error. There may be no messages.
    Read,
    Unreadable,
}

fn first(forms: &[&dyn Fn(&mut Transcript) -> Form]) -> Messages {
    let mut messages = Messages::Missing;
    for form in forms {
        let mut transcript = Transcript::default();
        match form(&mut transcript) {
            Form::Read if transcript.is_empty() => {}
            Form::Read => return Messages::Found(transcript),
            Form::Unreadable => messages = Messages::Unreadable,
        }
    }
    messages
}

fn json(attributes: Attributes<'_>, key: &str, default: Role, into: &mut Transcript) -> Form {
    match attributes.value(key).map(to_json).filter(|json| !json.trim().is_empty()) {
        Some(json) if into.read(&json, default).is_err() => Form::Unreadable,
        _ => Form::Read,
    }
}

fn text(attributes: Attributes<'_>, keys: &[&str], into: &mut Transcript) -> Form {
    if let Some(text) = attributes.first_text(keys) {
        into.push(Role::Assistant, text.to_owned());
    }
    Form::Read
}

/// Reads an attribute that is JSON unless the application gave a text.
fn text_or_json(attributes: Attributes<'_>, key: &str, default: Role, into: &mut Transcript) -> Form {
    let Some(text) = attributes.text(key) else { return json(attributes, key, default, into) };
    let start = text.trim_start();
    if start.starts_with(['[', '{', '"']) && into.read(text, default).is_ok() {
        return Form::Read;
    }
    if start.starts_with("[{") || start.starts_with("{\"") {
        return Form::Unreadable;
    }
    into.push(default, text.to_owned());
    Form::Read
}

/// Reads events with the messages of a model call. Strands sends one for the input and one for the output.
fn details(events: &[Event], key: &str, default: Role, into: &mut Transcript) -> Form {
    let mut details = events.iter().filter(|event| event.name == DETAILS).map(|event| Attributes(&event.attributes));
    match details.find(|attributes| attributes.value(key).is_some()) {
        Some(attributes) => json(attributes, key, default, into),
        None => Form::Read,
    }
}

/// Reads `<prefix>N.message.role`, `<prefix>N.message.content` and `<prefix>N.message.contents.M.message_content.text`.
///
/// Source: <https://arize-ai.github.io/openinference/spec/semantic_conventions.html>.
fn openinference(attributes: Attributes<'_>, prefix: &str, into: &mut Transcript) -> Form {
    let entries = attributes.indexed(prefix);
    for message in entries.chunk_by(|one, other| one.0 == other.0) {
        let field = |name: &str| message.iter().find(|(_, key, _)| *key == name).map(|(.., value)| *value);
        let text = match field("message.content").filter(|text| !text.is_empty()) {
            Some(text) => text.to_owned(),
            None => {
                let mut parts: Vec<(u32, &str)> = Vec::new();
                for (_, key, value) in message {
                    let part = key.strip_prefix("message.contents.").and_then(|key| key.split_once('.'));
                    if let Some((number, "message_content.text")) = part {
                        parts.push((number.parse().unwrap_or(u32::MAX), value));
                    }
                }
                parts.sort_by_key(|(number, _)| *number);
                parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
            }
        };
        into.push(field("message.role").map_or(Role::Other, Role::named), text);
    }
    Form::Read
}

/// Reads `<prefix>N.role` and `<prefix>N.content`, as older versions of OpenLLMetry send them.
fn openllmetry(attributes: Attributes<'_>, prefix: &str, into: &mut Transcript) -> Form {
    let entries = attributes.indexed(prefix);
    for message in entries.chunk_by(|one, other| one.0 == other.0) {
        let field = |name: &str| message.iter().find(|(_, key, _)| *key == name).map(|(.., value)| *value);
        let text = field("content").map(content).unwrap_or_default().into_owned();
        into.push(field("role").map_or(Role::Other, Role::named), text);
    }
    Form::Read
}

/// Reads the events `gen_ai.<role>.message` of version 1.36 of the conventions, which Strands sends by default.
fn message_events(events: &[Event], into: &mut Transcript) -> Form {
    for event in events {
        let name = event.name.strip_prefix("gen_ai.").and_then(|name| name.strip_suffix(".message"));
        let Some(role) = name.map(Role::named) else { continue };
        let attributes = Attributes(&event.attributes);
        // The SDKs for Azure send the message as JSON.
        match attributes.text("gen_ai.event.content") {
            Some(json) => {
                if into.read(json, role).is_err() {
                    return Form::Unreadable;
                }
            }
            None => into.push(role, attributes.text("content").map(content).unwrap_or_default().into_owned()),
        }
    }
    Form::Read
}

/// Reads the events `gen_ai.choice` of version 1.36 of the conventions.
fn choice_events(events: &[Event], into: &mut Transcript) -> Form {
    for event in events.iter().filter(|event| event.name == "gen_ai.choice") {
        let attributes = Attributes(&event.attributes);
        let Some(text) = attributes.first_text(&["gen_ai.event.content", "message", "content"]) else { continue };
        if !(text.trim_start().starts_with('{') && into.read(text, Role::Assistant).is_ok()) {
            into.push(Role::Assistant, content(text).into_owned());
        }
    }
    Form::Read
}
