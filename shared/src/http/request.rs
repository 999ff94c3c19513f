//! The parts of a request that handlers use: the caller, the JSON body, the validated parameters.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;

use lambda_http::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use lambda_http::http::{HeaderMap, Method};
use lambda_http::{Body, RequestExt};
use percent_encoding::percent_decode_str;

use super::batch::Refusal;
use super::encoding::{self, ContentEncoding};
use super::error::Error;
use super::response::{self, Image, RESPOND_ASYNC, Response};
use crate::activity::views::{ActivityInterval, SlotRange};
use crate::auth::{Caller, NamesAgent, Unauthorized};
use crate::config::ByteLimit;
use crate::datetime;
use crate::deadline::Deadline;
use crate::ids::{AgentId, EventId, UserId};
use crate::integrity::store::{Cursor, PageRequest};
use crate::json::{self, Echo};
use crate::logging::chart::{self, ChartData, ChartOptions, HEIGHTS, Theme, WIDTHS};
use crate::logging::directory::{NameCursor, NamePrefix, NameQuery};
use crate::logging::feedback::{FeedbackCursor, FeedbackQuery};
use crate::logging::{Conversation, LogId, Span};
use crate::otlp::Encoding;
use crate::time::Timestamp;
use crate::unknown::UnknownNames;
use crate::validation::{self, FieldError, Location, Violation, literal};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const PREFER: &str = "prefer";
const CURSOR: &str = "cursor";
const LIMIT: &str = "limit";
/// Separator between the time and the position in a sealed cursor.
const AFTER_TIME: char = '~';
/// Maximum length of a sealed cursor's text in bytes.
const MAX_POSITION_BYTES: usize = 27 + 1 + Cursor::MAX_BYTES;
/// Maximum and default number of events, anomalies, names or feedback in a page.
const MAX_PAGE: usize = 100;

/// A request whose caller is authenticated and has the scope required by the endpoint.
#[derive(Debug)]
pub struct Request {
    caller: Caller,
    event: lambda_http::Request,
    deadline: Deadline,
}

impl Request {
    pub(super) fn new(caller: Caller, event: lambda_http::Request, deadline: Deadline) -> Self {
        Self { caller, event, deadline }
    }

    /// Returns the instant at which the response is due.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Returns the headers of the request.
    pub(super) fn headers(&self) -> &HeaderMap {
        self.event.headers()
    }

    /// Returns the caller of the request.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Returns the body, which must be declared as JSON and have at most `limit` bytes. The body is not parsed yet.
    ///
    /// # Errors
    /// [`Error::UnsupportedMediaType`], [`Error::BodyTooLarge`].
    pub fn json_body(&self, limit: ByteLimit) -> Result<&[u8], Error> {
        if !self.content_type().is_none_or(is_json) {
            return Err(Error::UnsupportedMediaType);
        }
        self.body(limit).map(json::without_byte_order_mark)
    }

    /// Returns the body of a batch, which must be declared as JSON or NDJSON and have at most `limit` bytes.
    ///
    /// # Errors
    /// Same as [`Self::json_body`].
    pub fn batch_body(&self, limit: ByteLimit) -> Result<&[u8], Error> {
        if !self.content_type().is_none_or(|kind| is_json(kind) || is_ndjson(kind)) {
            return Err(Error::UnsupportedMediaType);
        }
        self.body(limit)
    }

