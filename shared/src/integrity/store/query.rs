//! Reading a user's items in the order of their keys.

use aws_sdk_dynamodb::Client;

use super::super::key::EventKey;
use super::item::{Item, is_expired, key, primary_key, text, unreadable};
use super::{Cursor, KeyRange, Order, Page, STORE, Slice};
use crate::aws::StoreError;
use crate::ids::UserId;
use crate::time::Timestamp;

/// How many queries a request for a page makes at most, when few of the items it finds are to be shown. Those that only
/// come to where the page before ended do not count: else a page would get no further when they are that many.
const MAX_QUERIES: usize = 5;
/// How many items a query reads at least.
const LEAST_READ: usize = 100;
/// How many bytes of payloads a page has at most, escaped as they are in Lambda's answer. Well below the 6 MB that Lambda
/// allows, because a page is read whole and held in memory more than once on its way.
const MAX_PAGE_BYTES: usize = 2_000_000;

/// Strongly consistent queries of `user`'s items in `range`.
pub(super) struct Query<'a> {
    pub client: &'a Client,
    pub table: &'a str,
    pub user: &'a UserId,
    pub range: &'a KeyRange,
    pub projection: Option<&'static str>,
}

/// What a query gave, and where the next one goes on.
pub(super) struct Found {
    pub items: Vec<Item>,
    pub resume: Option<Item>,
}

impl Query<'_> {
    /// At most `limit` items. One request, unless they are more than the megabyte that DynamoDB reads at once.
    pub async fn all(&self, limit: u32) -> Result<Found, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = self.once(limit, None).await?;
        while found.items.len() < limit
            && let Some(resume) = found.resume.take()
        {
            let next = self.once(limit - found.items.len(), Some(resume)).await?;
            found.items.extend(next.items);
            found.resume = next.resume;
        }
        Ok(found)
    }

    /// One request for at most `limit` items, which goes on where an earlier one said.
    pub async fn once(&self, limit: usize, resume: Option<Item>) -> Result<Found, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(self.table)
            .key_condition_expression("user_id = :user AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":user", text(self.user))
            .expression_attribute_values(":from", text(&self.range.from))
            .expression_attribute_values(":to", text(&self.range.to))
            .set_projection_expression(self.projection.map(str::to_owned))
            .set_exclusive_start_key(resume)
            .consistent_read(true)
            .scan_index_forward(self.range.order == Order::OldestFirst)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(STORE, "Query", &error))?;
        Ok(Found { items: answer.items.unwrap_or_default(), resume: answer.last_evaluated_key })
    }
}

/// Something that a page shows, and about how many bytes it has in an answer.
pub(super) struct Kept<T> {
    pub item: T,
    pub bytes: usize,
}

/// Reads `slice` of `user`'s items, newest first, and keeps those that `keep` makes something of.
pub(super) async fn read_newest<T>(
    client: &Client,
    table: &str,
    user: &UserId,
    slice: &Slice,
    keep: impl Fn(&Item) -> Result<Option<Kept<T>>, StoreError>,
) -> Result<Page<T>, StoreError> {
    let now = Timestamp::now();
    let (mut items, mut bytes) = (Vec::new(), 0);
    let cursor = slice.cursor.clone().unwrap_or_else(|| Cursor::before(slice.until));
    if slice.since > slice.until || cursor.time() < slice.since {
        return Ok(Page { items, next: None });
    }
    let until = slice.until.min(cursor.time());
    let from = EventKey::lower_bound(slice.since);
    let range = KeyRange { from, to: EventKey::upper_bound(until), order: Order::NewestFirst };
    let query = Query { client, table, user, range: &range, projection: None };
    let mut resume = cursor.shown().filter(|key| key.time <= slice.until).map(|key| primary_key(user, key));
    let mut passed_before = cursor.passed();
    let mut cursor = cursor;
    let mut queries = 0;
    while queries < MAX_QUERIES {
        // One more than is wanted tells whether there is a next page.
        let found = query.once(passed_before.saturating_add(LEAST_READ.max(slice.limit + 1)), resume).await?;
        if found.items.len() > passed_before {
            queries += 1;
        }
        for item in &found.items {
            let key = key(item).ok_or_else(|| unreadable("Query", "sort key"))?;
            let is_passed = passed_before > 0 && cursor.is_near(key.time);
            passed_before = if is_passed { passed_before - 1 } else { 0 };
            // What is to be shown is shown even where the page before passed things over: it has come since, or something
            // that was passed has gone.
            let kept = if is_expired(item, now) { None } else { keep(item)? };
            match kept {
                Some(kept) => {
                    bytes += kept.bytes;
                    if items.len() == slice.limit || (bytes > MAX_PAGE_BYTES && !items.is_empty()) {
                        return Ok(Page { items, next: Some(cursor) });
                    }
                    items.push(kept.item);
                    cursor.show(key);
                    passed_before = 0;
                }
                None if is_passed => {}
                None => cursor.pass(key.time),
            }
        }
        resume = found.resume;
        if resume.is_none() {
            return Ok(Page { items, next: None });
        }
    }
    Ok(Page { items, next: Some(cursor) })
}
