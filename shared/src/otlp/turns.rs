//! Turns of users, found among the calls of models in a request.
//!
//! An agent calls its model several times until it has an answer: with the user's text, and again after each tool. The
//! call with the user's text as the last message is the turn, and its time and id are those of the turn. Later calls of
//! the turn only contribute the reply.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::calls::{Call, SpanId, Spans, Surroundings};
use super::forms::Messages;
use super::messages::Transcript;
use super::skipped::{SkipReason, Skipped};
use crate::ids::{AgentId, UserId, uuid_v7};
use crate::time::Timestamp;

/// Latest time of an entry in milliseconds since 1970: a key has 13 digits.
const MAX_MILLIS: u64 = 9_999_999_999_999;
/// Maximum size of a session id in bytes.
const MAX_SESSION: usize = 1_024;
/// Maximum size of a name of a model or provider in bytes.
const MAX_METADATA: usize = 256;
/// Beginning of the service name of applications that do not set one.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// One turn: a text of a user and the reply of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The agent.
    pub agent_id: AgentId,
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: Option<String>,
    /// Text of the user.
    pub user_input: String,
    /// Last text of the agent in the turn, as far as the request contains the turn.
    pub agent_output: Option<String>,
    /// `model`, `provider`, and `truncated` with the names of the texts that were cut.
    pub metadata: BTreeMap<String, String>,
    /// Start of the first call of the turn.
    pub timestamp: Timestamp,
    /// Id determined by the trace and the span: a resent export has the same ids.
    pub log_id: Uuid,
}

/// Settings of the mapping.
#[derive(Clone, Debug)]
pub struct Options {
    /// Maximum size of each text as JSON, in bytes. Longer texts are cut, as a chat window does.
    pub max_text_bytes: usize,
    /// Agent of calls that name neither an agent nor a service.
    pub default_agent: Option<AgentId>,
}

impl Options {
    /// Returns options with which an entry with both texts takes at most `max_entry_bytes`.
    pub fn for_entries_of(max_entry_bytes: usize) -> Self {
        // The other fields: names, session and metadata.
        const REST: usize = 8_192;
        Self { max_text_bytes: max_entry_bytes.saturating_sub(REST) / 2, default_agent: None }
    }
}

/// Identifies a turn among the calls of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TurnKey {
    scope: Scope,
    user: Option<String>,
    /// Fingerprint of the user's text.
    text: u64,
    /// How often the user has said the text: a repeated text is another turn.
    occurrences: usize,
}

/// Calls that can belong to one turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scope {
    Trace([u8; 16]),
    /// Calls without a common trace, for example of an SDK that is instrumented alone.
    Session(Option<String>),
}

#[derive(Default)]
struct Assembly {
    turns: Vec<Turn>,
    skipped: Skipped,
    /// Turns by key. `None` for turns that are skipped.
    by_key: HashMap<TurnKey, Option<usize>>,
    /// The latest turn of each trace.
    by_trace: HashMap<[u8; 16], usize>,
}

/// Returns the turns in the order of their times, and the number of calls that are not recorded by reason.
pub fn assemble(mut spans: Spans, options: &Options) -> (Vec<Turn>, Skipped) {
    let mut assembly = Assembly::default();
    assembly.skipped.add(SkipReason::InvalidSpan, spans.invalid());
    for call in spans.take_calls() {
        let surroundings = spans.surroundings(&call);
        assembly.add(call, surroundings, options);
    }
    for turn in &mut assembly.turns {
        turn.fit(options.max_text_bytes);
    }
    (assembly.turns, assembly.skipped)
}

impl Assembly {
    fn add(&mut self, mut call: Call, surroundings: Surroundings, options: &Options) {
        if surroundings.is_ignored {
            return self.skipped.add(SkipReason::Ignored, 1);
        }
        let input = std::mem::replace(&mut call.input, Messages::Missing);
        if surroundings.is_below_tool {
            if matches!(input, Messages::Found(transcript) if transcript.is_users_turn()) {
                self.skipped.add(SkipReason::SubAgent, 1);
            }
            return;
        }
        let input = match input {
            Messages::Found(transcript) => transcript,
            // Another instrumentation has recorded the call as well, and may have its content.
            _ if surroundings.is_below_call => return,
            Messages::Missing => return self.skipped.add(SkipReason::NoContent, 1),
            Messages::Unreadable => return self.skipped.add(SkipReason::UnreadableContent, 1),
        };
        let [in_trace, in_session] = turn_keys(&call, &input, &surroundings);
        if !input.is_users_turn() {
            let known = [&in_trace, &in_session].into_iter().flatten().find_map(|key| self.by_key.get(key).copied());
            let latest = || call.id.and_then(|id| self.by_trace.get(&id.trace).copied());
            let turn = match input.fingerprint() {
                Some(_) => known.flatten(),
                // Only the result of a tool was sent to the model.
                None => latest(),
            };
            return self.set_reply(turn, call.reply);
        }
        let index = self.turns.len();
        if let Some(key) = &in_trace {
            match self.by_key.entry(key.clone()) {
                Entry::Occupied(known) => {
                    let turn = *known.get();
                    return self.set_reply(turn, call.reply);
                }
                Entry::Vacant(entry) => {
                    entry.insert(None);
                }
            }
        }
        let id = call.id;
        match turn(call, input, surroundings, options) {
            Ok(turn) => {
                self.turns.push(turn);
                for key in [in_trace, in_session].into_iter().flatten() {
                    self.by_key.insert(key, Some(index));
                }
                if let Some(id) = id {
                    self.by_trace.insert(id.trace, index);
                }
            }
            Err(reason) => self.skipped.add(reason, 1),
        }
    }

