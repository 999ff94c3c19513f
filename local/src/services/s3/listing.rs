//! ListObjectsV2 as ranges of keys.
//!
//! A page is one pass over the keys from a lower bound. If a delimiter groups keys under a common prefix, the pass
//! seeks past that prefix, however many keys the prefix covers.

use rusqlite::{Connection, params};

use super::object::Object;

/// The parameters of a listing.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The prefix of all listed keys.
    pub prefix: String,
    /// Keys that contain the delimiter after the prefix are grouped up to it. Empty for no grouping.
    pub delimiter: String,
    /// The lower bound of the keys, inclusive.
    pub from: Vec<u8>,
    /// The maximum number of keys and common prefixes to return.
    pub limit: usize,
}

/// A part of a bucket's listing.
#[derive(Debug, Default)]
pub struct Page {
    /// The objects, in key order.
    pub objects: Vec<Object>,
    /// The common prefixes, in order.
    pub prefixes: Vec<String>,
    /// The [`Query::from`] of the next page, if there is one.
    pub next: Option<Vec<u8>>,
}

impl Page {
    /// Returns the number of entries of the page.
    pub fn len(&self) -> usize {
        self.objects.len() + self.prefixes.len()
    }
}

/// Returns the smallest byte string greater than `key`.
pub fn after_key(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Returns the smallest byte string greater than every key with `prefix`. A byte of 0xff is never part of UTF-8, so the
/// last byte can always be incremented, and 0xff itself sorts after every key.
fn after_prefix(prefix: &str) -> Vec<u8> {
    let mut bound = prefix.as_bytes().to_vec();
    match bound.last_mut() {
        Some(last) => *last += 1,
        None => bound.push(u8::MAX),
    }
    bound
}

/// Returns the page of `bucket` that `query` describes.
pub(super) fn page(connection: &Connection, bucket: &str, query: &Query) -> rusqlite::Result<Page> {
    let mut page = Page::default();
    if query.limit == 0 {
        return Ok(page);
    }
    let mut from = query.from.clone().max(query.prefix.clone().into_bytes());
    while let Some(prefix) = pass(connection, bucket, query, &from, &mut page)? {
        if page.len() == query.limit {
            page.next = Some(prefix.into_bytes());
            break;
        }
        from = after_prefix(&prefix);
        page.prefixes.push(prefix);
    }
    Ok(page)
}

/// Adds objects from `from` on to `page` and stops at a key that begins a common prefix, which it returns. If the page
/// is full and an object follows, sets [`Page::next`] to that object.
fn pass(
    connection: &Connection,
    bucket: &str,
    query: &Query,
    from: &[u8],
    page: &mut Page,
) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT key, size, etag, modified_ms, content_type FROM objects
         WHERE bucket = ?1 AND key >= ?2 AND key < ?3 ORDER BY key",
    )?;
    // Rows are read one by one, so that the cost depends on the size of the page and not of the range.
    let mut rows = statement.query(params![bucket, from, after_prefix(&query.prefix)])?;
    while let Some(row) = rows.next()? {
        let object = Object::from_row(row)?;
        if let Some(prefix) = common_prefix(&object.key, query) {
            return Ok(Some(prefix));
        }
        if page.len() == query.limit {
            page.next = Some(object.key.into_bytes());
            return Ok(None);
        }
        page.objects.push(object);
    }
    Ok(None)
}

/// Returns the part of `key` that all keys of its group share.
fn common_prefix(key: &str, query: &Query) -> Option<String> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = key.get(query.prefix.len()..)?;
    let at = rest.find(&query.delimiter)?;
    Some(key[..query.prefix.len() + at + query.delimiter.len()].to_owned())
}
