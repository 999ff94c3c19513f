//! Keys of items in the tables of events and anomalies.

use super::super::key::EventKey;
use crate::aws::item::{Item, string, text};
use crate::aws::{DYNAMODB, StoreError};
use crate::ids::UserId;

pub(super) fn key(item: &Item) -> Option<EventKey> {
    EventKey::parse(string(item, "sk")?)
}

/// Returns the primary key of the item of `user` under `key`.
pub(super) fn primary_key(user: &UserId, key: impl ToString) -> Item {
    Item::from([("user_id".to_owned(), text(user)), ("sk".to_owned(), text(key))])
}

pub(super) fn corrupt(operation: &'static str, what: &str) -> StoreError {
    StoreError::corrupt(DYNAMODB, operation, what)
}