    fn set_reply(&mut self, turn: Option<usize>, reply: Option<String>) {
        if let Some(turn) = turn.and_then(|turn| self.turns.get_mut(turn))
            && reply.is_some()
        {
            turn.agent_output = reply;
        }
    }
}

/// Returns the keys of the turn that `call` belongs to: in its trace, and in its session.
fn turn_keys(call: &Call, input: &Transcript, surroundings: &Surroundings) -> [Option<TurnKey>; 2] {
    let key = |scope| {
        let (user, occurrences) = (surroundings.user.clone(), input.occurrences());
        input.fingerprint().map(|text| TurnKey { scope, user, text, occurrences })
    };
    let in_trace = call.id.and_then(|id| key(Scope::Trace(id.trace)));
    [in_trace, key(Scope::Session(surroundings.session.clone()))]
}

fn turn(call: Call, input: Transcript, surroundings: Surroundings, options: &Options) -> Result<Turn, SkipReason> {
    let user = surroundings.user.ok_or(SkipReason::NoUser)?;
    let user_id = UserId::try_from(user).map_err(|_| SkipReason::InvalidUser)?;
    let agent_id = agent(surroundings.agent, surroundings.service, options)?;
    let session_id = surroundings.session;
    if session_id.as_ref().is_some_and(|session| session.len() > MAX_SESSION) {
        return Err(SkipReason::InvalidSession);
    }
    let user_input = input.into_user_text().ok_or(SkipReason::NoContent)?;
    let millis = call.start_nanos / 1_000_000;
    if call.start_nanos == 0 || millis > MAX_MILLIS {
        return Err(SkipReason::InvalidTime);
    }
    let timestamp = i64::try_from(millis).ok().and_then(Timestamp::from_millis).ok_or(SkipReason::InvalidTime)?;
    let metadata = [("model", call.model), ("provider", call.provider)].into_iter();
    let metadata = metadata.filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Ok(Turn {
        log_id: log_id(millis, call.id, &user_id, &user_input),
        metadata: metadata.filter(|(_, value)| value.len() <= MAX_METADATA).collect(),
        agent_id,
        user_id,
        session_id,
        user_input,
        agent_output: call.reply,
        timestamp,
    })
}

/// Returns the agent, else the service. SDKs give a service without a name the name `unknown_service`.
fn agent(agent: Option<String>, service: Option<String>, options: &Options) -> Result<AgentId, SkipReason> {
    let (named, unknown) = match service {
        Some(service) if service.starts_with(UNKNOWN_SERVICE) => (None, Some(service)),
        service => (service, None),
    };
    let name = match (agent.or(named), &options.default_agent) {
        (Some(name), _) => name,
        (None, Some(default)) => return Ok(default.clone()),
        (None, None) => unknown.unwrap_or_else(|| UNKNOWN_SERVICE.to_owned()),
    };
    AgentId::try_from(name).map_err(|_| SkipReason::InvalidAgent)
}

/// Returns the id of the turn at `millis`. Without the ids of a span, the turn itself determines the id.
fn log_id(millis: u64, id: Option<SpanId>, user_id: &UserId, user_input: &str) -> Uuid {
    let mut hash = Sha256::new();
    match id {
        Some(id) => {
            hash.update(id.trace);
            hash.update(id.span);
        }
        None => {
            hash.update(user_id.as_str());
            // Names do not contain control characters.
            hash.update([0]);
            hash.update(user_input);
        }
    }
    uuid_v7(millis, &hash.finalize().into())
}

impl Turn {
    /// Cuts the texts so that each takes at most `max_bytes` of JSON.
    fn fit(&mut self, max_bytes: usize) {
        let mut cut = Vec::new();
        if truncate(&mut self.user_input, max_bytes) {
            cut.push("user_input");
        }
        if self.agent_output.as_mut().is_some_and(|text| truncate(text, max_bytes)) {
            cut.push("agent_output");
        }
        if !cut.is_empty() {
            self.metadata.insert("truncated".to_owned(), cut.join(","));
        }
    }
}

/// Cuts `text` so that it takes at most `max_bytes` of JSON. Returns whether anything was cut.
fn truncate(text: &mut String, max_bytes: usize) -> bool {
    let mut bytes = 0;
    let end = text.char_indices().find_map(|(index, char)| {
        bytes += match char {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '\0'..='\u{1f}' => 6,
            _ => char.len_utf8(),
        };
        (bytes > max_bytes).then_some(index)
    });
    if let Some(end) = end {
        text.truncate(end);
    }
    end.is_some()
}
