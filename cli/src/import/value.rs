//! Rows of a file and their values, which are JSON or the text of a cell.

use std::borrow::Cow;
use std::collections::HashMap;

use csv::StringRecord;
use serde_json::Number;
use shared::datetime;
use shared::json::{Json, Object};
use shared::time::Timestamp;
use shared::validation::Violation;

/// A row of a file.
pub(super) enum Record<'a> {
    Json(Object<'a>),
    Csv { columns: &'a HashMap<String, usize>, cells: &'a StringRecord, is_escaped: bool },
}

impl Record<'_> {
    /// Returns the value under exactly this name.
    pub fn get(&self, name: &str) -> Option<Value<'_>> {
        match self {
            Self::Json(object) => object.get(name).map(Value::Json),
            Self::Csv { columns, cells, is_escaped } => {
                let cell = cells.get(*columns.get(name)?)?;
                Some(if *is_escaped { Value::Escaped(cell) } else { Value::Text(cell) })
            }
        }
    }

    /// Returns the value at `path`: a name or, in JSON, names and positions separated by dots.
    pub fn find(&self, path: &str) -> Option<Value<'_>> {
        let Self::Json(object) = self else { return self.get(path) };
        if let Some(value) = object.get(path) {
            return Some(Value::Json(value));
        }
        let mut steps = path.split('.');
        let first = object.get(steps.next()?)?;
        steps
            .try_fold(first, |value, step| match value.as_array() {
                Some(items) => items.get(step.parse::<usize>().ok()?).copied(),
                None => value.as_object()?.get(step),
            })
            .map(Value::Json)
    }

    /// Returns the names of the values. The columns of a CSV file are the same for every row.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let (object, columns) = match self {
            Self::Json(object) => (Some(object), None),
            Self::Csv { columns, .. } => (None, Some(columns)),
        };
        let names = object.into_iter().flat_map(|object| object.iter().map(|(name, _)| name));
        names.chain(columns.into_iter().flat_map(|columns| columns.keys().map(String::as_str)))
    }
}

