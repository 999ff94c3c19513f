//! `list_anomalies`: anomalies of a user.

use serde::Serialize;
use serde_json::value::RawValue;

use super::arguments::Arguments;
use super::{Failure, Tools, encoded};
use crate::auth::{Caller, Scope};
use crate::ids::{AgentId, UserId};
use crate::integrity::Anomaly;
use crate::integrity::anomaly::CountVisibility;
use crate::integrity::store::{Cursor, ItemFilter, PageRequest};
use crate::mcp::output::Rows;
use crate::time::Timestamp;

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 25;
/// Separator between the time and the position in a cursor.
const AFTER_TIME: char = '~';
/// Maximum length of a cursor before it is sealed, in bytes.
const MAX_POSITION_BYTES: usize = 27 + 1 + Cursor::MAX_BYTES;

#[derive(Serialize)]
struct Listed {
    anomalies: Rows,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Returns the newest anomalies of a user for the agents that the caller may access, newest first.
pub async fn list_anomalies(
    tools: &Tools,
    caller: &Caller,
    mut arguments: Arguments<'_>,
) -> Result<Box<RawValue>, Failure> {
    if !caller.has(Scope::EventsRead) {
        let scope = Scope::EventsRead.name();
        return Err(Failure::Refused(format!(
            "The API key does not have the scope {scope}, which list_anomalies needs. The other tools do not need it."
        )));
    }
    let user_id = arguments.user_id();
    let limit = arguments.limit(DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let cursor = arguments.optional::<String>("cursor");
    let no_others = arguments.no_others();
    let (Some(user_id), Some(limit), Some(cursor), Some(())) = (user_id, limit, cursor, no_others) else {
        return Err(arguments.into_failure());
    };
    let end = match cursor {
        None => None,
        Some(cursor) => Some(opened(caller, &user_id, &cursor).ok_or_else(|| {
            Failure::Refused("The argument cursor must be next of a call for the same user.".to_owned())
        })?),
    };
    let (received_until, cursor) = end.unzip();
    let request = PageRequest {
        since: Timestamp::MIN,
        until: Timestamp::MAX,
        cursor,
        received_until: received_until.unwrap_or_else(Timestamp::now),
        limit,
    };
    let can_access = |agent: &AgentId| caller.can_access(agent);
    let filter = ItemFilter { can_access, matches: |_: &Anomaly| true };
    let page = tools.anomalies.newest(&user_id, &request, &filter).await?;
    let visibility = CountVisibility::of(caller.can_access_all(), tools.scope);
    let keys: Vec<_> = page.items.iter().map(|anomaly| anomaly.key.clone()).collect();
    let anomalies = Rows::fitting(page.items.into_iter().map(|anomaly| anomaly.show(visibility)))?;
    let next = match keys.get(anomalies.len().saturating_sub(1)).filter(|_| anomalies.is_cut) {
        Some(last) => Some(Cursor::after(last.clone())),
        None => page.next,
    };
    let next = next.and_then(|next| closed(caller, &user_id, request.received_until, &next));
    encoded(&Listed { anomalies, next })
}

/// Returns the text of a cursor. A caller with restricted access learns nothing about its position.
fn closed(caller: &Caller, user_id: &UserId, received_until: Timestamp, cursor: &Cursor) -> Option<String> {
    let text = format!("{received_until}{AFTER_TIME}{cursor}");
    match caller.seal() {
        None => Some(text),
        Some(seal) => seal.close(&text, MAX_POSITION_BYTES, &context(user_id)),
    }
}

/// Parses a text returned by [`closed`].
fn opened(caller: &Caller, user_id: &UserId, text: &str) -> Option<(Timestamp, Cursor)> {
    let text = match caller.seal() {
        None => text.to_owned(),
        Some(seal) => seal.open(text, &context(user_id))?,
    };
    let (received_until, cursor) = text.split_once(AFTER_TIME)?;
    Some((Timestamp::parse_rfc3339(received_until)?, Cursor::parse(cursor)?))
}

/// Returns the context of a sealed cursor. For another user, the anomalies found after a cursor would reveal its position.
fn context(user_id: &UserId) -> String {
    format!("list_anomalies?{user_id}")
}
