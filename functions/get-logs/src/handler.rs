//! Handles requests for log entries.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use serde_json::value::RawValue;
use shared::deadline::Deadline;
use shared::http::{self, CSV, Error, JSON, NDJSON, Parameters, Request, Response};
use shared::ids::Signal;
use shared::logging::reader::{
    ContentFilter, EntryCursor, EntryPage, EntryQuery, OldestCursor, PageOrder, PageRoom, SearchText,
};
use shared::logging::{Conversation, FeedbackTable, LogBucket, RecordedEntry, csv, reader};
use shared::validation::Violation;

const DEFAULT_LIMIT: usize = 10;
/// Maximum time that entries wait for their feedback.
const FEEDBACK_LIMIT: Duration = Duration::from_secs(2);
/// Maximum number of entries of a page of JSON.
const MAX_ITEMS: usize = 100;
/// Maximum number of entries of a page of lines. If each is an object of its own, their reads take about half of the time
/// that a request has.
const MAX_LINES: usize = 1_000;
/// Maximum length of a page of lines. As Base64, such a page is below Lambda's limit of 6 MB.
const MAX_LINES_BYTES: usize = 4 * 1024 * 1024;

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub log: LogBucket,
    pub feedback: FeedbackTable,
}

/// The format of a page.
#[derive(Clone, Copy)]
enum Format {
    Json,
    Ndjson,
    Csv,
}

impl Format {
    /// Returns the format that the caller prefers.
    fn of(request: &Request) -> Self {
        match request.preferred(JSON, &[NDJSON, CSV]) {
            NDJSON => Self::Ndjson,
            CSV => Self::Csv,
            _ => Self::Json,
        }
    }

    /// Returns the maximum number of entries of a page.
    fn max_limit(self) -> usize {
        match self {
            Self::Json => MAX_ITEMS,
            Self::Ndjson | Self::Csv => MAX_LINES,
        }
    }

    /// Returns the room of a page for a response that is due at `deadline`.
    fn room(self, deadline: Deadline) -> PageRoom {
        let read_until = Some(Deadline::after(deadline.remaining() / 2));
        let PageRoom { bytes, size_of, .. } = PageRoom::default();
        let (bytes, size_of): (usize, fn(&RawValue) -> usize) = match self {
            Self::Json => (bytes, size_of),
            Self::Ndjson => (MAX_LINES_BYTES, |entry| entry.get().len() + 1),
            // A text that is not an entry has no line. Writing the page fails then.
            Self::Csv => {
                (MAX_LINES_BYTES - csv::header().len(), |entry| csv::line_of(entry.get()).map_or(0, |line| line.len()))
            }
        };
        PageRoom { bytes, size_of, read_until }
    }
}

/// The parsed query of a request, by the order of its pages.
enum Query {
    Newest(EntryQuery<EntryCursor>),
    Oldest(EntryQuery<OldestCursor>),
}

/// Returns the newest or the oldest requested entries of the log, oldest first: as many as fit in a response. Entries with
/// feedback show the signal that was given.
pub async fn handle(context: &Context, request: Request) -> Result<Response, Error> {
    let format = Format::of(&request);
    let mut parameters = request.parameters();
    let conversation = parameters.conversation();
    let query = read(&mut parameters, format, request.deadline());
    let no_others = parameters.no_others();
    let (Some(conversation), Some(query), Some(())) = (conversation, query, no_others) else {
        return Err(parameters.into_error());
    };
    let conversation = request.caller().authorize(conversation)?;
    match query {
        Query::Newest(query) => {
            let page = reader::entries(&context.log, &conversation, &query).await?;
            shown(context, &request, format, &conversation, page).await
        }
        Query::Oldest(query) => {
            let page = reader::oldest_entries(&context.log, &conversation, &query).await?;
            shown(context, &request, format, &conversation, page).await
        }
    }
}

fn read(parameters: &mut Parameters<'_>, format: Format, deadline: Deadline) -> Option<Query> {
    let limit = parameters.query_number("limit", DEFAULT_LIMIT, 1..=format.max_limit());
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
    let room = format.room(deadline);
    Some(match order?.unwrap_or_default() {
        PageOrder::Newest => Query::Newest(EntryQuery { span, signal, filter, cursor: newest?, limit, room }),
        PageOrder::Oldest => Query::Oldest(EntryQuery { span, signal, filter, cursor: oldest?, limit, room }),
    })
}

async fn shown<C: Display>(
    context: &Context,
    request: &Request,
    format: Format,
    conversation: &Conversation,
    page: EntryPage<C>,
) -> Result<Response, Error> {
    let next = page.next.map(|cursor| request.next_page(&cursor));
    let response = match format {
        Format::Json => http::page(&with_feedback(context, request, conversation, &page.entries).await?, next),
        Format::Ndjson => {
            let mut lines = String::new();
            for entry in with_feedback(context, request, conversation, &page.entries).await? {
                lines.push_str(entry.get());
                lines.push('\n');
            }
            http::page_of_lines(NDJSON, lines, next)
        }
        Format::Csv => {
            let mut lines = csv::header();
            for entry in &page.entries {
                let line = csv::line_of(entry.json.get());
                lines.push_str(&line.map_err(|error| Error::Internal(format!("log entry: {error}")))?);
            }
            http::page_of_lines(CSV, lines, next)
        }
    };
    Ok(http::vary_by_accept(response))
}

/// Returns the JSON of `entries`, with the signals that were given as feedback.
async fn with_feedback<'a>(
    context: &Context,
    request: &Request,
    conversation: &Conversation,
    entries: &'a [RecordedEntry],
) -> Result<Vec<Cow<'a, RawValue>>, Error> {
    let deadline = request.deadline().within(FEEDBACK_LIMIT);
    let given = context.feedback.signals_of(conversation, entries, deadline).await;
    let line = |entry: &'a RecordedEntry| match given.get(&entry.order.1) {
        Some(signal) => {
            let line = entry.with_feedback(signal);
            Ok(Cow::Owned(line.map_err(|error| Error::Internal(format!("cannot add feedback: {error}")))?))
        }
        None => Ok(Cow::Borrowed(&*entry.json)),
    };
    entries.iter().map(line).collect()
}
