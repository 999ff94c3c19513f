//! Attributes of DynamoDB items.

use std::collections::HashMap;
use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;

use super::super::key::EventKey;
use super::STORE;
use crate::aws::StoreError;
use crate::ids::UserId;
use crate::time::Timestamp;

/// An item as represented by the SDK.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(super) fn parsed<T: FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(super) fn time(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(string(item, name)?)
}

pub(super) fn key(item: &Item) -> Option<EventKey> {
    EventKey::parse(string(item, "sk")?)
}

pub(super) fn set_expiry(item: &mut Item, expires_at: Option<i64>) {
    if let Some(expires_at) = expires_at {
        item.insert("expires_at".to_owned(), number(expires_at));
    }
}

pub(super) fn is_expired(item: &Item, now: Timestamp) -> bool {
    parsed(item, "expires_at").is_some_and(|expires_at: i64| expires_at <= now.seconds())
}

pub(super) fn corrupt(operation: &'static str, what: &str) -> StoreError {
    StoreError::corrupt(STORE, operation, what)
}

/// Returns the primary key of the item of `user` under `key`.
pub(super) fn primary_key(user: &UserId, key: impl ToString) -> Item {
    Item::from([("user_id".to_owned(), text(user)), ("sk".to_owned(), text(key))])
}
