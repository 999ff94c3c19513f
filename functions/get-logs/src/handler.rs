//! Handles requests for log entries.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use serde_json::value::RawValue;
use shared::http::{self, Error, Parameters, Request, Response};
use shared::ids::Signal;
use shared::logging::reader::{ContentFilter, EntryCursor, EntryPage, EntryQuery, OldestCursor, PageOrder, SearchText};
use shared::logging::{Conversation, FeedbackTable, LogBucket, reader};
use shared::validation::Violation;

const DEFAULT_LIMIT: usize = 10;
const MAX_LIMIT: usize = 100;
/// Maximum time that entries wait for their feedback.
const FEEDBACK_LIMIT: Duration = Duration::from_secs(2);

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub log: LogBucket,
    pub feedback: FeedbackTable,
}

/// The parsed query of a request, by the order of its pages.
enum Query {
    Newest(EntryQuery<EntryCursor>),
    Oldest(EntryQuery<OldestCursor>),
}

/// Returns the newest or the oldest requested entries of the log, oldest first: as many as fit in a response. Entries with
/// feedback show the signal that was given.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let query = read(&mut parameters);
    let no_others = parameters.no_others();
    let (Some(conversation), Some(query), Some(())) = (conversation, query, no_others) else {
        return Err(parameters.into_error());
    };
    let conversation = request.caller().authorize(conversation)?;
    match query {
        Query::Newest(query) => {
            let page = reader::entries(&context.log, &conversation, &query).await?;
            shown(context, &request, &conversation, page).await
        }
        Query::Oldest(query) => {
            let page = reader::oldest_entries(&context.log, &conversation, &query).await?;
            shown(context, &request, &conversation, page).await
        }
    }
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

async fn shown<C: Display>(
    context: &Context,
    request: &Request,
    conversation: &Conversation,
    page: EntryPage<C>,
) -> Result<Response, Error> {
    let deadline = request.deadline().within(FEEDBACK_LIMIT);
    let given = context.feedback.signals_of(conversation, &page.entries, deadline).await;
    let mut lines: Vec<Cow<'_, RawValue>> = Vec::with_capacity(page.entries.len());
    for entry in &page.entries {
        lines.push(match given.get(&entry.order.1) {
            Some(signal) => {
                let line = entry.with_feedback(signal);
                Cow::Owned(line.map_err(|error| Error::Internal(format!("cannot add feedback: {error}")))?)
            }
            None => Cow::Borrowed(&entry.json),
        });
    }
    Ok(http::page(&lines, page.next.map(|cursor| request.next_page(&cursor))))
}
