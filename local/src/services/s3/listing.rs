//! ListObjectsV2 as ranges of keys.
//!
//! A page is one pass over the keys from a lower bound. Where a delimiter groups keys under a common prefix, the pass
//! goes on behind that prefix by seeking, however many keys it covers.

use rusqlite::{Connection, params};

use super::store::{Object, object};

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Keys begin with it.
    pub prefix: String,
    /// Keys that have it behind the prefix are grouped up to it. Empty for none.
    pub delimiter: String,
    /// Keys come at or after it.
    pub from: Vec<u8>,
    /// The most keys and common prefixes to give.
    pub limit: usize,
}

/// A part of a bucket's listing.
#[derive(Debug, Default)]
pub struct Page {
    /// The objects, in the order of their keys.
    pub objects: Vec<Object>,
    /// The common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins, if there is one: its [`Query::from`].
    pub next: Option<Vec<u8>>,
}

impl Page {
    /// How many entries the page has.
    pub fn len(&self) -> usize {
        self.objects.len() + self.prefixes.len()
    }
}

/// The least bytes that come after `key` itself.
pub fn after_key(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// The least bytes that come after everything that begins with `prefix`. A byte of 0xff is never part of UTF-8, so the
/// last byte can always be counted up and 0xff itself comes after every key.
fn after_prefix(prefix: &str) -> Vec<u8> {
    let mut bound = prefix.as_bytes().to_vec();
    match bound.last_mut() {
        Some(last) => *last += 1,
        None => bound.push(u8::MAX),
    }
    bound
}

/// The page of `bucket` that `query` asks for.
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

/// Adds objects from `from` on to `page` and stops at a key that begins a common prefix, which it returns. When the
/// page is full and an object follows, [`Page::next`] is set to it.
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
    // Rows are read one by one, so that a page costs what it gives and not what the range holds.
    let mut rows = statement.query(params![bucket, from, after_prefix(&query.prefix)])?;
    while let Some(row) = rows.next()? {
        let object = object(row)?;
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

/// The part of `key` that it shares with all keys of its group.
fn common_prefix(key: &str, query: &Query) -> Option<String> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = key.get(query.prefix.len()..)?;
    let at = rest.find(&query.delimiter)?;
    Some(key[..query.prefix.len() + at + query.delimiter.len()].to_owned())
}
