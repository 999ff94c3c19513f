//! Decodes the bodies of OTLP/HTTP requests: protobuf or JSON, plain or compressed.
//!
//! Records are decoded and passed on one at a time, so that a request takes little more memory than its body. The size of a
//! record is estimated before the record is decoded, because two bytes of a body can become a message of a hundred bytes.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/>.

use std::borrow::Cow;
use std::fmt;
use std::mem::size_of;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use prost::Message;
use serde::de::{DeserializeOwned, DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::wire::{self, Field};
use crate::gzip::{self, GzipError};

/// First bytes of a gzip stream. Neither protobuf nor JSON starts with them.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Maximum number of spans or log records in a request, each resource included. The largest default batch, of the
/// OpenTelemetry Collector, is 8,192.
const MAX_RECORDS: usize = 50_000;
/// Maximum size of a decoded record besides its texts, in bytes.
const MAX_RECORD_WEIGHT: usize = 16 << 20;
/// Maximum nesting depth of the messages in a record, as in prost.
const MAX_DEPTH: usize = 100;

/// Maximum size of a body in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size as received, compressed or not.
    pub received: usize,
    /// Size after decompression.
    pub inflated: usize,
}

impl Default for Limits {
    /// Returns the limits for a function behind API Gateway, which passes about 4.5 MB of a binary body. Histories of
    /// conversations repeat themselves, so that compressed bodies are often ten times as large.
    fn default() -> Self {
        Self { received: 4 << 20, inflated: 16 << 20 }
    }
}

/// Encoding of a request, in which the response is sent as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Binary protobuf.
    Protobuf,
    /// JSON as of the OTLP specification.
    Json,
}

impl Encoding {
    /// Returns the encoding with the media type in the header `Content-Type`.
    pub fn from_content_type(value: &str) -> Option<Self> {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        [Self::Protobuf, Self::Json]
            .into_iter()
            .find(|encoding| media_type.eq_ignore_ascii_case(encoding.content_type()))
    }

    /// Returns the media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// The reason why a body cannot be decoded. Sending the same body again cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body exceeds a limit.
    #[error("the body has more than {limit} bytes{}; lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE or OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", if *is_inflated { " after decompression" } else { "" })]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
        /// `true` if the limit is the one after decompression.
        is_inflated: bool,
    },
    /// The body has too many spans or log records.
    #[error("the body has more than {MAX_RECORDS} spans or log records; lower the batch size of the exporter")]
    TooManyRecords,
    /// A span or log record has too many attributes, events or values.
    #[error("a span or log record has too many attributes, events or nested values")]
    RecordTooLarge,
    /// The body is not a request in the encoding of its content type.
    #[error("the body is not an OTLP request in {}: {reason}", .encoding.content_type())]
    Malformed {
        /// Encoding named by the content type.
        encoding: Encoding,
        /// Reason, which may name a position in the body.
        reason: String,
    },
    /// The body is not a valid gzip stream.
    #[error("the body cannot be decompressed: {0}")]
    Gzip(String),
}

impl DecodeError {
    pub(super) fn protobuf(reason: impl fmt::Display) -> Self {
        Self::Malformed { encoding: Encoding::Protobuf, reason: reason.to_string() }
    }

    fn json(reason: impl fmt::Display) -> Self {
        Self::Malformed { encoding: Encoding::Json, reason: reason.to_string() }
    }
}

/// Returns `body`, decompressed if it starts as a gzip stream does. The header `Content-Encoding` is not needed, because
/// proxies that decompress bodies do not always remove the header.
///
/// # Errors
/// `TooLarge` and `Gzip`.
pub fn inflate(body: &[u8], limits: Limits) -> Result<Cow<'_, [u8]>, DecodeError> {
    if body.len() > limits.received {
        return Err(DecodeError::TooLarge { limit: limits.received, is_inflated: false });
    }
    if !body.starts_with(&GZIP_MAGIC) {
        return Ok(Cow::Borrowed(body));
    }
    gzip::decompress(body, limits.inflated).map(Cow::Owned).map_err(|error| match error {
        GzipError::TooLarge(limit) => DecodeError::TooLarge { limit, is_inflated: true },
        GzipError::Invalid(reason) => DecodeError::Gzip(reason.to_string()),
    })
}

