//! S3 operations, implemented as calls to the store.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use percent_encoding::utf8_percent_encode;
use s3s::dto::{
    CommonPrefix, CreateBucketInput, CreateBucketOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, DeletedObject, ETag, EncodingType, GetObjectInput, GetObjectOutput, HeadBucketInput,
    HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object as Entry,
    PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
};
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};
use tokio::task::spawn_blocking;

use super::listing::{Query, after_key};
use super::object::{ENCODED, Object};
use super::store::{Existing, Store};

/// S3's limits: the maximum length of a key, in bytes, and the maximum size of a LIST page.
const MAX_KEY_BYTES: usize = 1_024;
const MAX_PAGE: i32 = 1_000;

pub(super) struct Operations {
    store: Arc<Store>,
}

impl Operations {
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Runs `work` on a thread that may block.
    async fn store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> rusqlite::Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let store = Arc::clone(&self.store);
        match spawn_blocking(move || work(&store)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(s3_error!(InternalError, "{error}")),
            Err(error) => Err(s3_error!(InternalError, "{error}")),
        }
    }

    /// Like [`Self::store`], for a bucket that must exist.
    async fn in_bucket<T: Send + 'static>(
        &self,
        bucket: String,
        work: impl FnOnce(&Store, &str) -> rusqlite::Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let found = self
            .store(move |store| if store.has_bucket(&bucket)? { work(store, &bucket).map(Some) } else { Ok(None) })
            .await?;
        found.ok_or_else(|| s3_error!(NoSuchBucket))
    }
}

#[async_trait::async_trait]
impl S3 for Operations {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = req.input.bucket;
        match self.store(move |store| store.create_bucket(&bucket)).await? {
            true => Ok(S3Response::new(CreateBucketOutput::default())),
            false => Err(s3_error!(BucketAlreadyOwnedByYou)),
        }
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.in_bucket(req.input.bucket, |_, _| Ok(())).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let PutObjectInput { bucket, key, body, content_type, if_match, if_none_match, .. } = req.input;
        if key.len() > MAX_KEY_BYTES {
            return Err(s3_error!(KeyTooLongError));
        }
        let existing = match if_none_match {
            None => Existing::Replace,
            Some(condition) if condition.is_any() => Existing::Keep,
            Some(_) => return Err(s3_error!(NotImplemented, "If-None-Match of PutObject takes * alone")),
        };
        if if_match.is_some() {
            return Err(s3_error!(NotImplemented, "If-Match of PutObject"));
        }
        let body = collect(body).await?;
        let put = move |store: &Store, bucket: &str| store.put(bucket, &key, content_type.as_deref(), &body, existing);
        let etag = self.in_bucket(bucket, put).await?.ok_or_else(|| s3_error!(PreconditionFailed))?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range, .. } = req.input;
        let found = self.in_bucket(bucket, move |store, bucket| store.get(bucket, &key)).await?;
        let (object, body) = found.ok_or_else(|| s3_error!(NoSuchKey))?;
        let mut body = Bytes::from(body);
        let mut content_range = None;
        if let Some(range) = range {
            let span = range.check(object.size).map_err(|error| s3_error!(error, InvalidRange))?;
            content_range = Some(format!("bytes {}-{}/{}", span.start, span.end - 1, object.size));
            // The range is within the body, whose length is a usize.
            body = body.slice(span.start as usize..span.end as usize);
        }
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(body.len()).ok(),
            content_range,
            content_type: object.content_type.clone(),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            last_modified: Some(modified(&object)),
            body: Some(StreamingBlob::from(Body::from(body))),
            ..Default::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let HeadObjectInput { bucket, key, .. } = req.input;
        let found = self.in_bucket(bucket, move |store, bucket| store.head(bucket, &key)).await?;
        let object = found.ok_or_else(|| s3_error!(NoSuchKey))?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(object.size).ok(),
            content_type: object.content_type.clone(),
            last_modified: Some(modified(&object)),
            e_tag: Some(ETag::Strong(object.etag)),
            ..Default::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let DeleteObjectInput { bucket, key, .. } = req.input;
        self.in_bucket(bucket, move |store, bucket| store.delete(bucket, &key)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        let keys: Vec<_> = delete.objects.into_iter().map(|object| object.key).collect();
        let delete_all = move |store: &Store, bucket: &str| {
            keys.iter().try_for_each(|key| store.delete(bucket, key))?;
            Ok(keys)
        };
        let keys = self.in_bucket(bucket, delete_all).await?;
        let named = |key| DeletedObject { key: Some(key), ..Default::default() };
        let deleted = (delete.quiet != Some(true)).then(|| keys.into_iter().map(named).collect());
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..Default::default() }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let ListObjectsV2Input {
            bucket,
            continuation_token,
            delimiter,
            encoding_type,
            max_keys,
            prefix,
            start_after,
            ..
        } = req.input;
        let max_keys = max_keys.unwrap_or(MAX_PAGE);
        let limit = usize::try_from(max_keys.min(MAX_PAGE))
            .map_err(|_| s3_error!(InvalidArgument, "max-keys must not be negative"))?;
        let from = match (&continuation_token, &start_after) {
            (Some(token), _) => decode_token(token)?,
            (None, Some(key)) => after_key(key.as_bytes()),
            (None, None) => Vec::new(),
        };
        let query = Query {
            prefix: prefix.clone().unwrap_or_default(),
            delimiter: delimiter.clone().unwrap_or_default(),
            from,
            limit,
        };
        let name = bucket.clone();
        let page = self.in_bucket(bucket, move |store, bucket| store.list(bucket, &query)).await?;

        let url = encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
        let encode = |text: String| if url { utf8_percent_encode(&text, ENCODED).to_string() } else { text };
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(name),
            key_count: i32::try_from(page.len()).ok(),
            max_keys: Some(max_keys),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(hex::encode),
            common_prefixes: Some(
                page.prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(encode(prefix)) }).collect(),
            ),
            contents: Some(page.objects.into_iter().map(|object| entry(object, &encode)).collect()),
            prefix: Some(encode(prefix.unwrap_or_default())),
            delimiter: delimiter.map(encode),
            start_after: start_after.map(encode),
            continuation_token,
            encoding_type,
            ..Default::default()
        }))
    }
}

fn entry(object: Object, encode: &impl Fn(String) -> String) -> Entry {
    Entry {
        last_modified: Some(modified(&object)),
        size: i64::try_from(object.size).ok(),
        e_tag: Some(ETag::Strong(object.etag)),
        key: Some(encode(object.key)),
        ..Default::default()
    }
}

fn modified(object: &Object) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_millis(object.modified_ms.try_into().unwrap_or(0)))
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(mut body) = body else { return Ok(Bytes::new()) };
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.try_next().await.map_err(|error| s3_error!(IncompleteBody, "{error}"))? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn decode_token(token: &str) -> S3Result<Vec<u8>> {
    hex::decode(token).map_err(|_| s3_error!(InvalidArgument, "the continuation token is none of ours"))
}