    /// Does the same as [`Self::batch_body`] for a body that may be compressed with gzip: it has at most `limit` bytes
    /// before and after.
    ///
    /// # Errors
    /// Same as [`Self::batch_body`], [`Error::UnsupportedEncoding`], and [`Error::Invalid`] if the body is not gzip.
    pub fn decompressed_batch_body(&self, limit: ByteLimit) -> Result<Cow<'_, [u8]>, Error> {
        let body = self.batch_body(limit)?;
        let encoding = self.event.headers().get(CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("?"));
        match ContentEncoding::parse(encoding)? {
            ContentEncoding::Identity => Ok(Cow::Borrowed(body)),
            ContentEncoding::Gzip => encoding::gunzip(body, limit).map(Cow::Owned),
        }
    }

    /// Returns the encoding and the body of an OTLP export. Size and compression are checked when the body is decoded.
    ///
    /// # Errors
    /// [`Error::NotAnExport`] for another content type, [`Error::Invalid`] if there is a query.
    pub fn export_body(&self) -> Result<(Encoding, &[u8]), Error> {
        let encoding = self.content_type().and_then(Encoding::from_content_type).ok_or(Error::NotAnExport)?;
        Ok((encoding, self.bytes()?))
    }

    /// Returns whether the method of the request is POST.
    pub(super) fn is_post(&self) -> bool {
        self.event.method() == Method::POST
    }

    /// Returns the value of the header `name`, or an empty string if the value is not ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.event.headers().get(name).map(|value| value.to_str().unwrap_or_default())
    }

    /// Returns whether the caller accepts the media type `kind`, by `Accept`. `kind` is in lower case.
    pub(super) fn accepts(&self, kind: &str) -> bool {
        let values = self.event.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let accepted: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
        accepted.is_empty() || quality(&accepted, kind) > 0.0
    }

    /// Returns whether the path of the request ends with `end`, for functions with several routes.
    pub fn path_ends_with(&self, end: &str) -> bool {
        self.event.uri().path().ends_with(end)
    }

    /// Splits the `body` of a batch, a JSON array or NDJSON with one value per line, into its values. The values are not
    /// checked yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `body` is not an array or has more than `max_items` values.
    pub fn split_items<'b>(&self, body: &'b [u8], max_items: usize) -> Result<Vec<&'b [u8]>, Error> {
        let body = json::without_byte_order_mark(body);
        let items = if self.content_type().is_some_and(is_ndjson) {
            body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect()
        } else {
            parse_array(body)?
        };
        if items.len() > max_items {
            let message = format!("List should have at most {max_items} items after validation, not {}", items.len());
            return Err(FieldError::new("body", None, Violation::new("too_long", message), Echo::null()).into());
        }
        Ok(items)
    }

    /// Parses one item of a batch, which has at most `limit` bytes, and authorizes the caller for its agent.
    ///
    /// # Errors
    /// The result of the item.
    pub fn parse_item<T: NamesAgent>(
        &self,
        item: &[u8],
        limit: ByteLimit,
        parse: impl FnOnce(&[u8]) -> Result<Unauthorized<T>, Vec<FieldError>>,
    ) -> Result<T, Refusal> {
        if item.len() > limit.bytes {
            let message = format!("Data should have at most {} bytes", limit.bytes);
            let violation = Violation::new("bytes_too_long", message);
            return Err(FieldError::new("body", None, violation, Echo::of(&item.len())).into());
        }
        self.caller.authorize(parse(item)?).map_err(|_| Refusal::forbidden())
    }

    /// Returns the event id in the header `Idempotency-Key`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the header is not a valid event id.
    pub fn idempotency_key(&self) -> Result<Option<EventId>, Error> {
        let Some(value) = self.event.headers().get(IDEMPOTENCY_KEY) else { return Ok(None) };
        let error = |violation, input| FieldError::new("header", Location::Name(IDEMPOTENCY_KEY), violation, input);
        let Ok(text) = value.to_str() else {
            let violation = Violation::value_error("must be ASCII: put other ids into the body as event_id");
            return Err(error(violation, Echo::null()).into());
        };
        EventId::try_from(text).map(Some).map_err(|violation| error(violation, Echo::of(text)).into())
    }

    /// Returns whether the caller prefers a quick response to a complete one: `Prefer: respond-async` (RFC 7240, 4.1).
    pub fn prefers_async(&self) -> bool {
        let values = self.event.headers().get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|preference| {
            preference.split([';', '=']).next().is_some_and(|name| name.trim().eq_ignore_ascii_case(RESPOND_ASYNC))
        })
    }

    /// Returns the media type that the caller prefers by `Accept` (RFC 9110, 12.5.1): the one of `others` with the highest
    /// quality, or `default` if none has a higher quality than `default`. All are in lower case.
    pub fn preferred(&self, default: &'static str, others: &[&'static str]) -> &'static str {
        let values = self.event.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        preferred(&values.flat_map(|value| value.split(',')).collect::<Vec<_>>(), default, others)
    }

    /// Draws `data` as PNG or, if the caller prefers it, as SVG.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is nothing to draw.
    pub fn chart(&self, data: &ChartData<'_>, options: ChartOptions) -> Result<Response, Error> {
        if data.summary.is_empty() {
            return Err(Error::NotFound("No data to visualize"));
        }
        let image = if self.preferred(Image::PNG, &[Image::SVG]) == Image::SVG {
            chart::svg(data, options).map(Image::Svg)
        } else {
            chart::png(data, options).map(Image::Png)
        };
        Ok(response::image(image.map_err(|error| Error::Internal(error.to_string()))?))
    }

    /// Returns the query of the next page, which begins after `cursor`.
    pub fn next_page(&self, cursor: &impl Display) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(parameters) = self.event.query_string_parameters_ref() {
            query.extend_pairs(parameters.iter().filter(|(name, _)| *name != CURSOR));
        }
        query.append_pair(CURSOR, &cursor.to_string());
        format!("?{}", query.finish())
    }

    /// Returns the query of the page after `page_request`, which begins at `cursor`. A caller with restricted access
    /// learns nothing about that position, and finds no later additions there.
    pub fn next_part(&self, page_request: &PageRequest, cursor: &Cursor) -> Option<String> {
        let Some(seal) = self.caller.seal() else { return Some(self.next_page(cursor)) };
        let received_until = page_request.received_until.min(Timestamp::now());
        let text = format!("{received_until}{AFTER_TIME}{cursor}");
        seal.close(&text, MAX_POSITION_BYTES, &cursor_context(&self.event)).map(|sealed| self.next_page(&sealed))
    }

    fn content_type(&self) -> Option<&str> {
        self.event.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default())
    }

    fn body(&self, limit: ByteLimit) -> Result<&[u8], Error> {
        let body = self.bytes()?;
        if body.len() > limit.bytes { Err(Error::BodyTooLarge(limit)) } else { Ok(body) }
    }

    /// Returns the body. An endpoint with a body has no query parameters.
    fn bytes(&self) -> Result<&[u8], Error> {
        let unknown = unknown_parameters(&self.event, &[]);
        if !unknown.is_empty() {
            return Err(unknown.into());
        }
        Ok(match self.event.body() {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
            _ => b"",
        })
    }

    /// Returns the parameters of path and query, to be read one by one.
    pub fn parameters(&self) -> Parameters<'_> {
        Parameters { caller: &self.caller, event: &self.event, known: Vec::new(), errors: Vec::new() }
    }
}

