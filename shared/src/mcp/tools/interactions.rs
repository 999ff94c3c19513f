//! `find_interactions`: interactions with a signal or a text.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::arguments::Arguments;
use super::{Failure, Tools, authorize, conversation, encoded};
use crate::activity::views::{AgentEntryQuery, RowPosition, entries};
use crate::auth::{Caller, Unauthorized};
use crate::aws::{S3, StoreError};
use crate::ids::{AgentId, Signal, UserId};
use crate::logging::reader::{self, ContentFilter, EntryCursor, EntryQuery, PageRoom, SearchText};
use crate::logging::{Conversation, EntryOrder, RecordedEntry, Span};
use crate::mcp::output::{Rows, UntrustedText, short};

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 50;

/// A page of interactions.
#[derive(Serialize)]
pub struct Found {
    pub interactions: Rows,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The fields of an entry that are shown.
#[derive(Deserialize)]
struct Fields {
    user_id: UserId,
    timestamp: String,
    user_input: String,
    agent_output: Option<String>,
    session_id: Option<String>,
    #[serde(default)]
    escalation_flag: bool,
}

/// An interaction.
pub struct Interaction {
    pub order: EntryOrder,
    signal: Signal,
    fields: Fields,
}

/// An interaction as shown.
#[derive(Serialize)]
pub struct Row<'a> {
    time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a UserId>,
    signal: &'a Signal,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    escalated: bool,
    user: UntrustedText<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<UntrustedText<'a>>,
}

impl Interaction {
    /// Reads the fields of `entry`.
    ///
    /// # Errors
    /// The entry is not one that this version writes.
    pub fn of(entry: &RecordedEntry) -> Result<Self, StoreError> {
        let fields = serde_json::from_str(entry.json.get());
        let fields = fields.map_err(|_| StoreError::corrupt(S3, "GetObject", "log entry"))?;
        Ok(Self { order: entry.order, signal: entry.signal.clone(), fields })
    }

    /// Returns the interaction of a user whom the caller knows.
    pub fn of_user(&self) -> Row<'_> {
        Row { user_id: None, ..self.of_any_user() }
    }

    fn of_any_user(&self) -> Row<'_> {
        Row {
            time: &self.fields.timestamp,
            user_id: Some(&self.fields.user_id),
            signal: &self.signal,
            session_id: self.fields.session_id.as_deref().map(short),
            escalated: self.fields.escalation_flag,
            user: UntrustedText::new(&self.fields.user_input),
            agent: self.fields.agent_output.as_deref().map(UntrustedText::new),
        }
    }
}

/// The parsed arguments.
struct Query {
    agent_id: AgentId,
    signal: Option<Signal>,
    text: Option<SearchText>,
    span: Span,
    limit: usize,
    cursor: Option<String>,
}

/// Returns the newest interactions that match, newest first.
pub async fn find_interactions(
    tools: &Tools,
    caller: &Caller,
    mut arguments: Arguments<'_>,
) -> Result<Box<RawValue>, Failure> {
    let agent_id = arguments.agent_id();
    let user_id = arguments.optional::<UserId>("user_id");
    let signal = arguments.optional("signal");
    let text = arguments.optional("text");
    let since = arguments.time("since");
    let limit = arguments.limit(DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let cursor = arguments.optional("cursor");
    let no_others = arguments.no_others();
    let (Some(agent_id), Some(user_id), Some(signal), Some(text), Some(since), Some(limit), Some(cursor), Some(())) =
        (agent_id, user_id, signal, text, since, limit, cursor, no_others)
    else {
        return Err(arguments.into_failure());
    };
    let agent_id = authorize(caller, Unauthorized::new(agent_id.clone()), &agent_id)?;
    let query = Query { agent_id, signal, text, span: Span::new(since, None), limit, cursor };
    match user_id {
        Some(user_id) => of_user(tools, query, user_id).await,
        None => of_all(tools, query).await,
    }
}

/// Parses `text` as the end of the previous page.
fn cursor<T>(text: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let why = "The argument cursor must be next of the same call with the same other arguments.";
    parse(text).map(Some).ok_or_else(|| Failure::Refused(why.to_owned()))
}

/// Returns interactions of a user.
async fn of_user(tools: &Tools, query: Query, user_id: UserId) -> Result<Box<RawValue>, Failure> {
    let Query { agent_id, signal, text, span, limit, cursor: end } = query;
    let is_restricted = signal.is_some() || text.is_some() || !span.is_all() || end.is_some();
    let filter = ContentFilter { session_id: None, text };
    let room = PageRoom::default();
    let query = EntryQuery { span, signal, filter, cursor: cursor(end.as_deref(), EntryCursor::parse)?, limit, room };
    let conversation = Conversation { agent_id, user_id };
    let page = Box::pin(reader::entries(&tools.log, &conversation, &query)).await?;
    if page.entries.is_empty() && !is_restricted {
        return Err(conversation::unknown(&conversation));
    }
    let newest_first = page.entries.iter().rev();
    let stored: Vec<_> = newest_first.map(Interaction::of).collect::<Result<_, _>>()?;
    let interactions = Rows::fitting(stored.iter().map(Interaction::of_user))?;
    let next = match stored.get(interactions.len().saturating_sub(1)).filter(|_| interactions.is_cut) {
        Some(last) => Some(EntryCursor::before(last.order)),
        None => page.next,
    };
    encoded(&Found { interactions, next: next.map(|next| next.to_string()) })
}

/// Returns interactions of all users.
async fn of_all(tools: &Tools, query: Query) -> Result<Box<RawValue>, Failure> {
    let Query { agent_id, signal, text, span, limit, cursor: end } = query;
    if text.is_some() {
        let why = "The argument text needs user_id: a search reads the log of one user. Without text, find_interactions \
                   returns the newest interactions of all users.";
        return Err(Failure::Refused(why.to_owned()));
    }
    let last = cursor(end.as_deref(), RowPosition::parse)?;
    let query = AgentEntryQuery { signal, span, last, limit };
    let page = Box::pin(entries::newest(&tools.activity, &tools.log, &agent_id, &query)).await?;
    let stored: Vec<_> = page.rows.iter().map(Interaction::of).collect::<Result<_, _>>()?;
    let interactions = Rows::fitting(stored.iter().map(Interaction::of_any_user))?;
    let next = match stored.get(interactions.len().saturating_sub(1)).filter(|_| interactions.is_cut) {
        Some(last) => Some(RowPosition::of(last.order, &last.fields.user_id)),
        None => page.next,
    };
    encoded(&Found { interactions, next: next.map(|next| next.to_string()) })
}
