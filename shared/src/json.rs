//! JSON from callers, kept as its original text.
//!
//! Callers' JSON is never read into [`serde_json::Value`]. With serde_json's feature `raw_value`, `Value` takes an
//! object with the single key `$serde_json::private::RawValue`, however that key is escaped, for the JSON text in its
//! string: the object becomes another value, and the depth limit starts again inside. [`Json::parse`] checks a text
//! with a visitor without such a key, and all later code reads the checked text by type.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Number;
use serde_json::value::RawValue;

use crate::limits::escaped_len;

/// Maximum number of keys and values in one text. 64 KiB of JSON never have as many.
pub const MAX_VALUES: usize = 65_536;
/// Maximum size of a value that an error repeats, in bytes as counted in a response.
const MAX_ECHO_BYTES: usize = 1_024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A checked JSON value: valid UTF-8, no lone surrogates, numbers within the range of a 64-bit float, at most 127
/// levels of arrays and objects (serde_json's limit), at most [`MAX_VALUES`] keys and values.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Checks that `text` is one JSON value within the limits.
    ///
    /// # Errors
    /// Names line and column of the error.
    pub fn parse(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let mut remaining = MAX_VALUES;
        Check { remaining: &mut remaining }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        let text = str::from_utf8(text).map_err(serde_json::Error::custom)?;
        Ok(Self(text.trim_ascii()))
    }

    /// Returns the value as written, without white space around it.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// Returns the value of a string.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        let Text(text) = self.read(b"\"")?;
        Some(text)
    }

    /// Returns the value of a number.
    pub fn as_number(self) -> Option<Number> {
        self.read(b"-0123456789")
    }

    /// Returns the value of a boolean.
    pub fn as_bool(self) -> Option<bool> {
        self.read(b"tf")
    }

    /// Returns the items of an array.
    pub fn as_array(self) -> Option<Vec<Json<'a>>> {
        let items: Vec<&RawValue> = self.read(b"[")?;
        Some(items.into_iter().map(|item| Self(item.get())).collect())
    }

    /// Returns the fields of an object.
    pub fn as_object(self) -> Option<Object<'a>> {
        let Members(fields) = self.read(b"{")?;
        Some(Object { value: self, fields })
    }

    /// Returns whether the value is `null`.
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// Reads the value as `T` if the first byte of its text is one of `kind`.
    fn read<T: Deserialize<'a>>(self, kind: &[u8]) -> Option<T> {
        let is_kind = self.0.bytes().next().is_some_and(|first| kind.contains(&first));
        is_kind.then(|| serde_json::from_str(self.0).ok()).flatten()
    }
}

/// The fields of a JSON object.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    value: Json<'a>,
    fields: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'a> Object<'a> {
    /// Returns the field `name`. Of several fields with the same name, however each is escaped, returns the last.
    pub fn get(&self, name: &str) -> Option<Json<'a>> {
        self.fields.iter().rev().find(|(other, _)| other == name).map(|(_, value)| *value)
    }

    /// Returns the fields with their names, in order, also those of equal names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Json<'a>)> {
        self.fields.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Returns the whole object as a value.
    pub fn value(&self) -> Json<'a> {
        self.value
    }
}

/// Splits the items of the JSON array `text` without checking them. Each item is checked when it is parsed as a
/// [`Json`].
///
/// # Errors
/// A data error ([`serde_json::Error::is_data`]) if `text` is another kind of JSON; else names line and column of the
/// error.
pub fn split_array(text: &[u8]) -> Result<Vec<&[u8]>, serde_json::Error> {
    let items: Vec<&RawValue> = serde_json::from_slice(text)?;
    Ok(items.into_iter().map(|item| item.get().as_bytes()).collect())
}

/// Returns `body` without the UTF-8 byte order mark that some clients prepend (RFC 8259, 8.1: a parser may ignore it).
pub fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// A value repeated in an error. Null if the value would take more than 1,024 bytes of a response.
#[derive(Clone, Debug)]
pub struct Echo(Box<RawValue>);

impl Echo {
    /// Returns null, for an absent value.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// Returns an empty object.
    pub fn empty_object() -> Self {
        Self::of(&serde_json::Map::new())
    }

    /// Serializes `value` as JSON.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Self {
        serde_json::to_string(value).map_or_else(|_| Self::null(), |text| Self::short(&text))
    }

    /// Returns the number of bytes that the value takes in a response.
    pub fn escaped_len(&self) -> usize {
        escaped_len(self.0.get())
    }

    fn short(text: &str) -> Self {
        let is_short = escaped_len(text) <= MAX_ECHO_BYTES;
        let raw = is_short.then(|| RawValue::from_string(text.to_owned()).ok()).flatten();
        raw.map_or_else(Self::null, Self)
    }
}

impl From<Json<'_>> for Echo {
    fn from(json: Json<'_>) -> Self {
        Self::short(json.0)
    }
}