/// A value of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Json(Json<'a>),
    /// The text of a cell, or of a constant.
    Text(&'a str),
    /// The text of a cell as `export` writes it.
    Escaped(&'a str),
}

impl<'a> Value<'a> {
    /// Returns whether the value is JSON's null.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Json(json) if json.is_null())
    }

    /// Returns whether the value is an empty cell.
    pub fn is_empty_cell(self) -> bool {
        matches!(self, Self::Text("") | Self::Escaped(""))
    }

    /// Returns a text. A number counts as the text that is its digits, because ids are often numbers.
    pub fn text(self) -> Result<Cow<'a, str>, Violation> {
        match self {
            Self::Text(text) => Ok(text.into()),
            Self::Escaped(cell) => Ok(shared::logging::csv::unescaped(cell).into()),
            Self::Json(json) => json
                .as_str()
                .or_else(|| json.as_number().is_some().then(|| json.text().into()))
                .ok_or_else(|| Violation::new("string_type", "should be a text or a number")),
        }
    }

    /// Returns a number, which can be written as text.
    pub fn number(self) -> Result<Number, Violation> {
        let number = match self {
            Self::Json(json) => json.as_number().or_else(|| parsed(&json.as_str()?)),
            Self::Text(text) | Self::Escaped(text) => parsed(text),
        };
        return number.ok_or_else(|| Violation::new("float_type", "should be a number"));

        fn parsed(text: &str) -> Option<Number> {
            serde_json::from_str(text.trim()).ok()
        }
    }

    /// Returns a boolean, which can be written as text.
    pub fn flag(self) -> Result<bool, Violation> {
        let text = match self {
            Self::Json(json) => json.as_str().unwrap_or_else(|| json.text().into()),
            Self::Text(text) | Self::Escaped(text) => text.into(),
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            _ => Err(Violation::new("bool_type", "should be true or false")),
        }
    }

    /// Returns a time.
    pub fn time(self) -> Result<Timestamp, Violation> {
        match self {
            Self::Json(json) => datetime::parse(json),
            Self::Text(text) | Self::Escaped(text) => datetime::from_text(text.trim()),
        }
    }

    /// Returns the value as JSON text. The text of a cell becomes a string.
    pub fn to_json(self) -> String {
        match self {
            Self::Json(json) => json.text().to_owned(),
            Self::Text(text) | Self::Escaped(text) => serde_json::Value::from(text).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Record<'_> {
        Record::Json(Json::parse(text.as_bytes()).expect("JSON").as_object().expect("an object"))
    }

    fn json(text: &str) -> Value<'_> {
        Value::Json(Json::parse(text.as_bytes()).expect("JSON"))
    }

    #[test]
    fn path_leads_into_nested_json() {
        let record = object(r#"{"customer":{"id":"maria"},"a.b":1,"a":{"b":2,"c":null},"turns":[{"text":"hi"}]}"#);
        let found = |path: &str| record.find(path).map(Value::to_json);
        assert_eq!(found("customer.id").as_deref(), Some("\"maria\""));
        // A key that contains a dot takes precedence.
        assert_eq!(found("a.b").as_deref(), Some("1"));
        assert_eq!(found("turns.0.text").as_deref(), Some("\"hi\""));
        assert!(record.find("a.c").expect("null").is_null());
        for absent in ["", "x", "customer.name", "customer.id.x", "turns.1.text", "turns.x", "turns.-1", "a.b.c"] {
            assert_eq!(found(absent), None, "{absent}");
        }
    }

    #[test]
    fn cells_are_found_by_column_alone() {
        let columns = [("customer.id".to_owned(), 0), ("text".to_owned(), 1)].into();
        let cells = StringRecord::from(vec!["maria", "'=1"]);
        let record = |is_escaped| Record::Csv { columns: &columns, cells: &cells, is_escaped };
        let text =
            |record: &Record<'_>, path: &str| record.find(path).map(|value| value.text().expect("a text").into_owned());
        assert_eq!(text(&record(false), "customer.id").as_deref(), Some("maria"));
        assert_eq!(text(&record(false), "text").as_deref(), Some("'=1"));
        assert_eq!(text(&record(true), "text").as_deref(), Some("=1"));
        assert_eq!(text(&record(false), "customer"), None);
    }

    #[test]
    fn text_accepts_strings_and_numbers() {
        for (value, text) in
            [(json("\"a\\u00e9\""), "aé"), (json("42"), "42"), (json("1.50"), "1.50"), (Value::Text(" x "), " x ")]
        {
            assert_eq!(value.text().expect("a text"), text);
        }
        for other in ["true", "[]", "{}"] {
            assert!(json(other).text().is_err(), "{other}");
        }
    }

    #[test]
    fn numbers_and_flags_can_be_written_as_text() {
        for value in [json("-0.5"), json("\"-0.5\""), Value::Text(" -0.5 ")] {
            assert_eq!(value.number().expect("a number").to_string(), "-0.5");
        }
        for value in [json("true"), Value::Text("abc"), Value::Text("1e999"), json("\"\"")] {
            assert!(value.number().is_err(), "{value:?}");
        }
        for (value, flag) in
            [(json("true"), true), (json("0"), false), (Value::Text("Yes"), true), (Value::Text("FALSE"), false)]
        {
            assert_eq!(value.flag().expect("a flag"), flag);
        }
        for value in [json("2"), json("{}"), Value::Text("maybe"), Value::Text("")] {
            assert!(value.flag().is_err(), "{value:?}");
        }
    }

    #[test]
    fn times_are_rfc_3339_or_unix_seconds_or_milliseconds() {
        for value in [
            json("\"2026-01-02T04:04:05+01:00\""),
            json("\"2026-01-02T03:04:05\""),
            json("1767323045"),
            json("1767323045000"),
            json("1767323045.0"),
            Value::Text(" 2026-01-02 03:04:05Z"),
            Value::Text("1767323045"),
            Value::Text("1767323045000"),
        ] {
            assert_eq!(value.time().expect("a time").to_rfc3339_millis(), "2026-01-02T03:04:05.000Z", "{value:?}");
        }
        for value in
            [json("true"), json("[]"), Value::Text("soon"), Value::Text("02.01.2026"), json("1767323045000000")]
        {
            assert!(value.time().is_err(), "{value:?}");
        }
    }
}
