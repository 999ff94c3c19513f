//! OpenTelemetry: turns of users in exports of traces and logs.
//!
//! [`decode`] reads the body of a request, `calls` keeps the calls of models and the spans around them, `forms` and
//! `messages` read the messages of a call in the forms that instrumentations send, `attributes` finds the user, the
//! session and the agent, and [`turns`] puts the calls together. [`response`] writes the bodies of responses.
//!
//! The bytes of the request determine the result, so a resent export results in the same turns. `docs/otlp.md` describes
//! the rules.

mod attributes;
mod calls;
pub mod decode;
mod forms;
mod messages;
pub mod response;
mod skipped;
pub mod turns;
mod wire;

#[cfg(test)]
mod tests;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;

use calls::Spans;
pub use decode::{DecodeError, Encoding, Limits};
use decode::{Element, Record};
pub use skipped::{SkipReason, Skipped};
pub use turns::{Options, Turn};

/// The turns in an export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// The turns in the order of their times.
    pub turns: Vec<Turn>,
    /// Calls of models that are not recorded.
    pub skipped: Skipped,
}

/// Returns the turns in the body of `POST /v1/traces`.
///
/// # Errors
/// When the body exceeds a limit or cannot be decoded.
pub fn read_traces(body: &[u8], encoding: Encoding, limits: Limits, options: &Options) -> Result<Export, DecodeError> {
    read::<Span>(body, encoding, limits, options, Spans::add_span)
}

/// Returns the turns in the body of `POST /v1/logs`.
///
/// # Errors
/// When the body exceeds a limit or cannot be decoded.
pub fn read_logs(body: &[u8], encoding: Encoding, limits: Limits, options: &Options) -> Result<Export, DecodeError> {
    read::<LogRecord>(body, encoding, limits, options, Spans::add_log_record)
}

fn read<R: Record>(
    body: &[u8],
    encoding: Encoding,
    limits: Limits,
    options: &Options,
    add: fn(&mut Spans, &R),
) -> Result<Export, DecodeError> {
    let mut spans = Spans::default();
    let inflated = decode::inflate(body, limits)?;
    decode::for_each::<R>(&inflated, encoding, &mut |element| match element {
        Element::Group => spans.begin_group(),
        Element::Resource(resource) => spans.set_resource(&resource),
        Element::Record(record) => add(&mut spans, &record),
    })?;
    drop(inflated);
    let (turns, skipped) = turns::assemble(spans, options);
    Ok(Export { turns, skipped })
}
