//! DynamoDB on one SQLite file, provided by the `dynoxide` crate.

mod protocol;

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dynoxide::{Database, DynoxideError};
use hyper::service::service_fn;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Clients, Service};
use crate::credentials::Credentials;
use crate::template::Table;
use protocol::Protocol;

/// The interval at which expired items are deleted. On AWS, deletion takes up to days.
const SWEEP_PERIOD: Duration = Duration::from_secs(60);

/// Opens the database in the file at `path` and creates the missing ones of `tables`.
///
/// # Errors
/// Fails if the file cannot be used, or contains a table of that name with other keys.
pub fn open(path: &Path, tables: &[Table]) -> Result<Database> {
    let text = path.to_str().with_context(|| format!("{} is not a path in UTF-8", path.display()))?;
    let database = Database::new(text).with_context(|| format!("cannot open {}", path.display()))?;
    // Despite its name, this call sets the desired mode: in the write-ahead log, a commit then needs no flush to the
    // disk. A killed process loses no data; a power cut may.
    database.disable_bulk_loading().with_context(|| format!("cannot configure {}", path.display()))?;
    index_streams(path).with_context(|| format!("cannot configure {}", path.display()))?;
    for table in tables {
        make(&database, table).with_context(|| format!("the table {} in {}", table.name, path.display()))?;
    }
    Ok(database)
}

/// Adds an index for streams. At each write, the crate looks up the last change of a table's stream, and without an
/// index it scans all changes.
fn index_streams(path: &Path) -> rusqlite::Result<()> {
    rusqlite::Connection::open(path)?.execute_batch(
        "CREATE INDEX IF NOT EXISTS signals_stream_records
         ON _stream_records (table_name, CAST(sequence_number AS INTEGER))",
    )
}

/// Notifies readers of streams that the database may have changed.
#[derive(Clone, Debug, Default)]
pub struct Changes(watch::Sender<()>);

impl Changes {
    /// Notifies all subscribers.
    pub fn notify(&self) {
        self.0.send_replace(());
    }

    /// Subscribes to later notifications.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Serves `database` on `listener`. Requests must be signed with `credentials`; writes are notified to `changes`.
///
/// # Errors
/// Fails if the system cannot create threads.
pub fn start(
    listener: TcpListener,
    database: &Database,
    credentials: &Credentials,
    changes: &Changes,
) -> Result<Service> {
    let protocol = Protocol { database: database.clone(), verifier: credentials.verifier(), changes: changes.clone() };
    Service::start_on("dynamodb", listener, Clients::Programs, move || {
        let protocol = protocol.clone();
        service_fn(move |request| protocol.clone().answer(request))
    })
}

/// Deletes expired items every minute until the task is aborted, and notifies `changes`.
pub fn sweep_expired(database: &Database, changes: &Changes) -> JoinHandle<()> {
    let (database, changes) = (database.clone(), changes.clone());
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(SWEEP_PERIOD);
        loop {
            ticks.tick().await;
            let database = database.clone();
            match spawn_blocking(move || database.sweep_ttl()).await {
                Ok(Ok(0)) => {}
                Ok(Ok(_)) => changes.notify(),
                Ok(Err(error)) => eprintln!("dynamodb cannot delete expired items: {error}"),
                Err(_) => return,
            }
        }
    })
}

fn make(database: &Database, table: &Table) -> Result<()> {
    let definition = &table.definition;
    match database.create_table(request(definition)?) {
        Ok(_) => {}
        Err(DynoxideError::ResourceInUseException(_)) => match_existing(database, table)?,
        Err(error) => return Err(error.into()),
    }
    if let Some(attribute) = &table.time_to_live
        && time_to_live(database, &table.name)?.as_ref() != Some(attribute)
    {
        let specification = json!({ "AttributeName": attribute, "Enabled": true });
        let wanted = json!({ "TableName": table.name, "TimeToLiveSpecification": specification });
        database.update_time_to_live(request(&wanted)?)?;
    }
    Ok(())
}

/// Checks that the table of an earlier run matches the current template.
fn match_existing(database: &Database, table: &Table) -> Result<()> {
    let named = json!({ "TableName": table.name });
    let existing = serde_json::to_value(database.describe_table(request(&named)?)?)?;
    let existing = &existing["Table"];
    for property in ["KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        if keys(&existing[property]) != keys(&table.definition[property]) {
            bail!(
                "is from an earlier template with another {property}: remove the data folder to begin anew, \
                 or name another one with --data"
            );
        }
    }
    if let Some(stream) = table.definition.get("StreamSpecification")
        && existing["StreamSpecification"] != *stream
    {
        if existing["StreamSpecification"]["StreamEnabled"] == true {
            let off = json!({ "TableName": table.name, "StreamSpecification": { "StreamEnabled": false } });
            database.update_table(request(&off)?)?;
        }
        let on = json!({ "TableName": table.name, "StreamSpecification": stream });
        database.update_table(request(&on)?)?;
    }
    Ok(())
}

/// Returns the parts of the definition that determine how items are found: index names and key attributes, in order.
fn keys(section: &Value) -> Vec<Value> {
    let entries = section.as_array().into_iter().flatten();
    let key = |entry: &Value| {
        json!([entry["IndexName"], entry["AttributeName"], entry["KeyType"], keys(&entry["KeySchema"])])
    };
    let mut keys: Vec<_> = entries.map(key).collect();
    keys.sort_by_key(Value::to_string);
    keys
}

fn time_to_live(database: &Database, table: &str) -> Result<Option<String>> {
    let answer = database.describe_time_to_live(request(&json!({ "TableName": table }))?)?;
    let answer = serde_json::to_value(answer)?;
    Ok(answer["TimeToLiveDescription"]["AttributeName"].as_str().map(str::to_owned))
}

/// Parses a request from JSON in the form of the template.
fn request<R: serde::de::DeserializeOwned>(json: &Value) -> Result<R> {
    serde_json::from_value(json.clone()).with_context(|| format!("DynamoDB refuses {json}"))
}
