//! Reads a JSON object field by field and reports all invalid fields together.
//!
//! The errors have the shape and the type names of Pydantic v2, as sent by FastAPI: `type`, `loc`, `msg`, `input`.
//! Types are not coerced: the number `1` is not a string, the string `"true"` is not a boolean.
//!
//! Error types: <https://docs.pydantic.dev/latest/errors/validation_errors/>.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use strum::VariantNames;

use crate::json::{Echo, Json, Object};
use crate::unknown::UnknownNames;

/// Number of fields for which [`Fields`] has room from the start.
const MAX_FIELDS: usize = 16;

/// An error in one value: Pydantic's name for it and a human-readable message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Violation {
    kind: &'static str,
    message: Cow<'static, str>,
}

impl Violation {
    /// Creates an error of the Pydantic error type `kind`.
    pub fn new(kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Creates the error for a text of more than `max_bytes` bytes.
    pub fn string_too_long(max_bytes: usize) -> Self {
        Self::new("string_too_long", format!("String should have at most {max_bytes} bytes of UTF-8"))
    }

    /// Creates an error for a rule of our own that has no Pydantic name.
    pub fn value_error(rule: impl AsRef<str>) -> Self {
        Self::new("value_error", format!("Value error, {}", rule.as_ref()))
    }
}

/// One step of the path to an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Location {
    /// `body`, `path`, `query`, `header`, or the name of a field.
    Name(&'static str),
    /// A name chosen by the caller.
    Given(String),
    /// Position in a list, or a byte offset in a text that is not JSON.
    Index(usize),
}

/// One invalid value, as shown to the caller.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldError {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Vec<Location>,
    msg: Cow<'static, str>,
    input: Echo,
}

impl FieldError {
    /// Creates an error from `violation` with the value `input` found at `source` (`body`, `path`, `query`, `header`)
    /// and, within it, `field`.
    pub fn new(
        source: &'static str,
        field: impl Into<Option<Location>>,
        violation: Violation,
        input: impl Into<Echo>,
    ) -> Self {
        let input = input.into();
        let loc = std::iter::once(Location::Name(source)).chain(field.into()).collect();
        Self { kind: violation.kind, loc, msg: violation.message, input }
    }

    /// Moves the value into the `index`-th item of a list.
    #[must_use]
    pub fn in_item(mut self, index: usize) -> Self {
        self.loc.insert(1, Location::Index(index));
        self
    }

    /// Moves the value into the field `name`.
    #[must_use]
    pub fn in_field(mut self, name: &'static str) -> Self {
        self.loc.insert(1, Location::Name(name));
        self
    }
}

/// The field and the message, without the source.
impl fmt::Display for FieldError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.loc.iter().skip(1) {
            match step {
                Location::Name(name) => write!(out, "{name}: ")?,
                Location::Given(name) => write!(out, "{name}: ")?,
                Location::Index(index) => write!(out, "{index}: ")?,
            }
        }
        out.write_str(&self.msg)
    }
}

/// Replaces the input of each of `errors` by null with which the inputs so far would take more than `max_bytes` of a
/// response.
pub fn limit_echoes(errors: &mut [FieldError], max_bytes: usize) {
    let mut remaining = max_bytes;
    for error in errors {
        match remaining.checked_sub(error.input.escaped_len()) {
            Some(rest) => remaining = rest,
            None => error.input = Echo::null(),
        }
    }
}

/// Parses `body` as a JSON object.
///
/// # Errors
/// An empty body is `missing`; text that is not JSON, or exceeds the limits of [`Json`], is `json_invalid` with the
/// byte offset of the error; JSON of another kind is `model_attributes_type`.
pub fn parse_object(body: &[u8]) -> Result<Object<'_>, FieldError> {
    require_body(body)?;
    let json = Json::parse(body).map_err(|error| not_json(body, &error))?;
    json.as_object().ok_or_else(|| {
        let message = "Input should be a valid dictionary or object to extract fields from";
        FieldError::new("body", None, Violation::new("model_attributes_type", message), json)
    })
}

/// Rejects a body that is empty or only white space.
///
/// # Errors
/// `missing`.
pub fn require_body(body: &[u8]) -> Result<(), FieldError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(FieldError::new("body", None, missing(), Echo::null()));
    }
    Ok(())
}

/// Returns the error for a `body` that serde could not read.
pub fn not_json(body: &[u8], error: &serde_json::Error) -> FieldError {
    let offset = byte_offset(body, error.line(), error.column());
    let violation = Violation::new("json_invalid", format!("JSON decode error: {error}"));
    FieldError::new("body", Location::Index(offset), violation, Echo::empty_object())
}

