//! Tests of the mapping from spans and log records to turns.

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::{Value as Json, json};
use std::io::Write;

use super::response::{self, Rejected};
use super::*;
use crate::ids::AgentId;

const START: u64 = 1_795_645_276_700_208_242;

/// Returns `json` as the value of an attribute: an object or a list as structure.
fn value(json: &Json) -> AnyValue {
    let values = |items: &[Json]| ArrayValue { values: items.iter().map(value).collect() };
    let value = match json {
        Json::Null => None,
        Json::Bool(value) => Some(Value::BoolValue(*value)),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Some(Value::IntValue(number)),
            None => number.as_f64().map(Value::DoubleValue),
        },
        Json::String(text) => Some(Value::StringValue(text.clone())),
        Json::Array(items) => Some(Value::ArrayValue(values(items))),
        Json::Object(_) => Some(Value::KvlistValue(KeyValueList { values: attributes(json) })),
    };
    AnyValue { value }
}

/// Returns the fields of `json` as attributes.
fn attributes(json: &Json) -> Vec<KeyValue> {
    let fields = json.as_object().expect("an object").iter();
    fields.map(|(key, json)| KeyValue { key: key.clone(), value: Some(value(json)), ..Default::default() }).collect()
}

/// Returns a span with the number `id` below the span `parent`, or the root of a trace if `parent` is 0.
fn span(id: u64, parent: u64, json: &Json) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        start_time_unix_nano: START + id * 1_000_000,
        attributes: attributes(json),
        ..Default::default()
    }
}

/// Returns a model call by maria with the messages `input` and `output`: JSON in the form of the conventions.
fn call(id: u64, parent: u64, input: &Json, output: &Json) -> Span {
    let messages = json!({
        "gen_ai.operation.name": "chat",
        "user.id": "maria",
        "gen_ai.input.messages": input.to_string(),
        "gen_ai.output.messages": output.to_string(),
    });
    span(id, parent, &messages)
}

fn message(role: &str, text: &str) -> Json {
    json!({ "role": role, "parts": [{ "type": "text", "content": text }] })
}

fn tool_call() -> Json {
    json!({ "role": "assistant", "parts": [{ "type": "tool_call", "id": "1", "name": "find", "arguments": {} }] })
}

fn tool_result(role: &str) -> Json {
    json!({ "role": role, "parts": [{ "type": "tool_call_response", "id": "1", "response": "found" }] })
}

fn request_of(resource: &Json, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Some(Resource { attributes: attributes(resource), ..Default::default() });
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans, ..Default::default() }] }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    request_of(&json!({ "service.name": "support" }), spans)
}

fn options() -> Options {
    Options::for_entries_of(65_536)
}

/// Reads `request` as protobuf and as JSON, and checks that the results are the same.
fn export(request: &ExportTraceServiceRequest) -> Export {
    let read = |body: &[u8], encoding| read_traces(body, encoding, Limits::default(), &options()).expect("decodable");
    let export = read(&request.encode_to_vec(), Encoding::Protobuf);
    assert_eq!(read(&serde_json::to_vec(request).expect("JSON"), Encoding::Json), export);
    export
}

fn turns(spans: Vec<Span>) -> Vec<Turn> {
    let export = export(&request(spans));
    assert_eq!(export.skipped.iter().collect::<Vec<_>>(), []);
    export.turns
}

fn skipped(spans: Vec<Span>) -> Vec<(SkipReason, u64)> {
    let export = export(&request(spans));
    assert_eq!(export.turns, []);
    export.skipped.iter().collect()
}

/// Returns the texts of the only turn.
fn texts(spans: Vec<Span>) -> (String, Option<String>) {
    let [turn] = <[Turn; 1]>::try_from(turns(spans)).expect("one turn");
    (turn.user_input, turn.agent_output)
}

fn hi_hello() -> (String, Option<String>) {
    ("Hi".to_owned(), Some("Hello".to_owned()))
}

fn hi() -> Span {
    call(1, 0, &json!([message("user", "Hi")]), &json!([message("assistant", "Hello")]))
}