/// A span or a log record: the innermost elements of a request, which differ only in names.
pub trait Record: Message + Default + DeserializeOwned {
    /// Kind of the message.
    const KIND: Kind;
    /// JSON names of the lists from the request to the records.
    const LISTS: [&'static str; 3];
}

impl Record for Span {
    const KIND: Kind = Kind::Span;
    const LISTS: [&'static str; 3] = ["resourceSpans", "scopeSpans", "spans"];
}

impl Record for LogRecord {
    const KIND: Kind = Kind::LogRecord;
    const LISTS: [&'static str; 3] = ["resourceLogs", "scopeLogs", "logRecords"];
}

/// An element of a request, in the order of the request.
#[derive(Debug)]
pub enum Element<R> {
    /// Begin of the records of one resource.
    Group,
    /// The resource of the group. It can come after its records.
    Resource(Resource),
    /// A record of the group.
    Record(R),
}

/// Decodes `body` and passes its elements to `visit`.
///
/// # Errors
/// All but `TooLarge` and `Gzip`. Elements may have been passed before.
pub fn for_each<R: Record>(
    body: &[u8],
    encoding: Encoding,
    visit: &mut dyn FnMut(Element<R>),
) -> Result<(), DecodeError> {
    let mut reader = Reader { visit, records: 0, failure: None };
    match encoding {
        Encoding::Protobuf => reader.protobuf(body, Kind::Request),
        Encoding::Json => reader.json(body),
    }
}

struct Reader<'v, R> {
    visit: &'v mut dyn FnMut(Element<R>),
    records: usize,
    /// The reason of an error that serde_json can only pass on as text.
    failure: Option<DecodeError>,
}

impl<R: Record> Reader<'_, R> {
    fn protobuf(&mut self, bytes: &[u8], kind: Kind) -> Result<(), DecodeError> {
        for field in wire::fields(bytes) {
            let Field { number, bytes: Some(bytes) } = field? else { continue };
            match (kind, number) {
                (Kind::Request, 1) => {
                    self.count()?;
                    (self.visit)(Element::Group);
                    self.protobuf(bytes, Kind::Group)?;
                }
                (Kind::Group, 1) => {
                    check_weight(Kind::Resource, bytes)?;
                    (self.visit)(Element::Resource(Resource::decode(bytes).map_err(DecodeError::protobuf)?));
                }
                (Kind::Group, 2) => self.protobuf(bytes, Kind::Scope)?,
                (Kind::Scope, 2) => {
                    self.count()?;
                    check_weight(R::KIND, bytes)?;
                    (self.visit)(Element::Record(R::decode(bytes).map_err(DecodeError::protobuf)?));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn json(&mut self, body: &[u8]) -> Result<(), DecodeError> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let result = Level { depth: 0, reader: self }.deserialize(&mut deserializer);
        let result = result.and_then(|()| deserializer.end());
        result.map_err(|error| self.failure.take().unwrap_or_else(|| DecodeError::json(error)))
    }

    fn count(&mut self) -> Result<(), DecodeError> {
        self.records += 1;
        if self.records > MAX_RECORDS { Err(DecodeError::TooManyRecords) } else { Ok(()) }
    }

    fn json_resource(&mut self, text: &str) -> Result<(), DecodeError> {
        check_json_weight(text)?;
        (self.visit)(Element::Resource(serde_json::from_str(text).map_err(DecodeError::json)?));
        Ok(())
    }

    fn json_record(&mut self, text: &str) -> Result<(), DecodeError> {
        self.count()?;
        check_json_weight(text)?;
        (self.visit)(Element::Record(serde_json::from_str(text).map_err(DecodeError::json)?));
        Ok(())
    }
}

/// An object of a request in JSON: the request itself, a group, a scope.
struct Level<'r, 'v, R> {
    depth: usize,
    reader: &'r mut Reader<'v, R>,
}

/// A list of objects or records in the object at `depth`.
struct List<'r, 'v, R> {
    depth: usize,
    reader: &'r mut Reader<'v, R>,
}

impl<R> Reader<'_, R> {
    /// Keeps the reason of a failure and returns an error that ends the deserialization.
    fn fail<E: Error>(&mut self, failure: DecodeError) -> E {
        let error = E::custom(&failure);
        self.failure = Some(failure);
        error
    }
}

impl<'de, R: Record> DeserializeSeed<'de> for Level<'_, '_, R> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: Record> Visitor<'de> for Level<'_, '_, R> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "an object with {}", R::LISTS[self.depth])
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { depth, reader } = self;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == R::LISTS[depth] {
                map.next_value_seed(List { depth, reader: &mut *reader })?;
            } else if depth == 1 && key == "resource" {
                if let Some(resource) = map.next_value::<Option<&RawValue>>()? {
                    reader.json_resource(resource.get()).map_err(|failure| reader.fail(failure))?;
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl<'de, R: Record> DeserializeSeed<'de> for List<'_, '_, R> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: Record> Visitor<'de> for List<'_, '_, R> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a list {}", R::LISTS[self.depth])
    }

    /// Null stands for an empty list, as in every JSON form of protobuf.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { depth, reader } = self;
        if depth == 2 {
            while let Some(record) = list.next_element::<&RawValue>()? {
                reader.json_record(record.get()).map_err(|failure| reader.fail(failure))?;
            }
            return Ok(());
        }
        while list.next_element_seed(Item { depth, reader: &mut *reader })?.is_some() {}
        Ok(())
    }
}

/// An object in a list of the object at `depth`.
struct Item<'r, 'v, R> {
    depth: usize,
    reader: &'r mut Reader<'v, R>,
}

impl<'de, R: Record> DeserializeSeed<'de> for Item<'_, '_, R> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { depth, reader } = self;
        if depth == 0 {
            reader.count().map_err(|failure| reader.fail(failure))?;
            (reader.visit)(Element::Group);
        }
        Level { depth: depth + 1, reader }.deserialize(deserializer)
    }
}