/// Splits a JSON array into its values as written.
fn parse_array(body: &[u8]) -> Result<Vec<&[u8]>, Error> {
    validation::require_body(body)?;
    json::split_array(body).map_err(|error| {
        if error.is_data() {
            let violation = Violation::new("list_type", "Input should be a valid list");
            return FieldError::new("body", None, violation, Echo::null()).into();
        }
        validation::not_json(body, &error).into()
    })
}

fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_ndjson(content_type: &str) -> bool {
    matches!(essence(content_type).as_str(), "application/x-ndjson" | "application/ndjson" | "application/jsonl")
}

/// Returns the one of `others` with the highest quality under the accepted `ranges`, or `default`.
fn preferred(ranges: &[&str], default: &'static str, others: &[&'static str]) -> &'static str {
    let mut best = (default, quality(ranges, default));
    for other in others {
        let quality = quality(ranges, other);
        if quality > best.1 {
            best = (other, quality);
        }
    }
    best.0
}

/// Returns the quality of the media type `kind` under the accepted `ranges`, from 0 to 1. The most specific matching
/// range decides.
fn quality(ranges: &[&str], kind: &str) -> f32 {
    let family = kind.split_inclusive('/').next().unwrap_or_default();
    let mut best = (0, 0.0);
    for range in ranges {
        let name = essence(range);
        let specificity = match name.strip_suffix('*') {
            _ if name == kind => 3,
            Some(start) if start == family => 2,
            Some("*/") => 1,
            _ => continue,
        };
        let mut parameters = range.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
        let quality = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        let quality = quality.map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(0.0));
        if specificity > best.0 {
            best = (specificity, quality);
        }
    }
    best.1
}

