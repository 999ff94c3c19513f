//! Measures the cost of DynamoDB calls. An interceptor of the SDK requests the consumed capacity with each call and
//! adds the responses up.
//!
//! For a write whose condition fails, DynamoDB reports no capacity, although the write is charged as if it had
//! succeeded. That part is computed by the published rules:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>. The rules do not
//! mention cancelled transactions, which are counted at their full price.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::get_item::{GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use aws_smithy_types::config_bag::{Storable, StoreReplace};

/// The cost factor of a transaction, which writes every item twice: to prepare and to commit.
const TRANSACTION: f64 = 2.0;

/// An item in the SDK's representation.
pub type Item = HashMap<String, AttributeValue>;

/// The cost of a number of calls.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Responses from DynamoDB, including failed conditions.
    pub calls: usize,
    /// Read request units.
    pub reads: f64,
    /// Write request units.
    pub writes: f64,
    /// The part of `writes` that puts a single item.
    pub puts: f64,
    /// The number of writes whose conditions failed.
    pub refused: usize,
    /// The size of the largest event item written.
    pub event_bytes: usize,
    /// The number of items that each query found, by table.
    pub pages: HashMap<String, Vec<usize>>,
}

impl Reading {
    /// Adds `other` to this reading.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.reads += other.reads;
        self.writes += other.writes;
        self.puts += other.puts;
        self.refused += other.refused;
        self.event_bytes = self.event_bytes.max(other.event_bytes);
        for (table, mut pages) in other.pages {
            self.pages.entry(table).or_default().append(&mut pages);
        }
    }
}

/// Observes every call of the clients that it is attached to.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Reading>>);

impl Meter {
    /// Returns the reading since the last call and resets it.
    pub fn take(&self) -> Reading {
        self.with(std::mem::take)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Reading) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let total = Some(ReturnConsumedCapacity::Total);
        let input = context.input_mut();
        let mut if_refused = 0.0;
        if let Some(put) = input.downcast_mut::<PutItemInput>() {
            put.return_consumed_capacity = total;
            if_refused = self.write(put.item.as_ref());
        } else if let Some(update) = input.downcast_mut::<UpdateItemInput>() {
            update.return_consumed_capacity = total;
            // The names of the values are those of the attributes, prefixed with a colon.
            let values = update.expression_attribute_values.as_ref();
            if_refused = write_units(bytes(update.key.as_ref()) + bytes(values));
        } else if let Some(transaction) = input.downcast_mut::<TransactWriteItemsInput>() {
            transaction.return_consumed_capacity = total;
            let puts = transaction.transact_items.iter().flatten().filter_map(|write| write.put.as_ref());
            if_refused = puts.map(|put| TRANSACTION * self.write(Some(&put.item))).sum();
        } else if let Some(query) = input.downcast_mut::<QueryInput>() {
            query.return_consumed_capacity = total;
        } else if let Some(get) = input.downcast_mut::<GetItemInput>() {
            get.return_consumed_capacity = total;
        } else {
            return Err("a call that the meter does not know".into());
        }
        config.interceptor_state().store_put(IfRefused(if_refused));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut reading = Reading { calls: 1, ..Reading::default() };
        match context.output_or_error() {
            Ok(output) => {
                if let Some(put) = output.downcast_ref::<PutItemOutput>() {
                    reading.writes = units(put.consumed_capacity.as_ref())?;
                    reading.puts = reading.writes;
                } else if let Some(update) = output.downcast_ref::<UpdateItemOutput>() {
                    reading.writes = units(update.consumed_capacity.as_ref())?;
                } else if let Some(transaction) = output.downcast_ref::<TransactWriteItemsOutput>() {
                    reading.writes = units(transaction.consumed_capacity().first())?;
                } else if let Some(query) = output.downcast_ref::<QueryOutput>() {
                    reading.reads = units(query.consumed_capacity.as_ref())?;
                    let table = query.consumed_capacity.as_ref().and_then(ConsumedCapacity::table_name);
                    let found = usize::try_from(query.scanned_count)?;
                    reading.pages.insert(table.unwrap_or_default().to_owned(), vec![found]);
                } else if let Some(get) = output.downcast_ref::<GetItemOutput>() {
                    reading.reads = units(get.consumed_capacity.as_ref())?;
                }
            }
            Err(_) => {
                reading.refused = 1;
                reading.writes = config.load::<IfRefused>().map_or(0.0, |IfRefused(units)| *units);
            }
        }
        self.with(|sum| sum.add(reading));
        Ok(())
    }
}

impl Meter {
    /// Returns the units for writing a new `item`, by the rules.
    fn write(&self, item: Option<&Item>) -> f64 {
        let bytes = bytes(item);
        let sort_key = item.and_then(|item| item.get("sk")?.as_s().ok());
        if sort_key.is_some_and(|key| key.starts_with("e#")) {
            self.with(|reading| reading.event_bytes = reading.event_bytes.max(bytes));
        }
        write_units(bytes)
    }
}

/// The cost of a write whose condition fails.
#[derive(Debug)]
struct IfRefused(f64);

impl Storable for IfRefused {
    type Storer = StoreReplace<Self>;
}

fn units(capacity: Option<&ConsumedCapacity>) -> Result<f64, BoxError> {
    capacity.and_then(ConsumedCapacity::capacity_units).ok_or_else(|| "DynamoDB reports no capacity".into())
}

/// Returns the write units of `bytes`. A unit is 1 KB.
pub fn write_units(bytes: usize) -> f64 {
    bytes.div_ceil(1_024).max(1) as f64
}

/// Returns the read units of a strongly consistent read of `bytes`, of one item or of all items that a query finds. A
/// unit is 4 KB.
pub fn read_units(bytes: usize) -> f64 {
    bytes.div_ceil(4_096).max(1) as f64
}

/// Returns the size of an item by the rules of DynamoDB, for texts and whole numbers:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>.
pub fn bytes(item: Option<&Item>) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number.trim_end_matches('0').len().div_ceil(2) + 1,
        _ => 0,
    };
    item.into_iter().flatten().map(|(name, content)| name.len() + value(content)).sum()
}
