//! Objects in one SQLite file.
//!
//! Keys are bytes, and SQLite compares bytes with `memcmp`, which matches S3's order. Names and bodies are in separate
//! tables, so that a LIST reads a range of names without paging through bodies.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use md5::{Digest, Md5};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::Notify;

use super::listing::{self, Page, Query};
use super::object::Object;
use crate::template::Notification;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS objects (
        bucket TEXT NOT NULL,
        key BLOB NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified_ms INTEGER NOT NULL,
        content_type TEXT,
        body INTEGER NOT NULL,
        PRIMARY KEY (bucket, key)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS notifications (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue_url TEXT NOT NULL,
        bucket TEXT NOT NULL,
        key TEXT NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified_ms INTEGER NOT NULL
    );
";

/// The effect of a PUT on an existing object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The existing object is replaced.
    Replace,
    /// The existing object is kept, and the PUT fails: `If-None-Match: *`.
    Keep,
}

/// A notification that was not delivered yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Its number.
    pub id: i64,
    /// The queue to deliver it to.
    pub queue_url: String,
    /// The object's bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The size of the object, in bytes.
    pub size: u64,
    /// The object's entity tag.
    pub etag: String,
    /// The time of the PUT, in Unix milliseconds.
    pub modified_ms: i64,
}

/// The object store. Its calls block.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// Readers see the last commit during a write. Connections are opened on demand.
    readers: Mutex<Vec<Connection>>,
    notifications: Vec<Notification>,
    /// Notified of each new notification.
    recorded: Notify,
}

