//! Calls of models among the spans or log records of a request, and the spans around them.

use std::borrow::Cow;
use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::attributes::{Attributes, Names};
use super::forms::{self, DETAILS, Messages};

/// Maximum number of ancestors of a span that are searched. Only a cycle has as many.
const MAX_ANCESTORS: usize = 100;

/// Attributes that name the model, the most specific first.
const MODEL: [&str; 6] = [
    "gen_ai.request.model",
    "gen_ai.response.model",
    "llm.model_name",
    "langfuse.observation.model.name",
    "ai.model.id",
    "ai.response.model",
];
/// Attributes that name the provider of the model.
const PROVIDER: [&str; 5] =
    ["gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider"];

/// The kind of a span, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SpanKind {
    /// One call of a model.
    Inference,
    /// One call of a tool, which can be an agent itself.
    Tool,
    /// An agent, a workflow, a step of a chain, or a span that has nothing to do with models. The first three repeat
    /// the messages of the calls below them.
    Other,
}

impl SpanKind {
    /// Returns the kind by the attributes of the GenAI conventions and of the frameworks that have their own.
    fn of(attributes: Attributes<'_>) -> Self {
        // LangSmith also names the operation `chat` for templates of prompts.
        for (key, inference, tool) in [
            ("openinference.span.kind", "LLM", "TOOL"),
            ("langsmith.span.kind", "llm", "tool"),
            ("langfuse.observation.type", "generation", "tool"),
            ("traceloop.span.kind", "", "tool"),
        ] {
            if let Some(kind) = attributes.text(key) {
                return if kind.eq_ignore_ascii_case(inference) {
                    Self::Inference
                } else if kind.eq_ignore_ascii_case(tool) {
                    Self::Tool
                } else {
                    Self::Other
                };
            }
        }
        match attributes.text("gen_ai.operation.name") {
            Some("chat" | "text_completion" | "generate_content") => return Self::Inference,
            Some("execute_tool") => return Self::Tool,
            _ => {}
        }
        match attributes.first_text(&["ai.operationId", "llm.request.type"]) {
            Some("ai.toolCall") => Self::Tool,
            Some("chat" | "completion") => Self::Inference,
            Some(id) if id.ends_with(".doGenerate") || id.ends_with(".doStream") => Self::Inference,
            _ => Self::Other,
        }
    }
}

/// Ids of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId {
    /// Id of the trace.
    pub trace: [u8; 16],
    /// Id of the span in the trace.
    pub span: [u8; 8],
}

impl SpanId {
    /// Returns the ids, or `None` if they are invalid: of another length, or zero.
    fn new(trace: &[u8], span: &[u8]) -> Option<Self> {
        let id = Self { trace: trace.try_into().ok()?, span: span.try_into().ok()? };
        (id.trace != [0; 16] && id.span != [0; 8]).then_some(id)
    }
}

/// A span, reduced to the data that the calls below it need.
#[derive(Debug)]
struct Node {
    parent: Option<[u8; 8]>,
    group: usize,
    kind: SpanKind,
    is_ignored: bool,
    names: Option<Box<Names>>,
}

/// A call of a model.
#[derive(Debug)]
pub struct Call {
    node: usize,
    /// Ids of the span. `None` for a log record outside of a span.
    pub id: Option<SpanId>,
    /// Start of the call in nanoseconds since 1970. For a log record the time at which the call was recorded.
    pub start_nanos: u64,
    /// Messages sent to the model.
    pub input: Messages,
    /// Text that the model replied with.
    pub reply: Option<String>,
    /// Name of the model.
    pub model: Option<String>,
    /// Provider of the model.
    pub provider: Option<String>,
}

/// Data of a group that applies to all its spans.
#[derive(Debug, Default)]
struct Group {
    names: Names,
    service: Option<String>,
    is_ignored: bool,
}

/// The spans of a request.
#[derive(Debug, Default)]
pub struct Spans {
    groups: Vec<Group>,
    nodes: Vec<Node>,
    by_id: HashMap<SpanId, usize>,
    calls: Vec<Call>,
    invalid: u64,
}

/// Facts about a call that follow from the spans around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The user.
    pub user: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// Name of the service that sent the call.
    pub service: Option<String>,
    /// `true` if the call is excluded.
    pub is_ignored: bool,
    /// `true` if a tool makes the call.
    pub is_below_tool: bool,
    /// `true` if another call contains the call: another instrumentation has recorded the call as well.
    pub is_below_call: bool,
}

impl Spans {
    /// Begins a group of spans.
    pub fn begin_group(&mut self) {
        self.groups.push(Group::default());
    }

    /// Sets the resource of the current group.
    pub fn set_resource(&mut self, resource: &Resource) {
        let attributes = Attributes(&resource.attributes);
        if let Some(group) = self.groups.last_mut() {
            *group = Group {
                names: Names::find(attributes).unwrap_or_default(),
                service: attributes.first_name(&["service.name"]),
                is_ignored: attributes.is_ignored(),
            };
        }
    }

