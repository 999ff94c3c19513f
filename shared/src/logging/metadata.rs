//! Data that a caller attaches to an interaction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::json::Json;
use crate::validation::Violation;

/// Maximum number of keys.
const MAX_KEYS: usize = 16;
/// Maximum length as compact JSON, as stored, in bytes.
const MAX_BYTES: usize = 2_048;
/// Maximum number of characters of a key in an error message.
const MAX_SHOWN_KEY: usize = 64;

/// Strings, numbers and booleans by key. Keys are in bytewise order, so equal metadata is stored as the same text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, Scalar>);

/// A value of [`Metadata`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(Number),
    Boolean(bool),
}

impl Scalar {
    fn parse(value: Json<'_>) -> Option<Self> {
        let text = value.as_str().map(|text| Self::Text(text.into_owned()));
        text.or_else(|| value.as_number().map(Self::Number)).or_else(|| value.as_bool().map(Self::Boolean))
    }
}

impl Metadata {
    /// Parses the field `metadata`. Of several keys with the same name, the last one counts.
    ///
    /// # Errors
    /// `dict_type`, `value_error` for a value of another type, `too_long`, `bytes_too_long`.
    pub fn parse(value: Json<'_>) -> Result<Self, Violation> {
        let object =
            value.as_object().ok_or_else(|| Violation::new("dict_type", "Input should be a valid dictionary"))?;
        let mut scalars = BTreeMap::new();
        for (key, value) in object.iter() {
            let scalar = Scalar::parse(value).ok_or_else(|| {
                let shown: String = key.chars().take(MAX_SHOWN_KEY).collect();
                Violation::value_error(format!("must have a string, a number or a boolean under {shown:?}"))
            })?;
            scalars.insert(key.to_owned(), scalar);
        }
        Self::within_limits(scalars)
    }

    /// Returns metadata of these texts.
    ///
    /// # Errors
    /// `too_long`, `bytes_too_long`.
    pub fn from_texts(texts: BTreeMap<String, String>) -> Result<Self, Violation> {
        Self::within_limits(texts.into_iter().map(|(key, text)| (key, Scalar::Text(text))).collect())
    }

    fn within_limits(scalars: BTreeMap<String, Scalar>) -> Result<Self, Violation> {
        if scalars.len() > MAX_KEYS {
            let count = scalars.len();
            let message = format!("Dictionary should have at most {MAX_KEYS} items after validation, not {count}");
            return Err(Violation::new("too_long", message));
        }
        let metadata = Self(scalars);
        let bytes = serde_json::to_vec(&metadata).map_or(usize::MAX, |json| json.len());
        if bytes > MAX_BYTES {
            return Err(Violation::new(
                "bytes_too_long",
                format!("Data should have at most {MAX_BYTES} bytes of JSON"),
            ));
        }
        Ok(metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> Result<Metadata, Violation> {
        Metadata::parse(Json::parse(text.as_bytes()).expect("JSON"))
    }

    fn error_of(text: &str) -> String {
        let violation = parse(text).expect_err("invalid");
        json!(crate::validation::FieldError::new("body", None, violation, crate::json::Echo::null()))["type"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    #[test]
    fn metadata_keeps_scalars_in_the_order_of_keys() {
        let metadata = parse(r#"{ "b": 1.50, "a": "\u00e9\"", "c": false, "": -0, "a": "last" }"#).expect("valid");
        let text = serde_json::to_string(&metadata).expect("JSON");
        assert_eq!(text, r#"{"":-0.0,"a":"last","b":1.5,"c":false}"#);
        assert_eq!(serde_json::from_str::<Metadata>(&text).expect("JSON"), metadata);
        assert_eq!(parse("{}").map(|empty| json!(empty)), Ok(json!({})));
    }

    #[test]
    fn metadata_of_other_types_is_refused() {
        for text in ["[]", "\"a\"", "1", "true"] {
            assert_eq!(error_of(text), "dict_type", "{text}");
        }
        for value in ["null", "[1]", "{\"b\":1}"] {
            assert_eq!(error_of(&format!("{{\"a\":{value}}}")), "value_error", "{value}");
        }
        let violation = parse(r#"{"ok":1,"bad":null}"#).expect_err("invalid");
        assert!(violation.to_string().contains("\"bad\""), "{violation}");
    }

    #[test]
    fn metadata_has_at_most_16_keys_and_2048_bytes() {
        let keys = |count: usize| json!((0..count).map(|n| (n.to_string(), n)).collect::<BTreeMap<_, _>>()).to_string();
        assert!(parse(&keys(MAX_KEYS)).is_ok());
        assert_eq!(error_of(&keys(MAX_KEYS + 1)), "too_long");
        let text = |bytes: usize| format!(r#"{{ "a" : "{}" }}"#, "x".repeat(bytes - r#"{"a":""}"#.len()));
        assert!(parse(&text(MAX_BYTES)).is_ok());
        assert_eq!(error_of(&text(MAX_BYTES + 1)), "bytes_too_long");
    }

    #[test]
    fn metadata_keeps_serde_jsons_private_key() {
        let text = r#"{"$serde_json::private::RawValue":"not JSON"}"#;
        let metadata = parse(text).expect("valid");
        assert_eq!(serde_json::to_string(&metadata).expect("JSON"), text);
        assert_eq!(serde_json::from_str::<Metadata>(text).expect("JSON"), metadata);
    }
}
