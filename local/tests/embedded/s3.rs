use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, EncodingType, ObjectIdentifier};
use futures_util::future::join_all;
use local::services::s3::store::{Existing, Store};
use local::services::{Service, s3};
use tempfile::TempDir;

use crate::support::{CREDENTIALS, aws, port};

const BUCKET: &str = "logs";

struct S3 {
    client: Client,
    service: Service,
    folder: TempDir,
}

impl S3 {
    fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        Self::start_in(folder)
    }

    fn start_in(folder: TempDir) -> Self {
        let store = Store::open(&folder.path().join("s3.sqlite"), &[BUCKET.to_owned()]).expect("a store");
        let service = s3::start(port(), store, &CREDENTIALS).expect("S3");
        Self { client: aws(&service).s3(), service, folder }
    }

    async fn put(&self, key: &str, body: &str) {
        let body = ByteStream::from(body.as_bytes().to_vec());
        self.client.put_object().bucket(BUCKET).key(key).body(body).send().await.expect("a PUT");
    }

    async fn put_if_absent(&self, key: &str, body: &str) -> Result<(), Option<String>> {
        let body = ByteStream::from(body.as_bytes().to_vec());
        let put = self.client.put_object().bucket(BUCKET).key(key).if_none_match("*").body(body);
        put.send().await.map(drop).map_err(code)
    }

    async fn get(&self, key: &str) -> Result<String, Option<String>> {
        let object = self.client.get_object().bucket(BUCKET).key(key).send().await.map_err(code)?;
        let body = object.body.collect().await.expect("a body").into_bytes();
        Ok(String::from_utf8(body.to_vec()).expect("text"))
    }

    /// Returns the keys and common prefixes of each page, and whether more pages follow.
    async fn pages(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        max_keys: i32,
    ) -> Vec<(Vec<String>, Vec<String>, bool)> {
        let mut pages = Vec::new();
        let mut token = None;
        loop {
            let list = self.client.list_objects_v2().bucket(BUCKET).prefix(prefix).max_keys(max_keys);
            let list = list.set_delimiter(delimiter.map(str::to_owned)).set_continuation_token(token);
            let page = list.send().await.expect("a LIST");
            let keys: Vec<_> = page.contents().iter().map(|object| object.key().expect("a key").to_owned()).collect();
            let prefixes = page.common_prefixes().iter().map(|group| group.prefix().expect("a prefix").to_owned());
            let prefixes: Vec<_> = prefixes.collect();
            assert_eq!(page.key_count(), i32::try_from(keys.len() + prefixes.len()).ok());
            let more = page.is_truncated().expect("IsTruncated");
            assert_eq!(more, page.next_continuation_token().is_some());
            token = page.next_continuation_token().map(str::to_owned);
            pages.push((keys, prefixes, more));
            if !more {
                return pages;
            }
        }
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        self.pages(prefix, None, 1_000).await.into_iter().flat_map(|(keys, ..)| keys).collect()
    }
}

/// Returns S3's error code, such as `NoSuchKey`.
fn code<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> Option<String> {
    error.as_service_error().and_then(|error| error.code().map(str::to_owned))
}

/// Returns the status of the error, because a failed HEAD has no body.
fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let s3 = S3::start();
    let body = (0..=u8::MAX).cycle().take(300_000).collect::<Vec<_>>();
    let put = s3.client.put_object().bucket(BUCKET).key("a/b.bin").content_type("application/x-ndjson");
    let put = put.body(ByteStream::from(body.clone())).send().await.expect("a PUT");
    let get = s3.client.get_object().bucket(BUCKET).key("a/b.bin").send().await.expect("a GET");
    assert_eq!(get.content_type(), Some("application/x-ndjson"));
    assert_eq!(get.e_tag(), put.e_tag());
    assert_eq!(get.body.collect().await.expect("a body").to_vec(), body);
    let head = s3.client.head_object().bucket(BUCKET).key("a/b.bin").send().await.expect("a HEAD");
    assert_eq!((head.content_length(), head.e_tag()), (Some(300_000), put.e_tag()));
}

#[tokio::test]
async fn an_object_put_again_is_replaced_and_one_deleted_is_gone() {
    let s3 = S3::start();
    s3.put("a", "one").await;
    s3.put("a", "two").await;
    assert_eq!(s3.get("a").await.as_deref(), Ok("two"));
    for _ in 0..2 {
        s3.client.delete_object().bucket(BUCKET).key("a").send().await.expect("a DELETE");
    }
    assert_eq!(s3.get("a").await, Err(Some("NoSuchKey".to_owned())));
    assert_eq!(s3.keys("").await, strings(&[]));
}

#[tokio::test]
async fn several_objects_are_deleted_at_once() {
    let s3 = S3::start();
    for key in ["a", "b", "c d"] {
        s3.put(key, "").await;
    }
    let object = |key: &str| ObjectIdentifier::builder().key(key).build().expect("a key");
    let delete = Delete::builder().objects(object("a")).objects(object("c d")).objects(object("none"));
    let delete = delete.build().expect("a list");
    let answer = s3.client.delete_objects().bucket(BUCKET).delete(delete).send().await.expect("a DELETE");
    assert_eq!((answer.deleted().len(), answer.errors().len()), (3, 0));
    assert_eq!(s3.keys("").await, strings(&["b"]));
}