    /// Adds a span to the current group.
    pub fn add_span(&mut self, span: &Span) {
        let attributes = Attributes(&span.attributes);
        let Some(id) = SpanId::new(&span.trace_id, &span.span_id) else {
            self.invalid += u64::from(SpanKind::of(attributes) == SpanKind::Inference);
            return;
        };
        let parent = <[u8; 8]>::try_from(span.parent_span_id.as_slice()).ok().filter(|parent| *parent != [0; 8]);
        let kind = SpanKind::of(attributes);
        let node = self.add_node(parent, kind, attributes);
        self.by_id.entry(id).or_insert(node);
        if kind == SpanKind::Inference {
            let input = forms::input(attributes, &span.events);
            let reply = forms::reply(attributes, &span.events);
            self.add_call(node, Some(id), span.start_time_unix_nano, attributes, input, reply);
        }
    }

    /// Adds a log record to the current group, if the record is about a call of a model.
    pub fn add_log_record(&mut self, record: &LogRecord) {
        let is_details = record.event_name == DETAILS || Attributes(&record.attributes).is("event.name", DETAILS);
        if !is_details {
            return;
        }
        let body: &[KeyValue] = match record.body.as_ref().and_then(|body| body.value.as_ref()) {
            Some(Value::KvlistValue(body)) => &body.values,
            _ => &[],
        };
        let attributes = match body {
            [] => Cow::Borrowed(record.attributes.as_slice()),
            body => Cow::Owned([record.attributes.as_slice(), body].concat()),
        };
        let attributes = Attributes(&attributes);
        if attributes.text("gen_ai.operation.name").is_some() && SpanKind::of(attributes) != SpanKind::Inference {
            return;
        }
        let node = self.add_node(None, SpanKind::Inference, attributes);
        let id = SpanId::new(&record.trace_id, &record.span_id);
        let time = Some(record.time_unix_nano).filter(|time| *time > 0).unwrap_or(record.observed_time_unix_nano);
        self.add_call(node, id, time, attributes, forms::input(attributes, &[]), forms::reply(attributes, &[]));
    }

    fn add_node(&mut self, parent: Option<[u8; 8]>, kind: SpanKind, attributes: Attributes<'_>) -> usize {
        self.nodes.push(Node {
            parent,
            group: self.groups.len().saturating_sub(1),
            kind,
            is_ignored: attributes.is_ignored(),
            names: Names::find(attributes).map(Box::new),
        });
        self.nodes.len() - 1
    }

    fn add_call(
        &mut self,
        node: usize,
        id: Option<SpanId>,
        start_nanos: u64,
        attributes: Attributes<'_>,
        input: Messages,
        reply: Option<String>,
    ) {
        let name = |keys: &[&str]| attributes.first_text(keys).map(str::to_owned);
        self.calls.push(Call { node, id, start_nanos, input, reply, model: name(&MODEL), provider: name(&PROVIDER) });
    }

    /// Returns the number of calls of models in spans with invalid ids.
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Removes and returns the calls in the order of their times.
    pub fn take_calls(&mut self) -> Vec<Call> {
        let mut calls = std::mem::take(&mut self.calls);
        calls.sort_by_key(|call| call.start_nanos);
        calls
    }

    /// Returns the facts about `call` that follow from the spans around it. A name on a nearer span has priority, and an
    /// override has priority over all other names.
    pub fn surroundings(&self, call: &Call) -> Surroundings {
        let mut found = Surroundings::default();
        let (mut user, mut agent) = (None, None);
        let mut next = self.nodes.get(call.node);
        for distance in 0..MAX_ANCESTORS {
            let Some(node) = next else { break };
            found.is_ignored |= node.is_ignored;
            found.is_below_tool |= distance > 0 && node.kind == SpanKind::Tool;
            found.is_below_call |= distance > 0 && node.kind == SpanKind::Inference;
            if let Some(names) = &node.names {
                found.add(names);
                user = user.or(names.user_override.as_ref());
                agent = agent.or(names.agent_override.as_ref());
            }
            next = node.parent.zip(call.id).and_then(|(span, id)| {
                let parent = self.by_id.get(&SpanId { span, ..id })?;
                self.nodes.get(*parent)
            });
        }
        if let Some(group) = self.nodes.get(call.node).and_then(|node| self.groups.get(node.group)) {
            found.is_ignored |= group.is_ignored;
            found.add(&group.names);
            found.service.clone_from(&group.service);
            user = user.or(group.names.user_override.as_ref());
            agent = agent.or(group.names.agent_override.as_ref());
        }
        found.user = user.cloned().or(found.user);
        found.agent = agent.cloned().or(found.agent);
        found
    }
}

impl Surroundings {
    /// Adds the names that are still missing.
    fn add(&mut self, names: &Names) {
        let add = |to: &mut Option<String>, from: &Option<String>| {
            if to.is_none() {
                to.clone_from(from);
            }
        };
        add(&mut self.user, &names.user);
        add(&mut self.session, &names.session);
        add(&mut self.agent, &names.agent);
    }
}
