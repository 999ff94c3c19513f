//! Fuzz tests of the detector and of all code that reads callers' bytes.
//!
//! A test tries the committed inputs in `__fuzz__/<test>/corpus` and then random inputs for a few seconds, each
//! unchanged and as the seed of a structured input. `BOLERO_RANDOM_TEST_TIME_MS` sets the time of each test,
//! `BOLERO_RANDOM_SEED` repeats a failure. A stack overflow ends the process, so the input under test is kept in a
//! file; the file to add to the corpus is then the youngest in `target/tmp/fuzz`.

mod generate;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::value::RawValue;
use shared::config::{Config, Detection};
use shared::ids::{AgentId, EventId, SignalType, UserId};
use shared::integrity::Event;
use shared::integrity::anomaly::Severity;
use shared::integrity::detection::{WindowEvent, detect};
use shared::integrity::key::EventKey;
use shared::integrity::payload::Payload;
use shared::json::{self, Json};
use shared::logging::classifier::Texts;
use shared::logging::reader::EntryCursor;
use shared::logging::segment::{Position, Segment, hour_end};
use shared::logging::{Classifier, Conversation, Interaction};
use shared::mcp::message::{self, Body, Message};
use shared::mcp::{Reply, Routing, protocol};
use shared::otlp::{Encoding, Limits, Options, read_logs, read_traces};
use shared::time::Timestamp;
use shared::validation::FieldError;
use uuid::Uuid;

use generate::{Choices, mutate};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::json;

/// Small enough that unlimited recursion is found with inputs of a few kilobytes.
const STACK_BYTES: usize = 1 << 19;
/// Default time of a test, overridden by `BOLERO_RANDOM_TEST_TIME_MS`.
const TEST_TIME: Duration = Duration::from_secs(5);
/// Maximum nesting depth of a body.
const MAX_DEPTH: usize = 127;

/// Declares a fuzz test: passes random bytes and the results of `$generate` for them to `$check`.
macro_rules! fuzz {
    ($test:ident, $generate:expr, $check:expr) => {
        #[test]
        fn $test() {
            let run = || {
                bolero::check!().with_test_time(TEST_TIME).for_each(|bytes: &[u8]| {
                    let try_input = |input: &[u8]| {
                        keep(stringify!($test), input);
                        $check(input);
                    };
                    try_input(bytes);
                    try_input($generate(&mut Choices::new(bytes)).as_ref());
                });
            };
            on_a_small_stack(run);
        }
    };
}

fuzz!(json, |choices: &mut _| generate::json(choices, 4), check_json);
fuzz!(event, |choices: &mut _| event_body(choices), check_event);
fuzz!(batch, batch_body, check_batch);
fuzz!(interaction, interaction_body, check_interaction);
fuzz!(texts, texts_body, check_texts);
fuzz!(assistant_messages, assistant_body, check_assistant_message);
fuzz!(config, |choices: &mut _| mutate(choices, SIGNALS_TOML.into()), check_config);
fuzz!(classifier, text, check_classifier);
fuzz!(segment_keys, segment_key, check_segment_key);
fuzz!(cursors, cursor, check_cursors);
fuzz!(otlp, otlp_body, check_otlp);
fuzz!(otlp_messages, otlp_messages_json, check_otlp_messages);
fuzz!(
    detector,
    |choices: &mut Choices<'_>| -> Vec<u8> { (0..400).map(|_| choices.below(256) as u8).collect() },
    check_detector
);

/// Runs `run` on a thread with a small stack. The thread has the name of the test, by which bolero finds the corpus.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let name = std::thread::current().name().unwrap_or("fuzz").to_owned();
    let thread = std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(run).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Writes the input under test to a file, which remains if the input ends the process.
fn keep(test: &str, input: &[u8]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(test), input)).expect("a file for the input");
}