#[tokio::test]
async fn of_many_writers_that_want_no_object_there_one_wins() {
    let s3 = S3::start();
    for round in 0..5 {
        let key = format!("race/{round}");
        let bodies: Vec<_> = (0..16).map(|writer| format!("writer {writer}")).collect();
        let outcomes = join_all(bodies.iter().map(|body| s3.put_if_absent(&key, body))).await;
        let winners: Vec<_> = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        let losers = outcomes.iter().filter(|outcome| **outcome == Err(Some("PreconditionFailed".to_owned())));
        assert_eq!(losers.count(), 15, "{outcomes:?}");
        assert_eq!(s3.get(&key).await.as_ref(), Ok(&bodies[winners[0].0]));
    }
}

#[tokio::test]
async fn keys_of_any_text_are_kept_apart_and_within_the_bucket() {
    let s3 = S3::start();
    let long = "k".repeat(1_000);
    let keys = [
        "plain",
        "a b+c&d=e;f",
        "a%20b",
        "a%2Fb",
        "../up",
        "a/../b",
        "a//b",
        "./a",
        "/leading",
        "trailing/",
        "日本 语/héllo",
        "😀",
        "question?mark",
        "hash#tag",
        "quote\"'<&>",
        "back\\slash",
        "signal=1,other=2.jsonl",
        &long,
    ];
    for key in keys {
        s3.put(key, key).await;
    }
    for key in keys {
        assert_eq!(s3.get(key).await.as_deref(), Ok(key), "{key}");
        assert_eq!(s3.keys(key).await.first().map(String::as_str), Some(key), "{key}");
    }
    let mut sorted = keys.map(str::to_owned).to_vec();
    sorted.sort();
    assert_eq!(s3.keys("").await, sorted);
    let files = std::fs::read_dir(s3.folder.path()).expect("the folder").count();
    assert!(files <= 3, "the database with its log and index, not {files} files");
}

#[tokio::test]
async fn a_key_of_more_than_1024_bytes_is_refused() {
    let s3 = S3::start();
    assert_eq!(s3.put_if_absent(&"k".repeat(1_024), "").await, Ok(()));
    assert_eq!(s3.put_if_absent(&"k".repeat(1_025), "").await, Err(Some("KeyTooLongError".to_owned())));
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repetition() {
    let s3 = S3::start();
    let keys: Vec<_> = (0..25).map(|number| format!("p/{number:03}")).collect();
    for key in &keys {
        s3.put(key, "").await;
    }
    s3.put("o", "").await;
    s3.put("q", "").await;
    for size in [1, 7, 24, 25, 26] {
        let pages = s3.pages("p/", None, size).await;
        let listed: Vec<_> = pages.iter().flat_map(|(keys, ..)| keys.clone()).collect();
        assert_eq!(listed, keys, "pages of {size}");
        // The last page is not truncated, even if it is full.
        assert_eq!(pages.len(), keys.len().div_ceil(usize::try_from(size).expect("a size")), "pages of {size}");
    }
}

#[tokio::test]
async fn a_delimiter_groups_keys_and_pages_count_the_groups() {
    let s3 = S3::start();
    for key in ["a", "b/1", "b/2", "b/c/3", "b0", "c/", "c/4", "d", "日/1", "日/2"] {
        s3.put(key, "").await;
    }
    let everything = (strings(&["a", "b0", "d"]), strings(&["b/", "c/", "日/"]), false);
    assert_eq!(s3.pages("", Some("/"), 1_000).await, [everything]);
    assert_eq!(s3.pages("b/", Some("/"), 1_000).await, [(strings(&["b/1", "b/2"]), strings(&["b/c/"]), false)]);
    assert_eq!(s3.pages("b/", Some("c/"), 1_000).await, [(strings(&["b/1", "b/2"]), strings(&["b/c/"]), false)]);
    let single = s3.pages("", Some("/"), 1).await;
    let order: Vec<_> = single.iter().map(|(keys, prefixes, _)| [&keys[..], &prefixes[..]].concat().concat()).collect();
    assert_eq!(order, ["a", "b/", "b0", "c/", "d", "日/"]);
    assert_eq!(single.iter().filter(|(.., more)| *more).count(), 5);
}

#[tokio::test]
async fn a_listing_can_start_after_a_key_that_need_not_exist() {
    let s3 = S3::start();
    for key in ["a", "a!", "b", "c"] {
        s3.put(key, "").await;
    }
    for (start, expected) in [("", 4), ("a", 3), ("aa", 2), ("b", 1), ("c", 0), ("z", 0)] {
        let page = s3.client.list_objects_v2().bucket(BUCKET).start_after(start).send().await.expect("a LIST");
        assert_eq!(page.contents().len(), expected, "after {start:?}");
    }
}

#[tokio::test]
async fn a_listing_can_encode_its_keys_for_urls() {
    let s3 = S3::start();
    s3.put("a b/ü", "").await;
    let list = s3.client.list_objects_v2().bucket(BUCKET).prefix("a b").encoding_type(EncodingType::Url);
    let page = list.send().await.expect("a LIST");
    assert_eq!(page.contents()[0].key(), Some("a%20b/%C3%BC"));
    assert_eq!(page.prefix(), Some("a%20b"));
}

#[tokio::test]
async fn a_page_of_no_keys_is_empty_and_says_that_nothing_follows() {
    let s3 = S3::start();
    s3.put("a", "").await;
    assert_eq!(s3.pages("", None, 0).await, [(vec![], vec![], false)]);
}

#[tokio::test]
async fn a_token_that_is_none_of_ours_is_refused() {
    let s3 = S3::start();
    let list = s3.client.list_objects_v2().bucket(BUCKET).continuation_token("zz");
    assert_eq!(list.send().await.map(drop).map_err(code), Err(Some("InvalidArgument".to_owned())));
}

#[tokio::test]
async fn a_part_of_an_object_can_be_read() {
    let s3 = S3::start();
    s3.put("a", "0123456789").await;
    for (range, expected, content_range) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        let get = s3.client.get_object().bucket(BUCKET).key("a").range(range).send().await.expect("a GET");
        assert_eq!(get.content_range(), Some(content_range), "{range}");
        assert_eq!(get.body.collect().await.expect("a body").to_vec(), expected.as_bytes(), "{range}");
    }
    let beyond = s3.client.get_object().bucket(BUCKET).key("a").range("bytes=10-").send().await;
    assert_eq!(beyond.map(drop).map_err(code), Err(Some("InvalidRange".to_owned())));
}