fn error(body: &[u8], encoding: Encoding) -> DecodeError {
    read_traces(body, encoding, Limits::default(), &options()).expect_err("an error")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

#[test]
fn turn_has_all_fields_of_its_call() {
    let more = json!({ "session.id": "s-1", "gen_ai.request.model": "gpt", "gen_ai.provider.name": "openai" });
    let mut span = hi();
    span.attributes.extend(attributes(&more));
    let [turn] = <[Turn; 1]>::try_from(turns(vec![span])).expect("one turn");
    assert_eq!((turn.agent_id.as_str(), turn.user_id.as_str()), ("support", "maria"));
    assert_eq!((turn.session_id.as_deref(), turn.user_input.as_str()), (Some("s-1"), "Hi"));
    assert_eq!(turn.agent_output.as_deref(), Some("Hello"));
    assert_eq!(json!(turn.metadata), json!({ "model": "gpt", "provider": "openai" }));
    assert_eq!(turn.timestamp.to_rfc3339_millis(), "2026-11-25T22:21:16.701Z");
    // Ids are stored data: another version must derive the same id.
    assert_eq!(turn.log_id.to_string(), "01a214cc-821d-7b7e-a887-56f2bada47a5");
}

#[test]
fn messages_are_read_in_every_form() {
    let history = json!([{ "role": "system", "content": "Help." }, { "role": "user", "content": "Hi" }]);
    let reply = json!({ "role": "assistant", "content": "Hello" });
    let constructor = |class: &str, kwargs: &Json| json!({ "lc": 1, "type": "constructor", "id": ["langchain", class], "kwargs": kwargs });
    let human = constructor("HumanMessage", &json!({ "content": "Hi" }));
    let ai = constructor("AIMessage", &json!({ "content": "Hello", "type": "ai" }));
    for form in [
        json!({ "gen_ai.operation.name": "chat", "gen_ai.input.messages": history, "gen_ai.output.messages": [message("assistant", "Hello")] }),
        json!({
            "openinference.span.kind": "LLM",
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.contents.0.message_content.text": "Hi",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "Help.",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "Hello",
        }),
        json!({ "langfuse.observation.type": "generation", "langfuse.observation.input": history.to_string(), "langfuse.observation.output": reply.to_string() }),
        json!({ "langfuse.observation.type": "generation", "langfuse.observation.input": "Hi", "langfuse.observation.output": "Hello" }),
        json!({
            "langfuse.observation.type": "generation",
            "langfuse.observation.input": json!({ "tools": [{ "type": "function" }], "messages": history }).to_string(),
            "langfuse.observation.output": reply.to_string(),
        }),
        json!({
            "ai.operationId": "ai.streamText.doStream",
            "ai.prompt.messages": json!([{ "role": "user", "content": [{ "type": "text", "text": "Hi" }, { "type": "image", "image": "…" }] }]).to_string(),
            "ai.response.text": "Hello",
        }),
        json!({
            "llm.request.type": "chat",
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "Help.",
            "gen_ai.prompt.10.role": "user",
            "gen_ai.prompt.10.content": json!([{ "type": "text", "text": "Hi" }]).to_string(),
            "gen_ai.prompt.9.role": "assistant",
            "gen_ai.prompt.9.content": "Hey",
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "Hello",
        }),
        json!({
            "langsmith.span.kind": "llm",
            "gen_ai.prompt": json!({ "messages": [[human]] }).to_string(),
            "gen_ai.completion": json!({ "generations": [[{ "text": "", "type": "ChatGeneration", "message": ai }]], "type": "LLMResult" }).to_string(),
        }),
        json!({
            "langsmith.span.kind": "llm",
            "gen_ai.prompt": json!({ "messages": history, "model": "gpt" }).to_string(),
            "gen_ai.completion": json!({ "choices": [{ "index": 0, "message": reply }], "object": "chat.completion" }).to_string(),
        }),
    ] {
        let mut span = span(1, 0, &form);
        span.attributes.extend(attributes(&json!({ "user.id": "maria" })));
        assert_eq!(texts(vec![span]), hi_hello(), "{form}");
    }
}

#[test]
fn messages_are_read_from_events() {
    let event =
        |name: &str, json: Json| Event { name: name.to_owned(), attributes: attributes(&json), ..Default::default() };
    let details = "gen_ai.client.inference.operation.details";
    for events in [
        vec![
            event("gen_ai.system.message", json!({ "content": r#"[{"text":"Help."}]"# })),
            event("gen_ai.user.message", json!({ "content": r#"[{"text":"Hi"}]"# })),
            event("gen_ai.choice", json!({ "message": r#"[{"text":"Hello"}]"#, "finish_reason": "end_turn" })),
        ],
        vec![
            event("gen_ai.user.message", json!({ "gen_ai.event.content": r#"{"content":"Hi"}"# })),
            event("gen_ai.choice", json!({ "gen_ai.event.content": r#"{"message":{"content":"Hello"}}"# })),
        ],
        vec![
            event(details, json!({ "gen_ai.system_instructions": "[]" })),
            event(details, json!({ "gen_ai.input.messages": json!([message("user", "Hi")]).to_string() })),
            event(details, json!({ "gen_ai.output.messages": [message("assistant", "Hello")] })),
        ],
    ] {
        let chat = json!({ "gen_ai.operation.name": "chat", "user.id": "maria" });
        assert_eq!(texts(vec![Span { events: events.clone(), ..span(1, 0, &chat) }]), hi_hello(), "{events:?}");
    }
}

#[test]
fn only_calls_of_models_are_turns() {
    let messages = json!([message("user", "Hi")]).to_string();
    for attribute in [
        json!({ "gen_ai.operation.name": "invoke_agent" }),
        json!({ "openinference.span.kind": "CHAIN", "gen_ai.operation.name": "chat" }),
        json!({ "langsmith.span.kind": "prompt", "gen_ai.operation.name": "chat" }),
        json!({ "traceloop.span.kind": "workflow" }),
        json!({ "ai.operationId": "ai.generateText" }),
        json!({ "http.route": "/chat" }),
    ] {
        let mut span = span(1, 0, &attribute);
        span.attributes.extend(attributes(&json!({ "user.id": "maria", "gen_ai.input.messages": messages })));
        assert_eq!(turns(vec![span]), [], "{attribute}");
    }
}

#[test]
fn tool_loop_is_one_turn_with_the_final_reply() {
    for role in ["tool", "user"] {
        let asked = json!([message("user", "Hi")]);
        let loop_ = json!([message("user", "Hi"), tool_call(), tool_result(role)]);
        let first = call(1, 9, &asked, &json!([tool_call()]));
        let second = call(2, 9, &loop_, &json!([message("assistant", "One moment"), tool_call()]));
        let third = call(3, 9, &loop_, &json!([message("assistant", "Hello")]));
        // A system message after the user's text, and the order of the export, change nothing.
        let reminder = json!([message("user", "Hi"), message("system", "Be kind.")]);
        let reminded = call(1, 9, &reminder, &json!([tool_call()]));
        let [turn] = <[Turn; 1]>::try_from(turns(vec![third.clone(), second.clone(), first])).expect("one turn");
        assert_eq!((turn.user_input.as_str(), turn.agent_output.as_deref()), ("Hi", Some("Hello")));
        assert_eq!(turn.timestamp.to_rfc3339_millis(), "2026-11-25T22:21:16.701Z");
        assert_eq!(texts(vec![reminded, second, third]), hi_hello());
    }
}

#[test]
fn replies_of_other_turns_and_tools_are_not_taken() {
    let first = call(1, 0, &json!([message("user", "Hi")]), &json!([tool_call()]));
    let history = json!([message("user", "Hi"), tool_call(), tool_result("tool"), message("user", "Bye")]);
    let second = call(2, 0, &history, &json!([message("assistant", "See you")]));
    let tool = span(3, 1, &json!({ "gen_ai.operation.name": "execute_tool" }));
    let title = json!([message("user", "Hi"), tool_call(), tool_result("tool")]);
    let below_tool = call(4, 3, &title, &json!([message("assistant", "from the tool")]));
    let found = turns(vec![first, second, tool, below_tool]);
    let texts: Vec<_> = found.iter().map(|turn| (turn.user_input.as_str(), turn.agent_output.as_deref())).collect();
    assert_eq!(texts, [("Hi", None), ("Bye", Some("See you"))]);
}

#[test]
fn reply_is_found_in_another_trace_of_the_session() {
    let first = call(1, 0, &json!([message("user", "Hi")]), &json!([tool_call()]));
    let looped = json!([message("user", "Hi"), tool_call(), tool_result("tool")]);
    let second = Span { trace_id: vec![8; 16], ..call(2, 0, &looped, &json!([message("assistant", "Hello")])) };
    assert_eq!(texts(vec![first.clone(), second.clone()]), hi_hello());
    let mut other_user = second;
    other_user.attributes.retain(|attribute| attribute.key != "user.id");
    other_user.attributes.extend(attributes(&json!({ "user.id": "anna" })));
    assert_eq!(texts(vec![first, other_user]), ("Hi".to_owned(), None));
}

#[test]
fn reply_is_found_when_only_the_tools_result_was_sent() {
    let first = call(1, 0, &json!([message("user", "Hi")]), &json!([tool_call()]));
    let second = call(2, 0, &json!([tool_result("tool")]), &json!([message("assistant", "Hello")]));
    assert_eq!(texts(vec![first, second]), hi_hello());
}

#[test]
fn call_recorded_by_two_instrumentations_is_one_turn() {
    let inner = call(2, 1, &json!([message("user", "Hi")]), &json!([message("assistant", "Hello")]));
    assert_eq!(texts(vec![inner, hi()]), hi_hello());
    let without_content = span(2, 1, &json!({ "gen_ai.operation.name": "chat" }));
    assert_eq!(texts(vec![without_content, hi()]), hi_hello());
}

#[test]
fn text_that_the_user_repeats_is_another_turn() {
    let again = json!([message("user", "Hi"), message("assistant", "Hello"), message("user", "Hi")]);
    let again = call(2, 0, &again, &json!([message("assistant", "Hello again")]));
    let replies: Vec<_> = turns(vec![hi(), again]).into_iter().map(|turn| turn.agent_output).collect();
    assert_eq!(replies, [Some("Hello".to_owned()), Some("Hello again".to_owned())]);
}

#[test]
fn text_of_an_agent_for_a_sub_agent_is_no_turn() {
    for kind in [
        json!({ "gen_ai.operation.name": "execute_tool" }),
        json!({ "openinference.span.kind": "TOOL" }),
        json!({ "ai.operationId": "ai.toolCall" }),
        json!({ "traceloop.span.kind": "tool" }),
    ] {
        let agent = span(3, 2, &json!({ "gen_ai.operation.name": "invoke_agent" }));
        let inner = call(4, 3, &json!([message("user", "terrible")]), &json!([message("assistant", "ok")]));
        let export = export(&request(vec![hi(), inner, agent, span(2, 0, &kind)]));
        assert_eq!(export.turns.len(), 1, "{kind}");
        assert_eq!(export.skipped.iter().collect::<Vec<_>>(), [(SkipReason::SubAgent, 1)], "{kind}");
        assert_eq!(export.skipped.rejected(), 0);
    }
}

#[test]
fn messages_without_a_text_of_the_user_are_no_turn() {
    for last in [
        message("assistant", "Hello"),
        tool_result("tool"),
        json!({ "role": "user", "parts": [{ "type": "blob", "content": "…" }] }),
        json!({ "role": "user", "content": " \n" }),
        json!({ "role": "user", "content": [{ "toolResult": { "content": [{ "text": "found" }] } }] }),
        json!({ "role": "user", "content": [{ "type": "tool_result", "content": "found" }] }),
        json!({ "type": "function_call_output", "call_id": "1", "output": "found" }),
        json!({ "call_id": "1", "output": "found", "type": "function_call_output" }),
        json!({ "type": "constructor", "id": ["ToolMessage"], "kwargs": { "content": "found", "type": "tool" } }),
    ] {
        assert_eq!(turns(vec![call(1, 0, &json!([message("user", "Hi"), last]), &json!([]))]), [], "{last}");
    }
}

#[test]
fn names_are_those_of_the_nearest_span() {
    let messages = json!([message("user", "Hi")]).to_string();
    let chat = span(3, 2, &json!({ "gen_ai.operation.name": "chat", "gen_ai.input.messages": messages }));
    let agent =
        json!({ "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "tracker", "session.id": "inner" });
    let root = json!({ "user.id": "maria", "gen_ai.agent.name": "support", "session.id": "outer" });
    let spans = vec![chat, span(2, 1, &agent), span(1, 0, &root)];
    let names = |turn: &Turn| (turn.agent_id.to_string(), turn.user_id.to_string(), turn.session_id.clone());
    let expected = ("tracker".to_owned(), "maria".to_owned(), Some("inner".to_owned()));
    assert_eq!(turns(spans.clone()).iter().map(names).collect::<Vec<_>>(), [expected]);
    let overrides = json!({ "signals.user.id": 42, "signals.agent.id": "front" });
    let mut spans = spans;
    spans[2].attributes.extend(attributes(&overrides));
    let expected = ("front".to_owned(), "42".to_owned(), Some("inner".to_owned()));
    assert_eq!(turns(spans).iter().map(names).collect::<Vec<_>>(), [expected]);
}

#[test]
fn user_is_found_under_the_names_of_frameworks() {
    for names in [
        json!({ "langfuse.user.id": "maria", "langfuse.session.id": "s" }),
        json!({ "enduser.id": "maria", "session.id": "s" }),
        json!({ "gen_ai.user": "maria", "gen_ai.conversation.id": "s" }),
        json!({ "ai.settings.context.userId": "maria", "ai.settings.context.session.id": "s" }),
        json!({ "ai.telemetry.metadata.userId": "maria", "ai.telemetry.metadata.sessionId": "s" }),
        json!({ "traceloop.association.properties.user_id": "maria", "traceloop.association.properties.session_id": "s" }),
        json!({ "langsmith.metadata.user_id": "maria", "langsmith.metadata.thread_id": "s" }),
        json!({ "metadata": json!({ "user_id": "maria", "thread_id": "s", "other": [1] }).to_string() }),
        json!({ "metadata": { "userId": "maria", "sessionId": "s" } }),
    ] {
        let messages = json!([message("user", "Hi")]).to_string();
        let chat = span(2, 1, &json!({ "gen_ai.operation.name": "chat", "gen_ai.input.messages": messages }));
        let [turn] = <[Turn; 1]>::try_from(turns(vec![chat, span(1, 0, &names)])).expect("one turn");
        assert_eq!((turn.user_id.as_str(), turn.session_id.as_deref()), ("maria", Some("s")), "{names}");
    }
}

#[test]
fn agent_is_the_service_unless_the_service_has_no_name() {
    let agent = |resource: Json, default_agent| {
        let body = request_of(&resource, vec![hi()]).encode_to_vec();
        let options = Options { default_agent, ..options() };
        let export = read_traces(&body, Encoding::Protobuf, Limits::default(), &options).expect("decodable");
        export.turns[0].agent_id.to_string()
    };
    let default = || Some(AgentId::try_from("default").expect("a name"));
    assert_eq!(agent(json!({ "service.name": "support" }), default()), "support");
    assert_eq!(agent(json!({ "service.name": "unknown_service:python" }), default()), "default");
    assert_eq!(agent(json!({ "service.name": "unknown_service:python" }), None), "unknown_service:python");
    assert_eq!(agent(json!({}), None), "unknown_service");
    assert_eq!(agent(json!({ "service.name": "support", "signals.agent.id": "front" }), None), "front");
}

#[test]
fn calls_without_a_user_are_counted_and_never_anonymous() {
    let mut anonymous = hi();
    anonymous.attributes.retain(|attribute| attribute.key != "user.id");
    let mut blank = anonymous.clone();
    blank.attributes.extend(attributes(&json!({ "user.id": " " })));
    assert_eq!(skipped(vec![anonymous]), [(SkipReason::NoUser, 1)]);
    assert_eq!(skipped(vec![blank]), [(SkipReason::NoUser, 1)]);
}

#[test]
fn skipped_calls_are_counted_by_reason() {
    let with = |json: Json| {
        let mut span = hi();
        span.attributes.retain(|attribute| json.get(&attribute.key).is_none());
        span.attributes.extend(attributes(&json));
        span
    };
    for (span, reason) in [
        (with(json!({ "gen_ai.input.messages": "" })), SkipReason::NoContent),
        (
            with(json!({ "gen_ai.input.messages": r#"[{"role":"user","parts":[{"type":"te"# })),
            SkipReason::UnreadableContent,
        ),
        (with(json!({ "user.id": "a/b" })), SkipReason::InvalidUser),
        (with(json!({ "user.id": "x".repeat(129) })), SkipReason::InvalidUser),
        (with(json!({ "gen_ai.agent.name": "a\nb" })), SkipReason::InvalidAgent),
        (with(json!({ "session.id": "é".repeat(100_000) })), SkipReason::InvalidSession),
        (Span { start_time_unix_nano: 0, ..hi() }, SkipReason::InvalidTime),
        (Span { start_time_unix_nano: u64::MAX, ..hi() }, SkipReason::InvalidTime),
        (Span { span_id: vec![0; 8], ..hi() }, SkipReason::InvalidSpan),
        (Span { trace_id: vec![1], ..hi() }, SkipReason::InvalidSpan),
        (with(json!({ "signals.ignore": true })), SkipReason::Ignored),
        (with(json!({ "signals.ignore": "true" })), SkipReason::Ignored),
    ] {
        assert_eq!(skipped(vec![span]), [(reason, 1)]);
    }
    let ignored = span(9, 0, &json!({ "signals.ignore": true }));
    let below = call(1, 9, &json!([message("user", "Hi")]), &json!([]));
    assert_eq!(skipped(vec![ignored, below]), [(SkipReason::Ignored, 1)]);
}

#[test]
fn skip_reasons_explain_the_remedy() {
    let mut skipped = Skipped::default();
    skipped.add(SkipReason::NoUser, 412);
    skipped.add(SkipReason::InvalidTime, 1);
    skipped.add(SkipReason::Ignored, 7);
    assert_eq!((skipped.rejected(), SkipReason::NoUser.name()), (413, "NoUser"));
    let text = skipped.to_string();
    assert!(text.starts_with("412 model calls without a user: set the attribute user.id"), "{text}");
    assert!(text.ends_with("; 1 model calls without a valid start time"), "{text}");
}

#[test]
fn long_texts_are_cut_to_fit_an_entry() {
    let long = "\"é".repeat(40_000);
    let span = call(1, 0, &json!([message("user", &long)]), &json!([message("assistant", "Hello")]));
    let [turn] = <[Turn; 1]>::try_from(turns(vec![span])).expect("one turn");
    let bytes = json!(turn.user_input).to_string().len() - 2;
    let max = options().max_text_bytes;
    assert!((max - 3..=max).contains(&bytes), "{bytes}");
    assert!(long.starts_with(&turn.user_input));
    assert_eq!(json!(turn.metadata), json!({ "truncated": "user_input" }));
}

#[test]
fn loops_of_spans_end() {
    let messages = json!([message("user", "Hi")]).to_string();
    let chat = json!({ "gen_ai.operation.name": "chat", "gen_ai.input.messages": messages });
    assert_eq!(skipped(vec![span(1, 2, &chat), span(2, 1, &json!({})), span(3, 3, &chat)]), [(SkipReason::NoUser, 1)]);
}

fn logs(records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let resource =
        Some(Resource { attributes: attributes(&json!({ "service.name": "support" })), ..Default::default() });
    let scope_logs = vec![ScopeLogs { log_records: records, ..Default::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, ..Default::default() }] }
}

#[test]
fn log_records_of_model_calls_are_turns() {
    let details = json!({
        "gen_ai.operation.name": "chat",
        "user.id": "maria",
        "gen_ai.input.messages": [message("system", "Help."), message("user", "Hi")],
        "gen_ai.output.messages": [message("assistant", "Hello")],
    });
    let name = "gen_ai.client.inference.operation.details".to_owned();
    let record = LogRecord { observed_time_unix_nano: START, attributes: attributes(&details), ..Default::default() };
    let mut by_attribute = record.clone();
    by_attribute.attributes.extend(attributes(&json!({ "event.name": name })));
    let mut in_body = LogRecord { event_name: name.clone(), body: Some(value(&details)), ..record.clone() };
    in_body.attributes.clear();
    let traced = LogRecord { event_name: name.clone(), trace_id: vec![7; 16], span_id: vec![1; 8], ..record.clone() };
    let named = LogRecord { event_name: name, ..record.clone() };
    for record in [named.clone(), by_attribute, in_body, traced] {
        let request = logs(vec![record]);
        let read = |body: &[u8], encoding| read_logs(body, encoding, Limits::default(), &options()).expect("decodable");
        let export = read(&request.encode_to_vec(), Encoding::Protobuf);
        assert_eq!(read(&serde_json::to_vec(&request).expect("JSON"), Encoding::Json), export);
        let turn = &export.turns[0];
        assert_eq!((turn.user_input.clone(), turn.agent_output.clone()), hi_hello());
        assert_eq!(turn.timestamp.to_rfc3339_millis(), "2026-11-25T22:21:16.700Z");
    }
    let read = |records| {
        read_logs(&logs(records).encode_to_vec(), Encoding::Protobuf, Limits::default(), &options()).expect("decodable")
    };
    assert_eq!(read(vec![record]), Export::default());
    // Without the ids of a span, different texts have different ids.
    let mut other = named.clone();
    other.attributes.retain(|attribute| attribute.key != "gen_ai.input.messages");
    other.attributes.extend(attributes(&json!({ "gen_ai.input.messages": [message("user", "Bye")] })));
    let turns = read(vec![named, other]).turns;
    assert_ne!(turns[0].log_id, turns[1].log_id);
}

#[test]
fn content_type_determines_the_encoding() {
    for (value, encoding) in [
        ("application/x-protobuf", Some(Encoding::Protobuf)),
        ("Application/JSON; charset=utf-8", Some(Encoding::Json)),
        ("text/plain", None),
        ("", None),
    ] {
        assert_eq!(Encoding::from_content_type(value), encoding, "{value}");
    }
}

#[test]
fn compressed_bodies_are_recognized_by_their_bytes() {
    let request = request(vec![hi()]);
    let expected = export(&request);
    for (body, encoding) in
        [(request.encode_to_vec(), Encoding::Protobuf), (serde_json::to_vec(&request).expect("JSON"), Encoding::Json)]
    {
        let read = read_traces(&gzip(&body), encoding, Limits::default(), &options());
        assert_eq!(read.as_ref(), Ok(&expected));
    }
    let cut = gzip(&request.encode_to_vec());
    assert!(matches!(error(&cut[..cut.len() - 9], Encoding::Protobuf), DecodeError::Gzip(_)));
}

#[test]
fn bodies_are_limited_before_and_after_decompression() {
    let limits = Limits { received: 100, inflated: 1_000 };
    let read = |body: &[u8]| read_traces(body, Encoding::Json, limits, &options());
    let padded = |len: usize| format!("{:len$}", "{}").into_bytes();
    assert_eq!(read(&padded(100)), Ok(Export::default()));
    assert_eq!(read(&padded(101)), Err(DecodeError::TooLarge { limit: 100, is_inflated: false }));
    assert_eq!(read(&gzip(&padded(1_000))), Ok(Export::default()));
    assert_eq!(read(&gzip(&padded(1_001))), Err(DecodeError::TooLarge { limit: 1_000, is_inflated: true }));
    let message = DecodeError::TooLarge { limit: 1_000, is_inflated: true }.to_string();
    assert!(message.starts_with("the body has more than 1000 bytes after decompression"), "{message}");
}

#[test]
fn malformed_bodies_name_the_encoding_and_the_position() {
    let text =
        error(b"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":7}]}]}]}", Encoding::Json).to_string();
    assert!(text.starts_with("the body is not an OTLP request in application/json: invalid type"), "{text}");
    assert!(error(b"{\"resourceSpans\":7}", Encoding::Json).to_string().contains("line 1 column"));
    for (body, encoding) in [
        (&b"{}"[..], Encoding::Protobuf),
        (&[0x0a, 0x05, 0x01], Encoding::Protobuf),
        (b"", Encoding::Json),
        (b"{} {}", Encoding::Json),
        (b"[]", Encoding::Json),
        (b"\x0a\x00", Encoding::Json),
    ] {
        assert!(matches!(error(body, encoding), DecodeError::Malformed { .. }), "{body:?}");
    }
    // An empty request is valid in protobuf.
    assert_eq!(read_traces(b"", Encoding::Protobuf, Limits::default(), &options()), Ok(Export::default()));
}

#[test]
fn json_has_the_leniencies_of_protobufs_json() {
    let messages = json!([message("user", "Hi")]).to_string();
    let body = json!({
        "unknown": [{}],
        "resourceSpans": [{
            "scopeSpans": [
                { "spans": null },
                { "scope": { "name": "x" }, "spans": [{
                    "traceId": "0123456789ABCDEF0123456789abcdef",
                    "spanId": "0123456789abcdef",
                    "startTimeUnixNano": START,
                    "kind": 3,
                    "unknown": { "a": [1] },
                    "attributes": [
                        { "key": "gen_ai.operation.name", "value": { "stringValue": "chat" } },
                        { "key": "user.id", "value": { "intValue": "42" } },
                        { "key": "gen_ai.usage.input_tokens", "value": { "intValue": 10 } },
                        { "key": "gen_ai.input.messages", "value": { "stringValue": messages } },
                        { "key": "empty", "value": {} },
                    ],
                }]},
            ],
            // After the spans, which protobuf allows too.
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "late" } }] },
        }],
    });
    let export = read_traces(body.to_string().as_bytes(), Encoding::Json, Limits::default(), &options());
    let turn = &export.expect("decodable").turns[0];
    assert_eq!((turn.agent_id.as_str(), turn.user_id.as_str()), ("late", "42"));
}

#[test]
fn values_that_nest_too_deeply_are_refused_in_both_encodings() {
    let nested = |levels: usize| {
        let mut inner = AnyValue { value: None };
        for _ in 0..levels {
            inner = AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: vec![inner] })) };
        }
        let mut span = hi();
        span.attributes.push(KeyValue { key: "x".to_owned(), value: Some(inner), ..Default::default() });
        request(vec![span])
    };
    assert_eq!(export(&nested(30)).turns.len(), 1);
    assert!(error(&nested(60).encode_to_vec(), Encoding::Protobuf).to_string().contains("deep"));
    let keys = [&[0x0a, 0x12, 0x12, 0x4a, 0x12][..], &[0x2a, 0x0a].repeat(2_000)].concat();
    assert!(error(&wrap(&keys, Vec::new()), Encoding::Protobuf).to_string().contains("deep"));
    let deep = |levels: usize| {
        let open = "{\"arrayValue\":{\"values\":[".repeat(levels);
        let close = "]}}".repeat(levels);
        let attribute = format!("{{\"key\":\"x\",\"value\":{open}{close}}}");
        format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{\"attributes\":[{attribute}]}}]}}]}}]}}")
    };
    for levels in [60, 50_000] {
        assert!(error(deep(levels).as_bytes(), Encoding::Json).to_string().contains("recursion limit"));
    }
    let messages = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let attributes = json!({ "gen_ai.operation.name": "chat", "gen_ai.input.messages": messages });
    assert_eq!(skipped(vec![span(1, 0, &attributes)]), [(SkipReason::UnreadableContent, 1)]);
}

/// Wraps `bytes` in messages with the keys `keys`, the outermost first.
fn wrap(keys: &[u8], bytes: Vec<u8>) -> Vec<u8> {
    keys.iter().rev().fold(bytes, |inner, key| {
        let mut outer = vec![*key];
        prost::encode_length_delimiter(inner.len(), &mut outer).expect("in memory");
        outer.extend(inner);
        outer
    })
}

#[test]
fn small_bodies_cannot_become_large_messages() {
    let spans = [0x0a, 0x12, 0x12];
    for (body, expected) in [
        (wrap(&spans[..2], [0x12, 0].repeat(50_000)), DecodeError::TooManyRecords),
        ([0x0a, 0].repeat(50_001), DecodeError::TooManyRecords),
        (wrap(&spans, [0x6a, 0].repeat(500_000)), DecodeError::RecordTooLarge),
        (wrap(&spans, [0x4a, 0].repeat(500_000)), DecodeError::RecordTooLarge),
        (wrap(&[0x0a, 0x0a], [0x0a, 0].repeat(500_000)), DecodeError::RecordTooLarge),
    ] {
        assert_eq!(error(&body, Encoding::Protobuf), expected);
    }
    let list = |item: &str, count| vec![item; count].join(",");
    let spans = |spans: &str| format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{spans}]}}]}}]}}");
    for (body, expected) in [
        (spans(&list("{}", 50_000)), DecodeError::TooManyRecords),
        (format!("{{\"resourceSpans\":[{}]}}", list("{}", 50_001)), DecodeError::TooManyRecords),
        (spans(&format!("{{\"events\":[{}]}}", list("{}", 500_000))), DecodeError::RecordTooLarge),
        (
            spans(&format!("{{\"attributes\":[{{\"key\":\"\",\"value\":{{\"x\":[{}]}}}}]}}", list("0", 500_000))),
            DecodeError::RecordTooLarge,
        ),
    ] {
        assert_eq!(error(body.as_bytes(), Encoding::Json), expected);
    }
}