const EVENT: [(&str, &str); 7] = [
    ("user_id", "\"u\""),
    ("agent_id", "\"a\""),
    ("signal_type", "\"stressed\""),
    ("timestamp", "\"2026-01-01T00:00:00.5+01:00\""),
    ("sent_at", "1767225600"),
    ("event_id", "\"1\""),
    ("payload", "{\"n\":1.10}"),
];
const INTERACTION: [(&str, &str); 8] = [
    ("agent_id", "\"a\""),
    ("user_id", "\"u\""),
    ("user_input", "\"I am not happy\""),
    ("detected_signal", "null"),
    ("response_type", "\"x\""),
    ("coherence_score_impact", "-0.25"),
    ("escalation_flag", "true"),
    ("session_id", "\"s\""),
];
const SIGNALS_TOML: &str = include_str!("../../../signals.toml");
const WORDS: [&str; 22] = [
    "not",
    "happy",
    "ʼ",
    "\u{301}",
    "\u{345}",
    "［",
    "n't",
    "ＨＡＰＰＹ",
    "!!!",
    ":-)",
    "🙂",
    "don’t",
    "日本",
    "最悪です",
    "嬉しくない",
    "ขอบคุณ",
    "größer",
    "l'été",
    "não",
    "\u{200d}",
    "?",
    "stress*",
];

fn event_body(choices: &mut Choices<'_>) -> String {
    let mut fields = EVENT;
    let payload = generate::object(choices, &[("a", "1")]);
    let nested = format!("{{\"a\":{}}}", generate::nested(choices));
    fields[6].1 = choices.pick(&["{}", payload.as_str(), nested.as_str()]);
    generate::object(choices, &fields)
}

fn batch_body(choices: &mut Choices<'_>) -> Vec<u8> {
    let events: Vec<_> = (0..choices.below(4)).map(|_| event_body(choices)).collect();
    let mark = choices.pick(&["", "", "\u{feff}"]);
    mutated_sometimes(choices, format!("{mark}[{}]", events.join(",")).into_bytes())
}

fn interaction_body(choices: &mut Choices<'_>) -> Vec<u8> {
    let body = generate::object(choices, &INTERACTION).into_bytes();
    mutated_sometimes(choices, body)
}

fn texts_body(choices: &mut Choices<'_>) -> Vec<u8> {
    let texts = generate::json(choices, 3);
    let field = choices.pick(&["text", "texts"]);
    let body = generate::object(choices, &[(field, texts.as_str()), ("unknown", "1")]).into_bytes();
    mutated_sometimes(choices, body)
}

fn assistant_body(choices: &mut Choices<'_>) -> Vec<u8> {
    let params = generate::object(choices, &[("name", "\"explain_text\""), ("arguments", "{\"text\":\"hi\"}")]);
    let fields = [("jsonrpc", "\"2.0\""), ("id", "1"), ("method", "\"tools/call\""), ("params", params.as_str())];
    let message = generate::object(choices, &fields);
    let body = if choices.once_in(4) { format!("[{message},{message}]") } else { message };
    mutated_sometimes(choices, body.into_bytes())
}

fn text(choices: &mut Choices<'_>) -> Vec<u8> {
    let words: Vec<_> = (0..choices.below(12)).map(|_| choices.pick(&WORDS)).collect();
    let text = words.join(choices.pick(&["", " ", "\u{a0}"])).into_bytes();
    mutated_sometimes(choices, text)
}

fn mutated_sometimes(choices: &mut Choices<'_>, input: Vec<u8>) -> Vec<u8> {
    if choices.once_in(3) { mutate(choices, input) } else { input }
}

/// Returns the nesting depth of arrays and objects in `text`, counted without recursion and without a parser.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut is_string, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b'[' | b'{' if !is_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !is_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn check_json(input: &[u8]) {
    let Ok(json) = Json::parse(input) else { return };
    assert!(depth(input) <= MAX_DEPTH, "a value that nests too deeply is accepted");
    assert_eq!(json.text().as_bytes(), input.trim_ascii(), "the text has changed");
    let kinds = [json.as_str().is_some(), json.as_number().is_some(), json.as_bool().is_some(), json.is_null()];
    let kinds = kinds.into_iter().chain([json.as_array().is_some(), json.as_object().is_some()]);
    assert_eq!(kinds.filter(|is_kind| *is_kind).count(), 1, "a value has one type");
    if let Some(payload) = Payload::new(json) {
        let spaced = Payload::parse(&format!("\n{} ", payload.text())).expect("the same payload");
        assert_eq!(payload, spaced, "white space around a payload has changed it");
    }
}