/// A message of which a request consists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The whole request.
    Request,
    /// The records of one resource.
    Group,
    /// The records of one instrumentation scope.
    Scope,
    /// A resource.
    Resource,
    /// A span.
    Span,
    /// A log record.
    LogRecord,
    /// An event of a span.
    Event,
    /// A link of a span.
    Link,
    /// An attribute.
    Attribute,
    /// A value.
    Value,
    /// A list of values.
    Values,
    /// A list of attributes as a value.
    Attributes,
    /// A reference to an entity.
    Entity,
    /// A text in a list.
    Text,
}

impl Kind {
    /// Returns the kind of the messages in field `number`, if the field holds messages.
    fn of_field(self, number: u64) -> Option<Self> {
        match (self, number) {
            (Self::Resource, 1)
            | (Self::Span, 9)
            | (Self::LogRecord, 6)
            | (Self::Event, 3)
            | (Self::Link, 4)
            | (Self::Attributes, 1) => Some(Self::Attribute),
            (Self::LogRecord, 5) | (Self::Attribute, 2) | (Self::Values, 1) => Some(Self::Value),
            (Self::Value, 5) => Some(Self::Values),
            (Self::Value, 6) => Some(Self::Attributes),
            (Self::Span, 11) => Some(Self::Event),
            (Self::Span, 13) => Some(Self::Link),
            (Self::Resource, 3) => Some(Self::Entity),
            (Self::Entity, 3 | 4) => Some(Self::Text),
            _ => None,
        }
    }

    /// Returns the size of a decoded message in a list, without its content.
    fn weight(self) -> usize {
        match self {
            Self::Attribute => size_of::<KeyValue>(),
            Self::Value => size_of::<AnyValue>(),
            Self::Event => size_of::<span::Event>(),
            Self::Link => size_of::<span::Link>(),
            Self::Values | Self::Attributes | Self::Text => size_of::<Vec<AnyValue>>(),
            _ => size_of::<Span>(),
        }
    }
}

fn check_weight(kind: Kind, bytes: &[u8]) -> Result<(), DecodeError> {
    let mut budget = MAX_RECORD_WEIGHT;
    spend(kind, bytes, MAX_DEPTH, &mut budget)
}

/// Subtracts the sizes of the decoded messages in `bytes` from `budget`.
fn spend(kind: Kind, bytes: &[u8], depth: usize, budget: &mut usize) -> Result<(), DecodeError> {
    let depth = depth.checked_sub(1).ok_or_else(|| DecodeError::protobuf("values nest too deeply"))?;
    for field in wire::fields(bytes) {
        let Field { number, bytes: Some(bytes) } = field? else { continue };
        if let Some(kind) = kind.of_field(number) {
            *budget = budget.checked_sub(kind.weight()).ok_or(DecodeError::RecordTooLarge)?;
            spend(kind, bytes, depth, budget)?;
        }
    }
    Ok(())
}

/// Does the same as [`check_weight`] for JSON. Every object may be the largest message in a record, and serde buffers
/// every value.
fn check_json_weight(text: &str) -> Result<(), DecodeError> {
    const OBJECT: usize = size_of::<span::Link>();
    const VALUE: usize = 64;
    let (mut weight, mut is_string, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b'{' if !is_string => weight += OBJECT,
            b',' | b'[' if !is_string => weight += VALUE,
            _ => {}
        }
    }
    if weight > MAX_RECORD_WEIGHT { Err(DecodeError::RecordTooLarge) } else { Ok(()) }
}