impl PartialEq for Echo {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Serialize for Echo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A string, borrowed if it contains no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an object, in order.
struct Members<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry::<_, &RawValue>()? {
                    members.push((name, Json(value.get())));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

/// Visits one value and everything in it, and keeps nothing. serde_json limits the depth of the recursion.
struct Check<'c> {
    /// Remaining number of keys and values.
    remaining: &'c mut usize,
}

impl Check<'_> {
    fn again(&mut self) -> Check<'_> {
        Check { remaining: self.remaining }
    }
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.remaining = self
            .remaining
            .checked_sub(1)
            .ok_or_else(|| D::Error::custom(format_args!("more than {MAX_VALUES} keys and values")))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.again())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_key_seed(self.again())?.is_some() {
            fields.next_value_seed(self.again())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const PRIVATE_KEY: &str = "$serde_json::private::RawValue";

    fn parse(text: &str) -> Json<'_> {
        Json::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error_of(text: &[u8]) -> String {
        Json::parse(text).expect_err("refused").to_string()
    }

    /// Returns `levels` nested objects, each a string in the object around it, under serde_json's private key.
    fn nested_in_strings(levels: usize) -> String {
        (0..levels).fold("[]".to_owned(), |text, _| json!({ PRIVATE_KEY: text }).to_string())
    }

    #[test]
    fn json_refuses_nesting_beyond_127_levels() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"\\u0061\":", "}]")] {
            let levels = |count: usize| format!("{}1{}", open.repeat(count), close.repeat(count));
            let depth = open.matches(['[', '{']).count();
            parse(&levels(127 / depth));
            assert!(error_of(levels(127 / depth + 1).as_bytes()).contains("recursion limit"), "{open}");
            assert!(error_of(levels(400_000).as_bytes()).contains("recursion limit"), "{open}");
        }
    }

    #[test]
    fn json_keeps_objects_with_the_private_key_as_they_are() {
        for key in [PRIVATE_KEY, "\\u0024serde_json::private::RawValue", "$serde_json::private::Number"] {
            let text = format!(r#"{{"{key}":"[1]"}}"#);
            let object = parse(&text).as_object().expect("an object");
            let name = key.replace("\\u0024", "$");
            assert_eq!(object.get(&name).and_then(Json::as_str).as_deref(), Some("[1]"));
            assert_eq!(object.value().text(), text);
            assert!(parse(&text).as_array().is_none() && parse(&text).as_number().is_none());
        }
        assert_eq!(parse(&nested_in_strings(12)).as_object().expect("an object").fields.len(), 1);
    }

    #[test]
    fn json_accepts_and_refuses_what_value_does() {
        for text in ["1e400", "-1e400", r#""\ud800""#, r#"{"\ud800":1}"#, "01", "[1,]", "nul", "\"\n\"", "1 2", ""] {
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
            error_of(text.as_bytes());
            error_of(format!("[{text}").as_bytes());
        }
        error_of(b"\"\xff\"");
        error_of(b"{\"a\":[\"\xed\xa0\x80\"]}");
        for text in [" 1e-400 ", r#""\ud83d\ude00""#, "-0", "123456789012345678901234567890", "[null,true,{}]"] {
            assert_eq!(parse(text).text(), text.trim());
        }
    }

    #[test]
    fn json_has_at_most_65536_keys_and_values() {
        let array = |items: usize| format!("[{}1]", "1,".repeat(items - 1));
        assert_eq!(parse(&array(MAX_VALUES - 1)).as_array().expect("an array").len(), MAX_VALUES - 1);
        assert!(
            error_of(array(MAX_VALUES).as_bytes()).starts_with("more than 65536 keys and values at line 1 column ")
        );
        let object = format!("{{{}\"\":1}}", "\"\":1,".repeat(MAX_VALUES / 2));
        assert!(error_of(object.as_bytes()).contains("keys and values"));
    }

    #[test]
    fn json_reads_each_type_from_its_text_alone() {
        assert_eq!(parse(r#""\u00e9""#).as_str().as_deref(), Some("é"));
        assert_eq!(parse("1.50").as_number(), Number::from_f64(1.5));
        assert_eq!(parse(" false").as_bool(), Some(false));
        assert!(parse("null ").is_null());
        for text in ["1", "\"1\"", "true", "null", "[]", "{}"] {
            let json = parse(text);
            let kinds = [
                json.as_number().is_some(),
                json.as_str().is_some(),
                json.as_bool().is_some(),
                json.is_null(),
                json.as_array().is_some(),
                json.as_object().is_some(),
            ];
            assert_eq!(kinds.iter().filter(|is_kind| **is_kind).count(), 1, "{text}");
        }
    }

    #[test]
    fn object_returns_the_last_of_equal_names() {
        let object = parse(r#"{"a":1,"b":2,"\u0061":3}"#).as_object().expect("an object");
        assert_eq!(object.get("a").map(Json::text), Some("3"));
        assert!(object.get("c").is_none());
    }

    #[test]
    fn echo_is_null_beyond_1024_bytes_of_an_answer() {
        // A quote takes two bytes of a response, and an escaped quote four.
        for (character, most) in [('x', 1_020), ('é', 510), ('"', 255)] {
            let echo = |count: usize| {
                let text = json!(character.to_string().repeat(count)).to_string();
                json!(Echo::from(parse(&text)))
            };
            assert_eq!(echo(most), json!(character.to_string().repeat(most)), "{character}");
            assert_eq!(echo(most + 1), Value::Null, "{character}");
        }
    }

    #[test]
    fn echo_shows_the_value_as_it_was_sent() {
        let text = r#"{ "$serde_json::private::RawValue" : "[1]", "n": 1.10 }"#;
        assert_eq!(serde_json::to_string(&Echo::from(parse(text))).expect("JSON"), text);
        assert_eq!(json!([Echo::of("a\"b"), Echo::of(&7), Echo::null()]), json!(["a\"b", 7, null]));
    }

    /// The features of serde_json are those of all dependencies of a binary, and this feature would change numbers.
    #[test]
    fn serde_json_has_no_arbitrary_precision() {
        assert!(serde_json::from_str::<Value>("1e400").is_err());
    }
}
