//! Attributes of DynamoDB items.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::time::Timestamp;

/// An item as represented by the SDK.
pub type Item = HashMap<String, AttributeValue>;

/// Returns `value` as a string attribute.
pub fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// Returns `value` as a number attribute.
pub fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Returns the string attribute `name`.
pub fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// Parses the number attribute `name`.
pub fn parsed<T: FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Parses the time attribute `name`.
pub fn time(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(string(item, name)?)
}

/// Sets the attribute by which DynamoDB deletes expired items, in Unix seconds.
pub fn set_expiry(item: &mut Item, expires_at: Option<i64>) {
    item.extend(expires_at.map(|expires_at| ("expires_at".to_owned(), number(expires_at))));
}

/// Returns whether `item` has expired. DynamoDB deletes expired items late.
pub fn is_expired(item: &Item, now: Timestamp) -> bool {
    parsed(item, "expires_at").is_some_and(|expires_at: i64| expires_at <= now.seconds())
}
