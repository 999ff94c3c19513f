//! Lambda's event source for DynamoDB streams: reads the stream of a table in order, invokes a function with batches of
//! changes, and advances when they have been handled.
//!
//! A batch that fails is retried from the first change that the function reports, with exponential backoff. If the
//! whole invocation fails, the batch is split in half, down to a single change. A change that has failed as often as
//! the template allows goes to the template's failure queue, and the stream advances.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dynoxide::Database;
use serde_json::{Value, json};
use tokio::task::{JoinSet, spawn_blocking};

use crate::invoke::Invoker;
use crate::queues::Sqs;
use crate::services::dynamodb::Changes;
use crate::template::{Function, StreamSource};

/// The interval at which a stream is polled without a notification.
const IDLE_PERIOD: Duration = Duration::from_secs(5);
/// The minimum time between two polls of an idle stream. It bounds the polls that writes to other tables cause.
const PERIOD: Duration = Duration::from_millis(100);
/// The first pause after a failure. Each further pause is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The dependencies for reading streams.
#[derive(Clone)]
pub struct Reader {
    /// The tables.
    pub database: Database,
    /// Notifications of writes to the tables.
    pub changes: Changes,
    /// The address at which `cargo lambda watch` accepts invocations.
    pub functions: SocketAddr,
    /// Client for the failure queues.
    pub sqs: Sqs,
    /// The folder that stores each function's position in its stream.
    pub folder: PathBuf,
}

impl Reader {
    /// Drives every function of `functions` that the template connects to a stream, until the tasks are dropped.
    pub fn drive(&self, functions: &[Function]) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for function in functions {
            for source in &function.streams {
                let mapping = Mapping {
                    reader: self.clone(),
                    invoker: Invoker::new(self.functions, &function.name, function.timeout),
                    source: source.clone(),
                };
                tasks.spawn(mapping.run());
            }
        }
        tasks
    }
}

/// The mapping of one stream to one function.
struct Mapping {
    reader: Reader,
    invoker: Invoker,
    source: StreamSource,
}

impl Mapping {
    async fn run(self) {
        let mut position = self.recall();
        let mut batch_size = self.source.batch_size;
        let mut failures = 0;
        let mut shard = None;
        let mut changes = self.reader.changes.subscribe();
        loop {
            // Later writes are notified again.
            changes.borrow_and_update();
            let records = match self.records_after(&mut shard, position.as_deref(), batch_size).await {
                Ok(records) => records,
                Err(error) => {
                    shard = None;
                    eprintln!("the stream of {} cannot be read: {error:#}", self.source.table);
                    tokio::time::sleep(LONGEST_PAUSE).await;
                    continue;
                }
            };
            let Some(last) = records.last() else {
                tokio::time::sleep(PERIOD).await;
                // Both a timeout and a notification lead to the next poll.
                let _changed = tokio::time::timeout(IDLE_PERIOD, changes.changed()).await;
                continue;
            };
            let handled = match self.handle(&records).await {
                Ok(None) => {
                    batch_size = self.source.batch_size;
                    Some(sequence_number(last).to_owned())
                }
                // The changes before the first failure have been handled.
                Ok(Some(failed)) => {
                    let first = records.iter().position(|record| sequence_number(record) == failed).unwrap_or(0);
                    first.checked_sub(1).map(|index| sequence_number(&records[index]).to_owned())
                }
                Err(error) => {
                    eprintln!("{} fails: {error:#}", self.invoker.name());
                    batch_size = (records.len() / 2).max(1);
                    None
                }
            };
            match handled {
                Some(handled) => {
                    failures = 0;
                    position = Some(handled);
                }
                None if failures >= self.source.retries && records.len() == 1 => {
                    failures = 0;
                    batch_size = self.source.batch_size;
                    self.give_up(&records).await;
                    position = Some(sequence_number(last).to_owned());
                }
                None => {
                    tokio::time::sleep(FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE)).await;
                    failures += 1;
                    if failures >= self.source.retries {
                        batch_size = 1;
                    }
                    continue;
                }
            }
            self.remember(position.as_deref());
        }
    }

    /// Returns the next changes, at most `limit`, in order. Looks up `shard` if it is not known yet.
    async fn records_after(
        &self,
        shard: &mut Option<Shard>,
        position: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Value>> {
        let (database, table, known) = (self.reader.database.clone(), self.source.table.clone(), shard.take());
        let position = position.map(str::to_owned);
        let read = move || {
            let shard = known.map_or_else(|| Shard::of(&database, &table), Ok)?;
            Ok::<_, anyhow::Error>((shard.read(&database, position.as_deref(), limit)?, shard))
        };
        let (records, known) = spawn_blocking(read).await??;
        *shard = Some(known);
        Ok(records)
    }

    /// Invokes the function and returns the sequence number of the first change that it could not handle.
    async fn handle(&self, records: &[Value]) -> Result<Option<String>> {
        let failed = self.invoker.invoke(&json!({ "Records": records })).await?;
        let place = |failed: &String| records.iter().position(|record| sequence_number(record) == failed.as_str());
        // An id that matches no change of the batch fails the whole batch.
        let first = failed.iter().map(|failed| place(failed).unwrap_or(0)).min();
        Ok(first.map(|first| sequence_number(&records[first]).to_owned()))
    }

    /// Sends the position of the failed change in the stream to the failure queue of the template.
    async fn give_up(&self, records: &[Value]) {
        let Some(queue) = &self.source.on_failure else { return };
        let body = json!({
            "requestContext": { "condition": "RetryAttemptsExhausted", "functionArn": self.invoker.name() },
            "DDBStreamBatchInfo": {
                "batchSize": records.len(),
                "startSequenceNumber": records.first().map(sequence_number),
                "endSequenceNumber": records.last().map(sequence_number),
                "streamArn": self.source.table,
            },
        });
        let message = json!({ "QueueUrl": queue, "MessageBody": body.to_string() });
        if let Err(error) = self.reader.sqs.call("SendMessage", &message).await {
            eprintln!("cannot send a failed change of {} to {queue}: {error:#}", self.source.table);
        }
    }

    fn checkpoint(&self) -> PathBuf {
        self.reader.folder.join(format!("{}-{}.position", self.source.table, self.invoker.name()))
    }

    fn recall(&self) -> Option<String> {
        std::fs::read_to_string(self.checkpoint()).ok()
    }

    /// Stores the position in the stream. Losing it is harmless: changes are delivered at least once.
    fn remember(&self, position: Option<&str>) {
        if let Some(position) = position
            && let Err(error) = std::fs::write(self.checkpoint(), position)
        {
            eprintln!("cannot write {}: {error}", self.checkpoint().display());
        }
    }
}

