//! `read_conversation`: interactions of a user with an agent.

use serde_json::value::RawValue;

use super::arguments::Arguments;
use super::interactions::{Found, Interaction};
use super::{Failure, Tools, authorize, encoded};
use crate::auth::{Caller, Unauthorized};
use crate::logging::reader::{self, ContentFilter, EntryCursor, EntryQuery, PageRoom};
use crate::logging::{Conversation, Span};
use crate::mcp::output::{self, Rows};

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 50;

/// Returns the newest interactions, oldest first.
pub async fn read_conversation(
    tools: &Tools,
    caller: &Caller,
    mut arguments: Arguments<'_>,
) -> Result<Box<RawValue>, Failure> {
    let agent_id = arguments.agent_id();
    let user_id = arguments.user_id();
    let session_id = arguments.optional::<String>("session_id");
    let since = arguments.time("since");
    let limit = arguments.limit(DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let cursor = arguments.cursor(EntryCursor::parse);
    let no_others = arguments.no_others();
    let (Some(agent_id), Some(user_id), Some(session_id), Some(since), Some(limit), Some(cursor), Some(())) =
        (agent_id, user_id, session_id, since, limit, cursor, no_others)
    else {
        return Err(arguments.into_failure());
    };
    let conversation = Unauthorized::new(Conversation { agent_id: agent_id.clone(), user_id });
    let conversation = authorize(caller, conversation, &agent_id)?;
    let is_restricted = session_id.is_some() || since.is_some() || cursor.is_some();
    let query = EntryQuery {
        span: Span::new(since, None),
        signal: None,
        filter: ContentFilter { session_id, text: None },
        cursor,
        limit,
        room: PageRoom::default(),
    };
    let page = Box::pin(reader::entries(&tools.log, &conversation, &query)).await?;
    if page.entries.is_empty() && !is_restricted {
        return Err(unknown(&conversation));
    }
    let newest_first = page.entries.iter().rev();
    let stored: Vec<_> = newest_first.map(Interaction::of).collect::<Result<_, _>>()?;
    let mut interactions = Rows::fitting(stored.iter().map(Interaction::of_user))?;
    let next = match stored.get(interactions.len().saturating_sub(1)).filter(|_| interactions.is_cut) {
        Some(last) => Some(EntryCursor::before(last.order)),
        None => page.next,
    };
    interactions.reverse();
    encoded(&Found { interactions, next: next.map(|next| next.to_string()) })
}

/// Returns the failure for a user without interactions.
pub fn unknown(conversation: &Conversation) -> Failure {
    let user = output::quoted(conversation.user_id.as_str());
    let agent = output::quoted(conversation.agent_id.as_str());
    Failure::Refused(format!(
        "The user {user} has no interactions with the agent {agent}. Names are compared exactly: find users with \
         who_is_stressed, or with find_interactions without user_id."
    ))
}