/// Returns whether `content_type` is JSON by its name or its suffix, whatever its parameters.
fn is_json(content_type: &str) -> bool {
    let essence = essence(content_type);
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The parameters of path and query, with the errors of those read so far. Like in [`crate::validation::Fields`], any
/// `None` means that [`Parameters::into_error`] has the reasons.
pub struct Parameters<'a> {
    caller: &'a Caller,
    event: &'a lambda_http::Request,
    /// Names of the query parameters read so far.
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl Parameters<'_> {
    /// Returns the path parameter `agent_id`.
    pub fn agent_id(&mut self) -> Option<Unauthorized<AgentId>> {
        self.path("agent_id").map(Unauthorized::new)
    }

    /// Returns the path parameter `user_id`.
    pub fn user_id(&mut self) -> Option<UserId> {
        self.path("user_id")
    }

    /// Returns the path parameter `log_id`.
    pub fn log_id(&mut self) -> Option<LogId> {
        self.path("log_id")
    }

    fn path<T: TryFrom<String, Error = Violation>>(&mut self, name: &'static str) -> Option<T> {
        let raw = self.event.path_parameters_ref().and_then(|map| map.first(name)).unwrap_or_default();
        let text = decode_fully(raw);
        T::try_from(text.clone().into_owned()).map_err(|violation| self.refuse("path", name, violation, &text)).ok()
    }

    /// Returns the path parameters `agent_id` and `user_id`.
    pub fn conversation(&mut self) -> Option<Unauthorized<Conversation>> {
        let agent_id = self.path("agent_id");
        let user_id = self.path("user_id");
        Some(Unauthorized::new(Conversation { agent_id: agent_id?, user_id: user_id? }))
    }

    /// Returns the whole number `name` in the query, or `default` if absent.
    pub fn query_number(
        &mut self,
        name: &'static str,
        default: usize,
        allowed: RangeInclusive<usize>,
    ) -> Option<usize> {
        self.query(name, |text| whole_number(&text, &allowed)).map(|number| number.unwrap_or(default))
    }

    /// Returns the value `name` in the query, or `Some(None)` if absent. Rejects a parameter that occurs more than once:
    /// one of its values would be ignored silently.
    pub fn query<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(String) -> Result<T, Violation>,
    ) -> Option<Option<T>> {
        self.known.push(name);
        let given = self.event.query_string_parameters_ref().and_then(|map| map.all(name)).unwrap_or_default();
        let text = match given[..] {
            [] => return Some(None),
            [text] => text.to_owned(),
            _ => {
                self.errors.push(repeated(name, &given));
                return None;
            }
        };
        parse(text.clone()).map(Some).map_err(|violation| self.refuse("query", name, violation, &text)).ok()
    }

    /// Returns the time `name` in the query, in any format allowed for the time of an event, or `Some(None)` if absent.
    pub fn time(&mut self, name: &'static str) -> Option<Option<Timestamp>> {
        self.query(name, |text| datetime::from_text(&text))
    }

    /// Returns the requested time range from `since` to `until`.
    pub fn span(&mut self) -> Option<Span> {
        let since = self.time("since");
        let until = self.time("until");
        Some(Span::new(since?, until?))
    }

    /// Returns the time range from `since` to `until` in five minutes, whose counts are split by `interval`.
    pub fn slots(&mut self, interval: Option<ActivityInterval>) -> Option<SlotRange> {
        let since = self.time("since");
        let until = self.time("until");
        let range = SlotRange::new(since?, until?, Timestamp::now());
        let given = self.event.query_string_parameters_ref().and_then(|map| map.first("since")).unwrap_or_default();
        range.check(interval).map_err(|violation| self.refuse("query", "since", violation, given)).ok()?;
        Some(range)
    }

    /// Returns the size and the colours of a chart: `width`, `height` and `theme`.
    pub fn chart_options(&mut self) -> Option<ChartOptions> {
        let default = ChartOptions::default();
        let mut size = |name, default: u32, allowed| {
            let pixels = self.query_number(name, usize::try_from(default).unwrap_or_default(), allowed)?;
            u32::try_from(pixels).ok()
        };
        let width = size("width", default.width, WIDTHS);
        let height = size("height", default.height, HEIGHTS);
        let theme = self.query("theme", literal::<Theme>);
        Some(ChartOptions { width: width?, height: height?, theme: theme?.unwrap_or_default() })
    }

    /// Returns the end of the previous page, as given in a `Link` and parsed by `parse`, or `Some(None)` on the first
    /// page.
    pub fn cursor<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
        self.query(CURSOR, |text| {
            parse(&text).ok_or_else(|| Violation::value_error("must be the cursor of a Link header"))
        })
    }

    /// Returns the query for a list of agents or users: `prefix`, `cursor` and `limit`.
    pub fn names(&mut self) -> Option<NameQuery> {
        let prefix = self.query("prefix", NamePrefix::try_from);
        let cursor = self.cursor(NameCursor::parse);
        let limit = self.query_number("limit", MAX_PAGE, 1..=MAX_PAGE);
        Some(NameQuery { prefix: prefix?.unwrap_or_default(), cursor: cursor?, limit: limit? })
    }

    /// Returns the query for the feedback on an agent's entries: `since`, `until`, `cursor` and `limit`.
    pub fn feedback(&mut self) -> Option<FeedbackQuery> {
        let since = self.time("since");
        let until = self.time("until");
        let cursor = self.cursor(FeedbackCursor::parse);
        let limit = self.query_number("limit", MAX_PAGE, 1..=MAX_PAGE);
        Some(FeedbackQuery {
            since: since?.unwrap_or(Timestamp::MIN),
            until: until?.unwrap_or(Timestamp::MAX),
            cursor: cursor?,
            limit: limit?,
        })
    }

    /// Returns the query for a user's events or anomalies: `since`, `until`, `cursor` and `limit`.
    pub fn page_request(&mut self) -> Option<PageRequest> {
        let since = self.time("since");
        let until = self.time("until");
        let (caller, event) = (self.caller, self.event);
        let position = self.cursor(|text| match caller.seal() {
            None => Some((Timestamp::MAX, Cursor::parse(text)?)),
            Some(seal) => {
                let position = seal.open(text, &cursor_context(event))?;
                let (received_until, cursor) = position.split_once(AFTER_TIME)?;
                Some((Timestamp::parse_rfc3339(received_until)?, Cursor::parse(cursor)?))
            }
        });
        let limit = self.query_number("limit", MAX_PAGE, 1..=MAX_PAGE);
        let (received_until, cursor) = position?.unzip();
        Some(PageRequest {
            since: since?.unwrap_or(Timestamp::MIN),
            until: until?.unwrap_or(Timestamp::MAX),
            cursor,
            received_until: received_until.unwrap_or(Timestamp::MAX),
            limit: limit?,
        })
    }

    /// Rejects all query parameters that have not been read.
    pub fn no_others(&mut self) -> Option<()> {
        let unknown = unknown_parameters(self.event, &self.known);
        let are_none = unknown.is_empty();
        self.errors.extend(unknown);
        are_none.then_some(())
    }

    /// Returns all errors of the parameters read so far.
    pub fn into_error(self) -> Error {
        Error::Invalid(self.errors)
    }

    /// Returns all errors of the parameters read so far, and `errors` of the body.
    pub fn into_error_with(mut self, errors: Vec<FieldError>) -> Error {
        self.errors.extend(errors);
        Error::Invalid(self.errors)
    }

    fn refuse(&mut self, source: &'static str, name: &'static str, violation: Violation, input: &str) {
        self.errors.push(FieldError::new(source, Location::Name(name), violation, Echo::of(input)));
    }
}

