//! S3 bucket of the logs.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{BuildError, ProvideErrorMetadata};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::segment;
use crate::aws::{PutResult, S3, StoreError};
use crate::time::Timestamp;

/// Maximum number of objects that S3 lists at once.
const MAX_LISTED: i32 = 1_000;
/// Maximum number of objects that S3 deletes at once.
const MAX_DELETED: usize = 1_000;

/// Maximum retries of a PUT when S3 reports a concurrent write to the same key.
const CONFLICT_RETRIES: usize = 3;
/// Timeout for receiving the body of an object.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum retries of a read whose body does not arrive.
const BODY_RETRIES: usize = 2;

/// Adds an object.
pub trait PutLog {
    /// Stores `body` under `key`, unless an object exists there.
    fn put(&self, key: &str, body: Vec<u8>) -> impl Future<Output = Result<PutResult, StoreError>> + Send;
}

/// Replaces an object.
pub trait ReplaceLog {
    /// Stores `body` under `key` in any case.
    fn replace(&self, key: &str, body: Vec<u8>) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Lists objects.
pub trait ListLogs {
    /// Returns the first `max_keys` keys, in bytewise order, that begin with `prefix` and come after `start_after`.
    fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max_keys: i32,
    ) -> impl Future<Output = Result<KeyPage, StoreError>> + Send;
}

/// Lists the folders formed by the slashes in keys.
pub trait ListFolders {
    /// Returns the first `max_keys` folders whose names begin with `prefix`, in bytewise order, of keys after
    /// `start_after`.
    fn folders(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max_keys: i32,
    ) -> impl Future<Output = Result<Folders, StoreError>> + Send;
}

/// Reads objects.
pub trait GetLog {
    /// Returns the content of the object under `key`, or `None` if the object does not exist.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;
}

/// Lists objects with their times and sizes.
pub trait ListObjects {
    /// Returns the first objects, at most 1,000 and in bytewise order of their keys, whose keys begin with `prefix` and
    /// come after `start_after`.
    fn objects(
        &self,
        prefix: &str,
        start_after: Option<&str>,
    ) -> impl Future<Output = Result<ObjectPage, StoreError>> + Send;
}

/// Deletes objects.
pub trait DeleteLog {
    /// Deletes the objects under `keys`. A key without an object is no error.
    fn delete(&self, keys: &[String]) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// An object as listed.
#[derive(Clone, Debug)]
pub struct StoredObject {
    /// Key of the object.
    pub key: String,
    /// Time of the last write.
    pub modified: Timestamp,
    /// Size of the content in bytes.
    pub bytes: u64,
}

/// A page of a listing of objects.
#[derive(Clone, Debug, Default)]
pub struct ObjectPage {
    /// Objects in bytewise order of their keys.
    pub objects: Vec<StoredObject>,
    /// `true` if further objects exist.
    pub more: bool,
}

/// A page of a listing.
#[derive(Clone, Debug, Default)]
pub struct KeyPage {
    /// Keys in bytewise order.
    pub keys: Vec<String>,
    /// `true` if further keys exist.
    pub more: bool,
}

/// A page of a listing of folders.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// Names in bytewise order, as full paths from the root of the bucket, without the final slash.
    pub folders: Vec<String>,
    /// Start of the next page, if there is one.
    pub resume: Option<String>,
}

/// The S3 bucket of logs.
#[derive(Clone, Debug)]
pub struct LogBucket {
    client: Client,
    bucket: String,
}

impl LogBucket {
    /// Creates a store on the bucket named `bucket`.
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }

    /// Sends S3 a minimal request.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.list(segment::ROOT, None, 1).await.map(drop)
    }

    async fn list_objects(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        max_keys: i32,
        delimiter: Option<String>,
    ) -> Result<ListObjectsV2Output, StoreError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).max_keys(max_keys);
        let request = request.set_start_after(start_after.map(str::to_owned)).set_delimiter(delimiter);
        request.send().await.map_err(|error| StoreError::from_sdk(S3, "ListObjectsV2", &error))
    }
}