/// Returns the byte offset in `text` of line `line`, column `column` (both from 1, as serde_json counts).
fn byte_offset(text: &[u8], line: usize, column: usize) -> usize {
    let line_start: usize =
        text.split_inclusive(|&byte| byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    line_start + column.saturating_sub(1)
}

fn missing() -> Violation {
    Violation::new("missing", "Field required")
}

/// The fields of one JSON object, with the errors of those read so far.
///
/// A caller reads the fields one by one and gets `None` for an invalid field. After all fields have been read, any
/// `None` means that [`Fields::into_errors`] has the reasons:
///
/// ```
/// use shared::{ids::UserId, validation::{Fields, FieldError, parse_object, string}};
///
/// fn read(body: &[u8]) -> Result<(UserId, Option<String>), Vec<FieldError>> {
///     let object = parse_object(body).map_err(|error| vec![error])?;
///     let mut fields = Fields::new(&object);
///     let user_id = fields.required("user_id", string);
///     let note = fields.optional("note", string);
///     let (Some(user_id), Some(note)) = (user_id, note) else { return Err(fields.into_errors()) };
///     Ok((user_id, note))
/// }
/// assert_eq!(read(br#"{"note": 1}"#).unwrap_err().len(), 2);
/// ```
pub struct Fields<'a> {
    object: &'a Object<'a>,
    /// Names of the fields read so far.
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// Creates a reader of the fields of `object`.
    pub fn new(object: &'a Object<'a>) -> Self {
        Self { object, known: Vec::with_capacity(MAX_FIELDS), errors: Vec::new() }
    }

    /// Returns the field `name` as parsed by `parse`. An absent field is an error.
    pub fn required<T>(&mut self, name: &'static str, parse: impl Fn(Json<'a>) -> Result<T, Violation>) -> Option<T> {
        self.known.push(name);
        match self.object.get(name) {
            Some(value) => self.read(name, value, parse),
            None => {
                self.errors.push(FieldError::new("body", Location::Name(name), missing(), self.object.value()));
                None
            }
        }
    }

    /// Returns the field `name` as parsed by `parse`, or `Some(None)` if it is absent or null.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(Json<'a>) -> Result<T, Violation>,
    ) -> Option<Option<T>> {
        self.known.push(name);
        match self.object.get(name) {
            Some(value) if !value.is_null() => self.read(name, value, parse).map(Some),
            _ => Some(None),
        }
    }

    /// Returns the field `name` as parsed by `parse`, or `default` if it is absent. Null is passed to `parse`.
    pub fn or_default<T>(
        &mut self,
        name: &'static str,
        default: T,
        parse: impl Fn(Json<'a>) -> Result<T, Violation>,
    ) -> Option<T> {
        self.known.push(name);
        match self.object.get(name) {
            None => Some(default),
            Some(value) => self.read(name, value, parse),
        }
    }

    /// Returns the names of the fields that have not been read.
    pub fn unknown(&self) -> UnknownNames {
        UnknownNames::among(self.object.iter().map(|(name, _)| name), &self.known)
    }

    /// Returns all errors of the fields read so far.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        value: Json<'a>,
        parse: impl Fn(Json<'a>) -> Result<T, Violation>,
    ) -> Option<T> {
        parse(value)
            .map_err(|violation| self.errors.push(FieldError::new("body", Location::Name(name), violation, value)))
            .ok()
    }
}

/// Parses a JSON string into a type that validates it.
///
/// # Errors
/// `string_type` for any other JSON, else the error of `T`.
pub fn string<T: TryFrom<String>>(value: Json<'_>) -> Result<T, Violation>
where
    Violation: From<T::Error>,
{
    match value.as_str() {
        Some(text) => Ok(T::try_from(text.into_owned())?),
        None => Err(Violation::new("string_type", "Input should be a valid string")),
    }
}

impl From<std::convert::Infallible> for Violation {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// Parses one of the names of `T`.
///
/// # Errors
/// `literal_error`, with the names.
pub fn literal<T: FromStr + VariantNames>(name: String) -> Result<T, Violation> {
    name.parse().map_err(|_| {
        let names: Vec<_> = T::VARIANTS.iter().map(|name| format!("'{name}'")).collect();
        Violation::new("literal_error", format!("Input should be {}", names.join(" or ")))
    })
}

/// Parses a JSON number.
///
/// # Errors
/// `float_type` for any other JSON.
pub fn number(value: Json<'_>) -> Result<serde_json::Number, Violation> {
    value.as_number().ok_or_else(|| Violation::new("float_type", "Input should be a valid number"))
}

/// Parses a JSON boolean.
///
/// # Errors
/// `bool_type` for any other JSON.
pub fn boolean(value: Json<'_>) -> Result<bool, Violation> {
    value.as_bool().ok_or_else(|| Violation::new("bool_type", "Input should be a valid boolean"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn parse_object_names_the_byte_offset_of_invalid_json() {
        let error = parse_object(b"{\n \"a\": nope}").expect_err("not JSON");
        let body = json!(error);
        assert_eq!(body["type"], "json_invalid");
        assert_eq!(body["loc"][0], "body");
        let offset = usize::try_from(body["loc"][1].as_u64().expect("an offset")).expect("fits");
        assert!((8..=10).contains(&offset), "{offset}");
    }

    #[test]
    fn parse_object_refuses_deep_nesting() {
        let body = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(json!(parse_object(body.as_bytes()).expect_err("too deep"))["type"], "json_invalid");
    }

    #[test]
    fn parse_object_reports_an_empty_body_as_missing() {
        assert_eq!(
            json!(parse_object(b" \n").expect_err("empty")),
            json!({"type": "missing", "loc": ["body"], "msg": "Field required", "input": null})
        );
    }

    #[test]
    fn large_input_is_not_echoed() {
        let large = FieldError::new("body", None, missing(), Echo::of(&json!({"a": ["x".repeat(2_000)]})));
        assert_eq!(json!(large)["input"], Value::Null);
        let small = FieldError::new("body", None, missing(), Echo::of(&json!({"a": [1]})));
        assert_eq!(json!(small)["input"], json!({"a": [1]}));
    }

    #[test]
    fn unknown_fields_are_those_that_were_not_read() {
        let object = parse_object(br#"{"x":1,"a":1,"\u0062":2,"b":3,"":null}"#).expect("an object");
        let mut fields = Fields::new(&object);
        assert_eq!((fields.required("a", number).is_some(), fields.optional("c", number)), (true, Some(None)));
        assert_eq!(json!(fields.unknown()), json!(["x", "b", ""]));
        assert!(fields.or_default("b", false, boolean).is_none());
        assert_eq!(json!(fields.unknown()), json!(["x", ""]));
    }

    #[test]
    fn parse_object_refuses_a_list() {
        assert_eq!(json!(parse_object(b"[1]").expect_err("a list"))["type"], "model_attributes_type");
    }
}
