//! Parses callers' times in the way Pydantic v2 parses a `datetime`.
//!
//! `speedate` is the parser used by Pydantic. This module adds the steps of `pydantic-core` around it:
//! <https://github.com/pydantic/pydantic-core/blob/v2.41.5/src/input/datetime.rs>.

use serde_json::Number;
use speedate::{Date, DateTime, DateTimeConfig, MicrosecondsPrecisionOverflowBehavior, ParseError, TimeConfig};
use strum::EnumMessage;

use crate::json::Json;
use crate::time::Timestamp;
use crate::validation::Violation;

/// Parses RFC 3339 and its lax forms, a date, and Unix seconds or milliseconds as number or text. The default offset is
/// UTC.
///
/// # Errors
/// `datetime_from_date_parsing`, `datetime_parsing` or `datetime_type`, with the same distinction as Pydantic.
pub fn parse(value: Json<'_>) -> Result<Timestamp, Violation> {
    match (value.as_str(), value.as_number()) {
        (Some(text), _) => from_text(&text),
        (_, Some(number)) => from_number(&number),
        _ => Err(Violation::new("datetime_type", "Input should be a valid datetime")),
    }
}

/// Parses the string forms accepted by [`parse`].
pub fn from_text(text: &str) -> Result<Timestamp, Violation> {
    match DateTime::parse_bytes_with_config(text.as_bytes(), &config()) {
        Ok(datetime) => to_utc(&datetime),
        Err(_) => match Date::parse_bytes(text.as_bytes()) {
            Ok(date) => to_utc(&midnight(date)),
            Err(error) => {
                let message = format!("Input should be a valid datetime or date, {}", reason(&error));
                Err(Violation::new("datetime_from_date_parsing", message))
            }
        },
    }
}

fn from_number(number: &Number) -> Result<Timestamp, Violation> {
    let parsed = match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => DateTime::from_timestamp_with_config(whole, 0, &config()),
        (None, Some(fraction)) if fraction.is_finite() => DateTime::from_float_with_config(fraction, &config()),
        _ => Err(ParseError::DateTooLarge),
    };
    to_utc(&parsed.map_err(|error| unparsable(reason(&error)))?)
}

fn config() -> DateTimeConfig {
    let time = TimeConfig::builder()
        .microseconds_precision_overflow_behavior(MicrosecondsPrecisionOverflowBehavior::Truncate)
        .unix_timestamp_offset(Some(0))
        .build();
    DateTimeConfig::builder().time_config(time).build()
}

fn midnight(date: Date) -> DateTime {
    let time = speedate::Time { hour: 0, minute: 0, second: 0, microsecond: 0, tz_offset: None };
    DateTime { date, time }
}

fn to_utc(datetime: &DateTime) -> Result<Timestamp, Violation> {
    let seconds = datetime.timestamp_tz();
    seconds
        .checked_mul(1_000_000)
        .and_then(|micros| micros.checked_add(i64::from(datetime.time.microsecond)))
        .and_then(Timestamp::from_micros)
        .ok_or_else(|| unparsable("must be in the years 1 to 9999 in UTC"))
}

fn unparsable(reason: &str) -> Violation {
    Violation::new("datetime_parsing", format!("Input should be a valid datetime, {reason}"))
}

fn reason(error: &ParseError) -> &'static str {
    error.get_documentation().unwrap_or("it cannot be parsed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Echo;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn parse_value(value: &Value) -> Result<Timestamp, Violation> {
        parse(Json::parse(value.to_string().as_bytes()).expect("JSON"))
    }

    fn read(value: Value) -> String {
        parse_value(&value).unwrap_or_else(|violation| panic!("{value}: {violation}")).to_string()
    }

    fn kind_of(value: Value) -> Value {
        let violation = parse_value(&value).expect_err("must be refused");
        json!(crate::validation::FieldError::new("body", None, violation, Echo::null()))["type"].clone()
    }

    #[test]
    fn parse_accepts_every_form_that_pydantic_accepts() {
        let expected = "2026-01-02T03:04:05.000000Z";
        for value in [
            json!("2026-01-02T03:04:05Z"),
            json!("2026-01-02T03:04:05"),
            json!("2026-01-02 03:04:05"),
            json!("2026-01-02t03:04:05+00:00"),
            json!("2026-01-02_05:04:05+0200"),
            json!(1_767_323_045),
            json!(1_767_323_045.0),
            json!(1_767_323_045_000_i64),
            json!("1767323045"),
            json!("1767323045000"),
        ] {
            assert_eq!(read(value.clone()), expected, "{value}");
        }
        assert_eq!(read(json!("2026-01-02")), "2026-01-02T00:00:00.000000Z");
        assert_eq!(read(json!("2026-01-02T03:04")), "2026-01-02T03:04:00.000000Z");
        assert_eq!(read(json!("2026-01-02T03:04:05.1234567Z")), "2026-01-02T03:04:05.123456Z");
        assert_eq!(read(json!(-1.5)), "1969-12-31T23:59:58.500000Z");
        assert_eq!(read(json!(0)), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn parse_refuses_as_pydantic_does() {
        for text in ["", "soon", "2026-02-30T00:00:00Z", "2026-13-01", "2026-01-02T25:00:00", "0000-01-01", "2026-1-2"]
        {
            let kind = kind_of(json!(text));
            let expected = if text == "0000-01-01" { "datetime_parsing" } else { "datetime_from_date_parsing" };
            assert_eq!(kind, expected, "{text}");
        }
        for value in [json!(null), json!(true), json!([]), json!({})] {
            assert_eq!(kind_of(value.clone()), "datetime_type", "{value}");
        }
        for value in [json!(1e300), json!(-1e300), json!(u64::MAX), json!(i64::MAX), json!("0001-01-01T00:00:00+05:00")]
        {
            assert_eq!(kind_of(value.clone()), "datetime_parsing", "{value}");
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics(text in any::<String>(), number in any::<f64>(), whole in any::<i64>()) {
            let _ = parse_value(&json!(text));
            let _ = parse_value(&json!(number));
            let _ = parse_value(&json!(whole));
        }

        #[test]
        fn formatted_times_read_back(micros in Timestamp::MIN.micros()..=Timestamp::MAX.micros()) {
            let timestamp = Timestamp::from_micros(micros).expect("in range");
            prop_assert_eq!(parse_value(&json!(timestamp.to_string())), Ok(timestamp));
        }
    }
}