impl Store {
    /// Opens the store in the file at `path` and creates the missing ones of `buckets`.
    ///
    /// # Errors
    /// Fails if the file cannot be used.
    pub fn open(path: &Path, buckets: &[String]) -> Result<Self> {
        let place = || format!("cannot use {}", path.display());
        let writer = Connection::open(path).with_context(place)?;
        writer.pragma_update(None, "journal_mode", "WAL").with_context(place)?;
        // Commits do not flush to the disk: a killed process loses no data; a power cut may.
        writer.pragma_update(None, "synchronous", "NORMAL").with_context(place)?;
        writer.execute_batch(SCHEMA).with_context(place)?;
        for bucket in buckets {
            writer.execute("INSERT OR IGNORE INTO buckets VALUES (?1)", [bucket]).with_context(place)?;
        }
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            notifications: Vec::new(),
            recorded: Notify::new(),
        })
    }

    /// Records `notifications` of new objects.
    #[must_use]
    pub fn notifying(self, notifications: Vec<Notification>) -> Self {
        Self { notifications, ..self }
    }

    /// Creates `bucket`. Returns `false` if it already exists.
    ///
    /// # Errors
    /// Fails if SQLite fails.
    pub fn create_bucket(&self, bucket: &str) -> rusqlite::Result<bool> {
        self.write(|connection| Ok(connection.execute("INSERT OR IGNORE INTO buckets VALUES (?1)", [bucket])? == 1))
    }

    /// Returns whether `bucket` exists.
    ///
    /// # Errors
    /// Fails if SQLite fails.
    pub fn has_bucket(&self, bucket: &str) -> rusqlite::Result<bool> {
        self.read(|connection| connection.prepare_cached("SELECT 1 FROM buckets WHERE name = ?1")?.exists([bucket]))
    }

    /// Stores an object and returns its entity tag, or `None` if an existing object is kept.
    ///
    /// # Errors
    /// Fails if SQLite fails.
    pub fn put(
        &self,
        bucket: &str,
        key: &str,
        content_type: Option<&str>,
        body: &[u8],
        existing: Existing,
    ) -> rusqlite::Result<Option<String>> {
        let (etag, now) = (hex::encode(Md5::digest(body)), now_ms());
        let is_notified =
            |notification: &&Notification| notification.bucket == bucket && key.starts_with(&notification.prefix);
        let notified: Vec<_> = self.notifications.iter().filter(is_notified).collect();
        let stored = self.write(|connection| {
            let transaction = connection.transaction()?;
            let old = body_of(&transaction, bucket, key)?;
            match (old, existing) {
                (Some(_), Existing::Keep) => return Ok(None),
                (Some(id), Existing::Replace) => {
                    transaction.prepare_cached("DELETE FROM bodies WHERE id = ?1")?.execute([id])?;
                }
                (None, _) => {}
            }
            let id = transaction.prepare_cached("INSERT INTO bodies (bytes) VALUES (?1)")?.insert([body])?;
            transaction
                .prepare_cached("INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                .execute(params![bucket, key.as_bytes(), body.len() as u64, etag, now, content_type, id])?;
            for notification in &notified {
                transaction
                    .prepare_cached(
                        "INSERT INTO notifications (queue_url, bucket, key, size, etag, modified_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    )?
                    .execute(params![notification.queue_url, bucket, key, body.len() as u64, etag, now])?;
            }
            transaction.commit()?;
            Ok(Some(etag.clone()))
        });
        if !notified.is_empty() {
            self.recorded.notify_one();
        }
        stored
    }

    /// Returns the oldest notifications that were not delivered yet, at most `limit`.
    ///
    /// # Errors
    /// Fails if SQLite fails.
    pub fn pending(&self, limit: usize) -> rusqlite::Result<Vec<Pending>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, queue_url, bucket, key, size, etag, modified_ms FROM notifications ORDER BY id LIMIT ?1",
            )?;
            let pending = statement.query_map([limit as u64], |row| {
                Ok(Pending {
                    id: row.get(0)?,
                    queue_url: row.get(1)?,
                    bucket: row.get(2)?,
                    key: row.get(3)?,
                    size: row.get(4)?,
                    etag: row.get(5)?,
                    modified_ms: row.get(6)?,
                })
            })?;
            pending.collect()
        })
    }

    /// Removes the notifications `ids`, which were delivered.
    ///
    /// # Errors
    /// Fails if SQLite fails.
    pub fn delivered(&self, ids: &[i64]) -> rusqlite::Result<()> {
        self.write(|connection| {
            let transaction = connection.transaction()?;
            for id in ids {
                transaction.prepare_cached("DELETE FROM notifications WHERE id = ?1")?.execute([id])?;
            }
            transaction.commit()
        })
    }

    /// Waits for a notification that is recorded after this call.
    pub fn recorded(&self) -> impl Future<Output = ()> + '_ {
        self.recorded.notified()
    }

    /// Returns the object under `key`, without its body.
    ///
    /// # Errors
    /// Fails if SQLite fails.
    pub fn head(&self, bucket: &str, key: &str) -> rusqlite::Result<Option<Object>> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT key, size, etag, modified_ms, content_type FROM objects WHERE bucket = ?1 AND key = ?2",
                )?
                .query_row(params![bucket, key.as_bytes()], Object::from_row)
                .optional()
        })
    }

    /// Returns the object under `key`, with its body.
    ///
    /// # Errors
    /// Fails if SQLite fails.
    pub fn get(&self, bucket: &str, key: &str) -> rusqlite::Result<Option<(Object, Vec<u8>)>> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT key, size, etag, modified_ms, content_type, bytes
                     FROM objects JOIN bodies ON bodies.id = objects.body WHERE bucket = ?1 AND key = ?2",
                )?
                .query_row(params![bucket, key.as_bytes()], |row| Ok((Object::from_row(row)?, row.get(5)?)))
                .optional()
        })
    }

    /// Removes the object under `key` if it exists.
    ///
    /// # Errors
    /// Fails if SQLite fails.
    pub fn delete(&self, bucket: &str, key: &str) -> rusqlite::Result<()> {
        self.write(|connection| {
            let transaction = connection.transaction()?;
            if let Some(id) = body_of(&transaction, bucket, key)? {
                transaction
                    .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?
                    .execute(params![bucket, key.as_bytes()])?;
                transaction.prepare_cached("DELETE FROM bodies WHERE id = ?1")?.execute([id])?;
            }
            transaction.commit()
        })
    }

    /// Returns a page of the objects in `bucket`.
    ///
    /// # Errors
    /// Fails if SQLite fails.
    pub fn list(&self, bucket: &str, query: &Query) -> rusqlite::Result<Page> {
        self.read(|connection| listing::page(connection, bucket, query))
    }

    fn write<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        // A panic rolls its transaction back, so the connection behind a poisoned lock is still usable.
        work(&mut self.writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => Connection::open(&self.path)?,
        };
        let answer = work(&reader);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        answer
    }
}

fn body_of(connection: &Connection, bucket: &str, key: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT body FROM objects WHERE bucket = ?1 AND key = ?2")?
        .query_row(params![bucket, key.as_bytes()], |row| row.get(0))
        .optional()
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