impl PutLog for LogBucket {
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<PutResult, StoreError> {
        let mut attempt = 0;
        loop {
            let sent = self
                .client
                .put_object()
                .bucket(&self.bucket)
                .key(key)
                .if_none_match("*")
                .content_type("application/x-ndjson")
                .body(ByteStream::from(body.clone()))
                .send()
                .await;
            let error = match sent {
                Ok(_) => return Ok(PutResult::Stored),
                Err(error) => error,
            };
            match error.code() {
                Some("PreconditionFailed") => return Ok(PutResult::Existing(())),
                Some("ConditionalRequestConflict") if attempt < CONFLICT_RETRIES => attempt += 1,
                _ => return Err(StoreError::from_sdk(S3, "PutObject", &error)),
            }
        }
    }
}

impl ReplaceLog for LogBucket {
    async fn replace(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        let sent = self.client.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(body)).send().await;
        sent.map(drop).map_err(|error| StoreError::from_sdk(S3, "PutObject", &error))
    }
}

impl ListLogs for LogBucket {
    async fn list(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<KeyPage, StoreError> {
        let listed = self.list_objects(prefix, start_after, max_keys, None).await?;
        let more = listed.is_truncated == Some(true);
        let keys = listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect();
        Ok(KeyPage { keys, more })
    }
}

impl ListObjects for LogBucket {
    async fn objects(&self, prefix: &str, start_after: Option<&str>) -> Result<ObjectPage, StoreError> {
        let listed = self.list_objects(prefix, start_after, MAX_LISTED, None).await?;
        let more = listed.is_truncated == Some(true);
        let objects = listed.contents.unwrap_or_default().into_iter().filter_map(|object| {
            let modified = object.last_modified.and_then(|time| time.to_millis().ok());
            Some(StoredObject {
                key: object.key?,
                modified: modified.and_then(Timestamp::from_millis)?,
                bytes: object.size.and_then(|size| size.try_into().ok())?,
            })
        });
        Ok(ObjectPage { objects: objects.collect(), more })
    }
}

impl DeleteLog for LogBucket {
    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let invalid = |error: BuildError| StoreError::encode(S3, "DeleteObjects", &error.to_string());
        for keys in keys.chunks(MAX_DELETED) {
            let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
            let objects = objects.collect::<Result<Vec<_>, _>>().map_err(invalid)?;
            let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(invalid)?;
            let sent = self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await;
            let answer = sent.map_err(|error| StoreError::from_sdk(S3, "DeleteObjects", &error))?;
            if let Some(refused) = answer.errors().first() {
                let cause = refused.code().unwrap_or("error without a code").to_owned();
                return Err(StoreError { store: S3, operation: "DeleteObjects", cause, is_transient: true });
            }
        }
        Ok(())
    }
}

impl ListFolders for LogBucket {
    async fn folders(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<Folders, StoreError> {
        let listed = self.list_objects(prefix, start_after, max_keys, Some("/".to_owned())).await?;
        let folders = listed.common_prefixes.unwrap_or_default().into_iter().filter_map(|folder| folder.prefix);
        let mut folders: Vec<String> = folders.collect();
        let mut resume = None;
        if listed.is_truncated == Some(true) {
            // An object next to the folders, which this software never creates, counts among the listed items.
            let last_object = listed.contents.unwrap_or_default().pop().and_then(|object| object.key);
            resume = folders.last().map(|folder| segment::after_folder(folder)).max(last_object);
        }
        for folder in &mut folders {
            folder.pop();
        }
        Ok(Folders { folders, resume })
    }
}

impl GetLog for LogBucket {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut attempt = 0;
        loop {
            let object = match self.client.get_object().bucket(&self.bucket).key(key).send().await {
                Ok(object) => object,
                Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
                Err(error) => return Err(StoreError::from_sdk(S3, "GetObject", &error)),
            };
            // The SDK's timeouts and retries do not cover the body.
            if let Ok(Ok(body)) = tokio::time::timeout(BODY_TIMEOUT, object.body.collect()).await {
                return Ok(Some(body.into_bytes().into()));
            }
            if attempt == BODY_RETRIES {
                let cause = "cannot receive the body".to_owned();
                return Err(StoreError { store: S3, operation: "GetObject", cause, is_transient: true });
            }
            attempt += 1;
        }
    }
}