#[test]
fn responses_have_the_encoding_of_the_request() {
    let none = Rejected::default();
    let some = Rejected { count: 412, message: "set user.id".to_owned() };
    let text = |body: Vec<u8>| String::from_utf8(body).expect("UTF-8");
    assert!(response::traces(Encoding::Protobuf, &none).is_empty());
    assert_eq!(text(response::traces(Encoding::Json, &none)), "{}");
    assert_eq!(text(response::logs(Encoding::Json, &none)), "{}");
    assert!(response::metrics(Encoding::Protobuf).is_empty());
    assert_eq!(text(response::metrics(Encoding::Json)), "{}");
    let partial = |name: &str| json!({ "partialSuccess": { name: "412", "errorMessage": "set user.id" } }).to_string();
    assert_eq!(text(response::traces(Encoding::Json, &some)), partial("rejectedSpans"));
    assert_eq!(text(response::logs(Encoding::Json, &some)), partial("rejectedLogRecords"));
    let bytes = [&[0x0a, 16, 0x08, 0x9c, 0x03, 0x12, 11][..], b"set user.id"].concat();
    assert_eq!(response::traces(Encoding::Protobuf, &some), bytes);
    assert_eq!(response::logs(Encoding::Protobuf, &some), bytes);
    let code = response::INVALID_ARGUMENT;
    assert_eq!(response::status(Encoding::Protobuf, code, "no"), [0x08, 3, 0x12, 2, b'n', b'o']);
    assert_eq!(text(response::status(Encoding::Json, code, "no")), r#"{"code":3,"message":"no"}"#);
}