fn check_event(input: &[u8]) {
    match Event::parse(input) {
        Ok(event) => {
            assert!(depth(input) <= MAX_DEPTH, "an event that nests too deeply is accepted");
            let event = event.into_unchecked();
            let payload = event.payload.text();
            let is_sent = payload == "{}" || input.windows(payload.len()).any(|part| part == payload.as_bytes());
            assert!(is_sent, "the payload is not as it was sent");
        }
        Err(errors) => check_errors(&errors),
    }
}

/// Checks that the errors of one body take at most 9 KB of a response: seven fields with their echoes.
fn check_errors(errors: &[FieldError]) {
    let text = serde_json::to_string(errors).expect("JSON");
    assert!(!errors.is_empty(), "a refusal without a reason");
    assert!(shared::json::escaped_len(&text) < 15_000, "the errors are too long for an answer");
}

fn check_batch(input: &[u8]) {
    let body = json::without_byte_order_mark(input);
    for item in json::split_array(body).unwrap_or_default() {
        check_event(item);
    }
}

fn check_interaction(input: &[u8]) {
    match Interaction::parse(input) {
        Ok(_) => assert!(depth(input) <= MAX_DEPTH, "an interaction that nests too deeply is accepted"),
        Err(errors) => check_errors(&errors),
    }
}

fn check_texts(input: &[u8]) {
    if Texts::parse(input).is_ok() {
        assert!(depth(input) <= MAX_DEPTH, "texts that nest too deeply are accepted");
    }
}

fn check_assistant_message(input: &[u8]) {
    let Ok(body) = message::parse(input) else { return };
    assert!(depth(input) <= MAX_DEPTH, "a message that nests too deeply is accepted");
    let messages = match body {
        Body::One(message) => vec![message],
        Body::Batch(messages) => messages,
    };
    for message in messages {
        if let Ok(Message::Request(request)) = message {
            for version in [None, Some("2025-06-18"), Some("2026-07-28")] {
                let routing = Routing { version, method: Some(&request.method), name: None };
                let (version, call) = protocol::call(&routing, &request);
                let outcome = call.map(|_| RawValue::NULL.to_owned());
                let reply = serde_json::to_string(&Reply::new(request.id.clone(), version, outcome)).expect("JSON");
                assert!(Json::parse(reply.as_bytes()).is_ok(), "{reply}");
            }
        }
    }
}

fn check_config(input: &[u8]) {
    if let Err(error) = Config::parse("signals.toml", &String::from_utf8_lossy(input)) {
        assert!(error.to_string().starts_with("signals.toml:"), "{error} names no line");
    }
}

fn check_classifier(input: &[u8]) {
    thread_local! {
        static CLASSIFIER: Classifier = Classifier::new(&Config::load().expect("valid").classifier);
    }
    let text = String::from_utf8_lossy(input);
    CLASSIFIER.with(|classifier| {
        let first = serde_json::to_string(&classifier.classify(&text)).expect("JSON");
        assert_eq!(first, serde_json::to_string(&classifier.classify(&text)).expect("JSON"), "not deterministic");
    });
}