/// Returns the error of the query parameter `name` with several `values`.
fn repeated(name: &'static str, values: &[&str]) -> FieldError {
    let rule = format!("the parameter {name} occurs {} times, but may occur once", values.len());
    FieldError::new("query", Location::Name(name), Violation::value_error(rule), Echo::of(values))
}

/// Returns an error for each query parameter that is not in `known`, up to a limit.
pub(super) fn unknown_parameters(event: &lambda_http::Request, known: &[&str]) -> Vec<FieldError> {
    let Some(parameters) = event.query_string_parameters_ref() else { return Vec::new() };
    let mut names: Vec<&str> = parameters.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    let forbidden = |name: String| {
        let input = parameters.first(&name).map_or_else(Echo::null, Echo::of);
        let violation = Violation::new("extra_forbidden", "Extra inputs are not permitted");
        FieldError::new("query", Location::Given(name), violation, input)
    };
    UnknownNames::among(names, known).into_names().into_iter().map(forbidden).collect()
}

/// Returns the context of a sealed cursor: the path and the query, except the cursor itself and the page size. With a
/// different filter or for a different user, the items found after a cursor would reveal its position.
fn cursor_context(event: &lambda_http::Request) -> String {
    let mut parameters: Vec<(&str, &str)> =
        event.query_string_parameters_ref().into_iter().flat_map(|parameters| parameters.iter()).collect();
    parameters.retain(|(name, _)| *name != CURSOR && *name != LIMIT);
    parameters.sort_unstable();
    form_urlencoded::Serializer::new(format!("{}?", decode_fully(event.uri().path()))).extend_pairs(parameters).finish()
}

