//! Handles requests for log entries.

use std::fmt::Display;

use serde_json::value::RawValue;
use shared::http::{self, Error, Parameters, Request, Response};
use shared::ids::Signal;
use shared::logging::reader::{ContentFilter, EntryCursor, EntryPage, EntryQuery, OldestCursor, PageOrder, SearchText};
use shared::logging::{LogBucket, reader};
use shared::validation::Violation;

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;

/// The parsed query of a request, by the order of its pages.
enum Query {
    Newest(EntryQuery<EntryCursor>),
    Oldest(EntryQuery<OldestCursor>),
}

/// Returns the newest or the oldest requested entries of the log, oldest first: as many as fit in a response.
pub async fn handle(log: &LogBucket, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let query = read(&mut parameters);
    let no_others = parameters.no_others();
    let (Some(conversation), Some(query), Some(())) = (conversation, query, no_others) else {
        return Err(parameters.into_error());
    };
    let conversation = request.caller().authorize(conversation)?;
    Ok(match query {
        Query::Newest(query) => shown(&request, reader::entries(log, &conversation, &query).await?),
        Query::Oldest(query) => shown(&request, reader::oldest_entries(log, &conversation, &query).await?),
    })
}

fn read(parameters: &mut Parameters<'_>) -> Option<Query> {
    let limit = parameters.query_number("limit", DEFAULT_LIMIT, 1..=MAX_LIMIT);
    let span = parameters.span();
    let signal = parameters.query("signal", Signal::try_from);
    let session_id = parameters.query("session_id", Ok::<_, Violation>);
    let text = parameters.query("q", SearchText::try_from);
    let order = parameters.query("order", PageOrder::try_from);
    // A cursor belongs to one order of pages.
    let is_oldest = order == Some(Some(PageOrder::Oldest));
    let newest = if is_oldest { Some(None) } else { parameters.cursor(EntryCursor::parse) };
    let oldest = if is_oldest { parameters.cursor(OldestCursor::parse) } else { Some(None) };
    let (limit, span, signal) = (limit?, span?, signal?);
    let filter = ContentFilter { session_id: session_id?, text: text? };
    Some(match order?.unwrap_or_default() {
        PageOrder::Newest => Query::Newest(EntryQuery { span, signal, filter, cursor: newest?, limit }),
        PageOrder::Oldest => Query::Oldest(EntryQuery { span, signal, filter, cursor: oldest?, limit }),
    })
}

fn shown<C: Display>(request: &Request, page: EntryPage<C>) -> Response {
    let lines: Vec<&RawValue> = page.entries.iter().map(|entry| &*entry.json).collect();
    http::page(&lines, page.next.map(|cursor| request.next_page(&cursor)))
}