/// Returns the key of a segment, mostly valid: its parts are numbers near the limits of what a key can express.
fn segment_key(choices: &mut Choices<'_>) -> String {
    const LATEST: i64 = 9_999_999_999_999;
    let millis = choices.number(44) as i64;
    let other = millis + choices.number(22) as i64;
    let id = Uuid::from_u128(u128::from(choices.number(64)) << 64 | u128::from(choices.number(64)));
    let end = format!("{:013},", LATEST - hour_end(millis));
    let hour = choices.pick(&["", end.as_str(), ","]);
    let counts = choices.pick(&[
        "neutral=1",
        "unclassified=1",
        "a%3D=1",
        "a=2,b=18446744073709551615",
        "a=1,b=1",
        "=1",
        "a=-1",
        "a=01",
    ]);
    let name = format!("{hour}{:013}-{:013}-{id}.{counts}.jsonl", LATEST - other, LATEST - millis);
    let prefix = choices.pick(&["logs/agent_id=a/user_id=u/", "", "/"]);
    let key = format!("{prefix}{name}").into_bytes();
    String::from_utf8_lossy(&mutated_sometimes(choices, key)).into_owned()
}

/// Checks that a parsed key has a position that parses back, within one hour, and equals the key built from its parts.
fn check_segment_key(input: &[u8]) {
    let key = String::from_utf8_lossy(input);
    let Some(segment) = Segment::parse(&key) else { return };
    let position = segment.position();
    assert_eq!(Position::parse(&position.to_string()), Some(position), "a position does not read back");
    assert!(position.oldest() <= position.newest(), "a segment ends before it begins");
    assert_eq!(hour_end(position.oldest()), hour_end(position.newest()), "a segment is longer than an hour");
    assert!(position.to_string() < position.after(), "the name after a position is not after it");
    let total: u64 = segment.counts().iter().map(|(_, count)| count).sum();
    assert_eq!(total, segment.entry_count(), "the counts do not add up");
    let conversation = Conversation {
        agent_id: AgentId::try_from("a").expect("an agent"),
        user_id: UserId::try_from("u").expect("a user"),
    };
    let again = Segment::parse(&segment.key(&conversation)).expect("its own key");
    assert_eq!((again.position(), again.counts()), (position, segment.counts()), "a key does not read back");
}

/// Returns a cursor of the logs, the counts or the events, mostly valid.
fn cursor(choices: &mut Choices<'_>) -> String {
    let key = segment_key(choices);
    let position = key.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default();
    let time = Timestamp::from_micros(choices.number(52) as i64).map(|time| time.to_string()).unwrap_or_default();
    let number = choices.number(64);
    let forms = [
        position.to_owned(),
        format!("{number}.{position}"),
        format!("{position}.{number}"),
        format!("{position}~{number}"),
        format!("{time}#a#1"),
        format!("e#{time}#a#1"),
        format!("{time}#a#1+{number}"),
    ];
    let index = choices.below(forms.len());
    String::from_utf8_lossy(&mutated_sometimes(choices, forms[index].clone().into_bytes())).into_owned()
}

/// Checks that a parsed cursor is written and parsed back as the same cursor.
fn check_cursors(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(cursor) = EntryCursor::parse(&text) {
        assert_eq!(EntryCursor::parse(&cursor.to_string()), Some(cursor), "a cursor of logs does not read back");
    }
    if let Some(key) = EventKey::parse(&text) {
        assert_eq!(EventKey::parse(&key.to_string()), Some(key), "the key of an event does not read back");
    }
}

/// Keys of attributes that the mapping of OpenTelemetry reads.
const OTLP_KEYS: [&str; 24] = [
    "gen_ai.operation.name",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.prompt",
    "gen_ai.prompt.0.role",
    "gen_ai.prompt.0.content",
    "gen_ai.event.content",
    "gen_ai.agent.name",
    "llm.input_messages.0.message.role",
    "llm.input_messages.0.message.content",
    "llm.input_messages.4294967295.message.contents.7.message_content.text",
    "langfuse.observation.input",
    "langfuse.observation.type",
    "ai.prompt.messages",
    "ai.response.text",
    "ai.operationId",
    "openinference.span.kind",
    "user.id",
    "signals.user.id",
    "signals.ignore",
    "session.id",
    "metadata",
    "service.name",
    "content",
];
const OTLP_TEXTS: [&str; 14] = [
    "",
    "chat",
    "execute_tool",
    "LLM",
    "TOOL",
    "generation",
    "ai.generateText.doGenerate",
    "user",
    "maria",
    "a/b",
    r#"[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]"#,
    r#"[{"text":"Hi"}]"#,
    r#"{"messages":[[{"id":["HumanMessage"],"kwargs":{"content":"Hi"}}]]}"#,
    r#"{"user_id":"maria"}"#,
];
const OTLP_IDS: [&str; 6] = [
    "",
    "00000000000000000000000000000000",
    "0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d",
    "0102030405060708",
    "0807060504030201",
    "x",
];

