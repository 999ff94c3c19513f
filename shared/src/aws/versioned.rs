//! Items that are replaced as a whole, if nobody else has replaced them meanwhile.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;

use super::item::{Item, number};
use super::{DYNAMODB, StoreError};

/// Attribute with the version of an item.
pub const VERSION: &str = "version";

/// A record and its version, which each replacement increments. A missing record has version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versioned<R> {
    /// The record.
    pub record: R,
    /// Its version.
    pub version: u64,
}

/// Stores `item`, which has its new [`VERSION`], in `table`, if the stored item has the version `known`, or does not exist
/// and `known` is 0. Returns whether `item` was stored. `partition_key` is the name of the table's partition key.
pub async fn replace(
    client: &Client,
    table: &str,
    partition_key: &str,
    item: Item,
    known: u64,
) -> Result<bool, StoreError> {
    let put = client.put_item().table_name(table).set_item(Some(item));
    let put = match known {
        0 => put.condition_expression(format!("attribute_not_exists({partition_key})")),
        _ => put
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", number(known)),
    };
    match put.send().await {
        Ok(_) => Ok(true),
        Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => Ok(false),
        Err(error) => Err(StoreError::from_sdk(DYNAMODB, "PutItem", &error)),
    }
}