#[tokio::test]
async fn what_is_missing_and_what_is_not_there_to_be_called_is_named() {
    let s3 = S3::start();
    assert_eq!(s3.get("none").await, Err(Some("NoSuchKey".to_owned())));
    let head = s3.client.head_object().bucket(BUCKET).key("none").send().await.expect_err("a 404");
    assert_eq!(status(&head), Some(404));
    let bucket = s3.client.head_bucket().bucket("none").send().await.expect_err("a 404");
    assert_eq!(status(&bucket), Some(404));
    s3.client.head_bucket().bucket(BUCKET).send().await.expect("the bucket");
    let elsewhere = s3.client.list_objects_v2().bucket("none").send().await;
    assert_eq!(elsewhere.map(drop).map_err(code), Err(Some("NoSuchBucket".to_owned())));
    let copy = s3.client.copy_object().bucket(BUCKET).key("a").copy_source("logs/b").send().await;
    assert_eq!(copy.map(drop).map_err(code), Err(Some("NotImplemented".to_owned())));
}

#[tokio::test]
async fn a_bucket_can_be_made() {
    let s3 = S3::start();
    s3.client.create_bucket().bucket("another").send().await.expect("a bucket");
    s3.client.head_bucket().bucket("another").send().await.expect("the bucket");
    let again = s3.client.create_bucket().bucket("another").send().await;
    assert_eq!(again.map(drop).map_err(code), Err(Some("BucketAlreadyOwnedByYou".to_owned())));
}

#[tokio::test]
async fn objects_outlive_a_restart() {
    let s3 = S3::start();
    s3.put("a", "kept").await;
    s3.service.stop().await;
    let again = S3::start_in(s3.folder);
    assert_eq!(again.get("a").await.as_deref(), Ok("kept"));
}

#[tokio::test]
async fn a_stopped_service_refuses_and_a_started_one_has_everything() {
    let s3 = S3::start();
    s3.put("a", "kept").await;
    s3.service.stop().await;
    let refused = s3.client.get_object().bucket(BUCKET).key("a").send().await.expect_err("an outage");
    assert!(refused.as_service_error().is_none(), "{refused:?}");
    s3.service.start().expect("the port is still free");
    assert_eq!(s3.get("a").await.as_deref(), Ok("kept"));
}

/// Not a benchmark: it detects a LIST that scans the bucket, which takes a hundred times as long.
#[tokio::test]
async fn page_cost_does_not_depend_on_bucket_or_body_size() {
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(&folder.path().join("s3.sqlite"), &[BUCKET.to_owned()]).expect("a store");
    let body = vec![b'x'; 20_000];
    for user in 0..10 {
        for number in 0..300 {
            let key = format!("logs/agent={user}/{number:05}");
            store.put(BUCKET, &key, None, &body, Existing::Keep).expect("a PUT");
        }
    }
    drop(store);
    let s3 = S3::start_in(folder);
    let fastest = |times: Vec<Duration>| times.into_iter().min().expect("a time");
    let mut pages = Vec::new();
    let mut groups = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        assert_eq!(s3.pages("logs/agent=5/", None, 1_000).await[0].0.len(), 300);
        pages.push(started.elapsed());
        let started = Instant::now();
        assert_eq!(s3.pages("logs/", Some("/"), 1_000).await[0].1.len(), 10);
        groups.push(started.elapsed());
    }
    assert!(fastest(pages.clone()) < Duration::from_millis(100), "{pages:?}");
    assert!(fastest(groups.clone()) < Duration::from_millis(50), "{groups:?}");
}