/// Returns a value of an attribute in the JSON of OTLP.
fn otlp_value(choices: &mut Choices<'_>, depth: usize) -> serde_json::Value {
    match choices.below(if depth == 0 { 8 } else { 10 }) {
        0..=4 => json!({ "stringValue": choices.pick(&OTLP_TEXTS) }),
        5 => json!({ "stringValue": generate::json(choices, 3) }),
        6 => json!({ "intValue": choices.number(64).to_string() }),
        7 => json!({ "boolValue": choices.once_in(2) }),
        8 => {
            let values: Vec<_> = (0..choices.below(3)).map(|_| otlp_value(choices, depth - 1)).collect();
            json!({ "arrayValue": { "values": values } })
        }
        _ => json!({ "kvlistValue": { "values": otlp_attributes(choices, depth - 1) } }),
    }
}

fn otlp_attributes(choices: &mut Choices<'_>, depth: usize) -> Vec<serde_json::Value> {
    let count = choices.below(6);
    let attribute = |_| json!({ "key": choices.pick(&OTLP_KEYS), "value": otlp_value(choices, depth) });
    (0..count).map(attribute).collect()
}

/// Returns an export of spans or log records: as JSON or protobuf, and sometimes mutated.
fn otlp_body(choices: &mut Choices<'_>) -> Vec<u8> {
    let is_traces = choices.once_in(2);
    let mut records = Vec::new();
    for _ in 0..choices.below(5) {
        let [trace, span, parent] = [(); 3].map(|()| choices.pick(&OTLP_IDS));
        let event = json!({
            "name": choices.pick(&["gen_ai.user.message", "gen_ai.choice", "gen_ai.client.inference.operation.details"]),
            "attributes": otlp_attributes(choices, 2),
        });
        let mut attributes = otlp_attributes(choices, 3);
        attributes.push(json!({ "key": "gen_ai.operation.name", "value": { "stringValue": "chat" } }));
        let time = choices.number(64).to_string();
        records.push(if is_traces {
            json!({ "traceId": trace, "spanId": span, "parentSpanId": parent, "startTimeUnixNano": time,
                "attributes": attributes, "events": [event] })
        } else {
            json!({ "traceId": trace, "spanId": span, "timeUnixNano": time, "attributes": attributes,
                "eventName": "gen_ai.client.inference.operation.details", "body": otlp_value(choices, 2) })
        });
    }
    let resource = json!({ "attributes": otlp_attributes(choices, 1) });
    let body = if is_traces {
        json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": records }] }] })
    } else {
        json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": records }] }] })
    };
    let binary = if is_traces {
        serde_json::from_value::<ExportTraceServiceRequest>(body.clone()).map(|request| request.encode_to_vec())
    } else {
        serde_json::from_value::<ExportLogsServiceRequest>(body.clone()).map(|request| request.encode_to_vec())
    };
    let body = match binary {
        Ok(binary) if choices.once_in(2) => binary,
        _ if choices.once_in(8) => {
            body.to_string().replacen("\"stringValue\"", &generate::nested(choices), 1).into_bytes()
        }
        _ => body.to_string().into_bytes(),
    };
    mutated_sometimes(choices, body)
}