fn whole_number(text: &str, allowed: &RangeInclusive<usize>) -> Result<usize, Violation> {
    let number: i64 = text.trim().parse().map_err(|_| {
        Violation::new("int_parsing", "Input should be a valid integer, unable to parse string as an integer")
    })?;
    let number = usize::try_from(number).unwrap_or(0);
    if number < *allowed.start() {
        let message = format!("Input should be greater than or equal to {}", allowed.start());
        Err(Violation::new("greater_than_equal", message))
    } else if number > *allowed.end() {
        Err(Violation::new("less_than_equal", format!("Input should be less than or equal to {}", allowed.end())))
    } else {
        Ok(number)
    }
}

/// Percent-decodes until nothing is left to decode. API Gateway decodes a path once and `cargo lambda watch` does not,
/// and names do not contain `%`. So the same URL has the same meaning on both, however often it was encoded on its way.
fn decode_fully(text: &str) -> Cow<'_, str> {
    let mut decoded = Cow::Borrowed(text);
    while decoded.contains('%') {
        match percent_decode_str(&decoded).decode_utf8() {
            Ok(next) if next != decoded => decoded = Cow::Owned(next.into_owned()),
            _ => break,
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_is_that_of_the_most_specific_range() {
        for (accept, png, svg) in [
            ("image/svg+xml", 0.0, 1.0),
            ("*/*", 1.0, 1.0),
            ("image/*;q=0.5, IMAGE/PNG ; Q=0.25", 0.25, 0.5),
            ("image/svg+xml;q=0, */*;q=0.1", 0.1, 0.0),
            ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", 1.0, 1.0),
            ("text/html, image/svg+xml;charset=utf-8;q=x", 0.0, 0.0),
            ("", 0.0, 0.0),
        ] {
            let ranges: Vec<&str> = accept.split(',').collect();
            assert_eq!((quality(&ranges, "image/png"), quality(&ranges, "image/svg+xml")), (png, svg), "{accept}");
        }
    }

    #[test]
    fn default_is_preferred_unless_another_type_is_better() {
        let lines = "application/x-ndjson";
        for (accept, expected) in [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("application/*", "application/json"),
            ("image/png", "application/json"),
            ("application/x-ndjson;q=0, text/csv;q=0", "application/json"),
            ("application/json, application/x-ndjson, text/csv", "application/json"),
            ("text/*", "text/csv"),
            ("text/csv;header=present", "text/csv"),
            ("application/json;q=0.5, text/csv;q=0.8, application/x-ndjson;q=0.9", lines),
            ("Application/X-NDJSON", lines),
            ("application/x-ndjson, */*;q=0.1", lines),
            ("application/x-ndjson;q=0.1, */*", "application/json"),
        ] {
            let ranges: Vec<&str> = accept.split(',').collect();
            assert_eq!(preferred(&ranges, "application/json", &[lines, "text/csv"]), expected, "{accept}");
        }
    }

    #[test]
    fn path_is_decoded_however_often_it_was_encoded() {
        for path in ["a b+c", "a%20b+c", "a%2520b%2Bc", "a%252520b%252Bc"] {
            assert_eq!(decode_fully(path), "a b+c", "{path}");
        }
    }

    #[test]
    fn undecodable_text_keeps_its_percent_and_is_rejected_as_name() {
        for path in ["100%", "%zz", "%ff", "a%25"] {
            assert!(crate::ids::UserId::try_from(decode_fully(path).into_owned()).is_err(), "{path}");
        }
    }

    #[test]
    fn unknown_parameters_are_named_with_their_values() {
        let event = |query: &str| {
            let uri = format!("https://example.com/api/logs/a/u?{query}");
            let parameters = form_urlencoded::parse(query.as_bytes()).into_owned();
            let mut map = std::collections::HashMap::<String, Vec<String>>::new();
            for (name, value) in parameters {
                map.entry(name).or_default().push(value);
            }
            let event = lambda_http::http::Request::get(uri).body(Body::Empty).expect("a request");
            event.with_query_string_parameters(map)
        };
        let unknown = |query: &str| serde_json::json!(unknown_parameters(&event(query), &["limit", "cursor"]));
        assert_eq!(unknown("limit=1&cursor=x"), serde_json::json!([]));
        assert_eq!(unknown(""), serde_json::json!([]));
        let found = unknown("b=2&limit=1&a=%20%22&b=3");
        let error = |name: &str, value: &str| {
            serde_json::json!({
                "type": "extra_forbidden", "loc": ["query", name], "msg": "Extra inputs are not permitted", "input": value
            })
        };
        assert_eq!(found, serde_json::json!([error("a", " \""), error("b", "2")]));
        let long = "x".repeat(100);
        let found = unknown(&format!("{long}=1"));
        assert_eq!((&found[0]["loc"][1], &found[0]["input"]), (&long[..64].into(), &serde_json::Value::Null));
        let many: Vec<String> = (0..500).map(|n| format!("p{n}")).collect();
        assert_eq!(unknown(&many.join("&")).as_array().map(Vec::len), Some(16));
    }

    #[test]
    fn json_is_recognised_by_name_and_suffix() {
        for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"] {
            assert!(is_json(content_type), "{content_type}");
        }
        for content_type in ["", "text/plain", "text/json", "application/x-www-form-urlencoded", "application/jsonp"] {
            assert!(!is_json(content_type), "{content_type}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_kind() {
        let kind = |text: &str| {
            serde_json::json!(FieldError::new(
                "query",
                None,
                whole_number(text, &(1..=100)).expect_err("refused"),
                Echo::null()
            ))["type"]
                .clone()
        };
        assert_eq!(kind("0"), "greater_than_equal");
        assert_eq!(kind("-5"), "greater_than_equal");
        assert_eq!(kind("101"), "less_than_equal");
        assert_eq!(kind("ten"), "int_parsing");
        assert_eq!(kind("99999999999999999999"), "int_parsing");
        assert_eq!(whole_number("100", &(1..=100)), Ok(100));
    }
}