fn sequence_number(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default()
}

/// The only shard of a table's stream. Looking it up is expensive: the crate scans all changes of the table.
struct Shard {
    stream: String,
    id: Value,
}

impl Shard {
    fn of(database: &Database, table: &str) -> Result<Self> {
        let streams = serde_json::to_value(database.list_streams(request(json!({ "TableName": table }))?)?)?;
        let Some(stream) = streams["Streams"][0]["StreamArn"].as_str() else { bail!("{table} has no stream") };
        let described = database.describe_stream(request(json!({ "StreamArn": stream }))?)?;
        let described = serde_json::to_value(described)?;
        Ok(Self { stream: stream.to_owned(), id: described["StreamDescription"]["Shards"][0]["ShardId"].clone() })
    }

    /// Reads the changes after `position`, or from the start of the stream if `position` is unknown or no longer in it.
    fn read(&self, database: &Database, position: Option<&str>, limit: usize) -> Result<Vec<Value>> {
        let iterator = |kind: &str| {
            let wanted = json!({
                "StreamArn": self.stream, "ShardId": self.id, "ShardIteratorType": kind,
                "SequenceNumber": position.filter(|_| kind == "AFTER_SEQUENCE_NUMBER"),
            });
            database.get_shard_iterator(request(wanted)?).map_err(anyhow::Error::from)
        };
        let iterator = match position {
            Some(_) => iterator("AFTER_SEQUENCE_NUMBER").or_else(|_| iterator("TRIM_HORIZON"))?,
            None => iterator("TRIM_HORIZON")?,
        };
        let iterator = serde_json::to_value(iterator)?["ShardIterator"].clone();
        let found = database.get_records(request(json!({ "ShardIterator": iterator, "Limit": limit }))?)?;
        Ok(serde_json::to_value(found)?["Records"].as_array().cloned().unwrap_or_default())
    }
}

fn request<R: serde::de::DeserializeOwned>(json: Value) -> Result<R> {
    serde_json::from_value(json.clone()).with_context(|| format!("DynamoDB refuses {json}"))
}