/// Checks that an export is read without a panic, and the same twice, and that its turns can be stored.
fn check_otlp(input: &[u8]) {
    const MAX_TEXT: usize = 200;
    let options = Options { max_text_bytes: MAX_TEXT, default_agent: None };
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        for read in [read_traces, read_logs] {
            let export = read(input, encoding, Limits::default(), &options);
            assert_eq!(read(input, encoding, Limits::default(), &options), export, "not deterministic");
            let Ok(export) = export else { continue };
            for turn in export.turns {
                let time = shared::logging::entry_id::time_of(&turn.log_id);
                assert_eq!(time, Some(turn.timestamp), "the id has another time");
                for text in [Some(&turn.user_input), turn.agent_output.as_ref()].into_iter().flatten() {
                    assert!(!text.is_empty() && json!(text).to_string().len() <= MAX_TEXT + 2, "a text is too long");
                }
            }
        }
    }
}

/// Returns JSON that takes the place of messages.
fn otlp_messages_json(choices: &mut Choices<'_>) -> Vec<u8> {
    let content = generate::json(choices, 3);
    let message = generate::object(
        choices,
        &[("role", "\"user\""), ("content", &content), ("type", "\"message\""), ("kwargs", "{\"content\":\"Hi\"}")],
    );
    let messages = choices.pick(&["[{}]", "{\"messages\":[{}]}", "[[{}]]", "{\"choices\":[{\"message\":{}}]}"]);
    mutated_sometimes(choices, messages.replace("{}", &message).into_bytes())
}

/// Checks that any text can take the place of messages.
fn check_otlp_messages(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let attribute = |key: &str, text: &str| json!({ "key": key, "value": { "stringValue": text } });
    for key in ["gen_ai.input.messages", "langfuse.observation.input", "gen_ai.prompt.0.content", "metadata"] {
        let span = json!({
            "traceId": "0a0b0c0d0e0f0a0b0c0d0e0f0a0b0c0d",
            "spanId": "0102030405060708",
            "startTimeUnixNano": "1",
            "attributes": [
                attribute("gen_ai.operation.name", "chat"),
                attribute("user.id", "maria"),
                attribute(key, &text),
                attribute("gen_ai.output.messages", &text),
            ],
        });
        let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] }).to_string();
        let options = Options::for_entries_of(65_536);
        let export = read_traces(body.as_bytes(), Encoding::Json, Limits::default(), &options).expect("a valid export");
        assert!(export.turns.len() <= 1, "one call has several turns");
    }
}

/// Compares the detector with a count of every window. Each byte is an event: five bits of time after the event before
/// it, three bits of signal type.
fn check_detector(input: &[u8]) {
    const STEP_MICROS: i64 = 250_000;
    static DETECTION: LazyLock<Detection> = LazyLock::new(|| Config::load().expect("valid").detection);
    let types = ["neutral", "stressed", "x"].map(|name| SignalType::try_from(name).expect("a signal type"));
    let mut micros = 0;
    let mut events = Vec::new();
    for (index, byte) in input.iter().take(400).enumerate() {
        micros += i64::from(byte >> 3).saturating_sub(12).max(0) * STEP_MICROS;
        let key = EventKey {
            time: Timestamp::from_micros(micros).expect("in range"),
            agent_id: AgentId::try_from("a").expect("an agent"),
            event_id: EventId::try_from(format!("{index:05}")).expect("an id"),
        };
        let signal_type = types[usize::from(byte & 7) % types.len()].clone();
        events.push(WindowEvent { key, signal_type, received_at: Timestamp::MIN });
    }
    let user = UserId::try_from("u").expect("a user");
    let found = detect(&user, &events, &DETECTION);
    let found: Vec<_> =
        found.into_iter().map(|found| (found.key, found.count, found.severity == Severity::Critical)).collect();
    let mut expected = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let begin = event.key.time.micros() - DETECTION.window_micros;
        let count = events[..=index].iter().filter(|other| other.key.time.micros() > begin).count();
        let count = u32::try_from(count).expect("small").min(DETECTION.max_items);
        let threshold = DETECTION.thresholds.of(&event.signal_type);
        if count > threshold {
            expected.push((event.key.clone(), count, f64::from(count) > 1.5 * f64::from(threshold)));
        }
    }
    assert_eq!(found, expected, "the detector differs from the reference");
}
