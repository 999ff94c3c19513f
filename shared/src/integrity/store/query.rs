//! Reads a user's items in key order.

use aws_sdk_dynamodb::Client;

use super::super::key::EventKey;
use super::item::{corrupt, key, primary_key};
use super::{Cursor, Direction, KeyRange, Page, PageRequest};
use crate::aws::item::{Item, is_expired, text};
use crate::aws::{DYNAMODB, StoreError};
use crate::ids::UserId;
use crate::time::Timestamp;

/// Minimum number of items that the first query of a page requests. A page that finds few items continues in steps of
/// [`NEXT_READ`].
const FIRST_READ: usize = 100;
const NEXT_READ: usize = 250;
/// Maximum number of items of its own agents that a page skips because they do not match the query.
const MAX_FILTERED: usize = 1_000;
/// Number of items that a page skips because its caller may not see them: at least this many, plus a random number of
/// up to as many. So an early end of a page reveals neither the time of a hidden item nor the exact number of hidden
/// items.
const MAX_HIDDEN: usize = 1_000;
const MAX_HIDDEN_MORE: usize = 1_000;
/// Maximum bytes of payloads in a page, escaped as in Lambda's response. Well below Lambda's limit of 6 MB, because a
/// page is read whole and held in memory more than once on its way.
pub(super) const MAX_PAGE_BYTES: usize = 2_000_000;

/// Strongly consistent queries of `user`'s items in `range`.
pub(super) struct ItemQuery<'a> {
    pub client: &'a Client,
    pub table: &'a str,
    pub user: &'a UserId,
    pub range: &'a KeyRange,
    pub projection: Option<&'static str>,
}

/// Items of a query and the position of the next query.
pub(super) struct ItemBatch {
    pub items: Vec<Item>,
    pub resume: Option<Item>,
}

impl ItemQuery<'_> {
    /// Returns at most `limit` items. Sends one request unless the items exceed the megabyte that DynamoDB reads at
    /// once.
    pub async fn all(&self, limit: u32) -> Result<ItemBatch, StoreError> {
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

    /// Sends one request for at most `limit` items, continuing at `resume` if given.
    pub async fn once(&self, limit: usize, resume: Option<Item>) -> Result<ItemBatch, StoreError> {
        let response = self
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
            .scan_index_forward(self.range.direction == Direction::OldestFirst)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(DYNAMODB, "Query", &error))?;
        Ok(ItemBatch { items: response.items.unwrap_or_default(), resume: response.last_evaluated_key })
    }
}

/// Decision whether to show an item.
pub(super) enum Decision<T> {
    /// Shows the item, with its approximate size in the response in bytes.
    Shown(T, usize),
    /// Skips the item because it does not match the query.
    Filtered,
    /// Skips the item because the caller may not see it.
    Hidden,
}

/// Remaining number of items that a page may skip.
struct Allowance {
    filtered: usize,
    hidden: usize,
}

impl Allowance {
    fn new() -> Self {
        // Without randomness, a page shows no more items, but its end becomes predictable.
        let more = getrandom::u32().map_or(0, |number| number as usize % MAX_HIDDEN_MORE);
        Self { filtered: MAX_FILTERED, hidden: MAX_HIDDEN + more }
    }

    fn is_used_up(&self) -> bool {
        self.filtered == 0 || self.hidden == 0
    }
}

/// Returns the page of `user`'s items that `request` asks for and `decide` shows, newest first.
pub(super) async fn read_newest<T>(
    client: &Client,
    table: &str,
    user: &UserId,
    request: &PageRequest,
    decide: impl Fn(&Item) -> Result<Decision<T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    let until = request.cursor.as_ref().map_or(request.until, |cursor| request.until.min(cursor.time()));
    if request.since > until {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let (from, to) = (EventKey::lower_bound(request.since), EventKey::upper_bound(until));
    let range = KeyRange { from, to, direction: Direction::NewestFirst };
    let query = ItemQuery { client, table, user, range: &range, projection: None };
    // DynamoDB rejects a start key after the end of the range.
    let start = request.cursor.as_ref().map(Cursor::key).filter(|key| key.time <= request.until);
    let start = start.map(|key| primary_key(user, key));
    fill_page(request, start, decide, |limit, resume| query.once(limit, resume)).await
}

/// Fills the page that `request` asks for with the items of `query` that `decide` shows, starting at `resume`. The work
/// is bounded for any items: a page that has skipped many items ends early, after the last item read.
async fn fill_page<T, F>(
    request: &PageRequest,
    mut resume: Option<Item>,
    decide: impl Fn(&Item) -> Result<Decision<T>, StoreError>,
    query: impl Fn(usize, Option<Item>) -> F,
) -> Result<Page<T>, StoreError>
where
    F: Future<Output = Result<ItemBatch, StoreError>>,
{
    let now = Timestamp::now();
    let mut allowance = Allowance::new();
    let mut page = Page { items: Vec::new(), next: None };
    let (mut bytes, mut position) = (0, None);
    // One more item than requested reveals whether there is a next page.
    let mut limit = FIRST_READ.max(request.limit + 1);
    loop {
        let batch = query(limit, resume).await?;
        for item in &batch.items {
            let key = key(item).ok_or_else(|| corrupt("Query", "sort key"))?;
            match decide(item)? {
                Decision::Hidden => allowance.hidden -= 1,
                Decision::Shown(shown, size) if !is_expired(item, now) => {
                    bytes += size;
                    if page.items.len() == request.limit || (bytes > MAX_PAGE_BYTES && !page.items.is_empty()) {
                        return Ok(Page { next: position, ..page });
                    }
                    page.items.push(shown);
                }
                Decision::Shown(..) | Decision::Filtered => allowance.filtered -= 1,
            }
            position = Some(Cursor::after(key));
            if allowance.is_used_up() {
                return Ok(Page { next: position, ..page });
            }
        }
        resume = batch.resume;
        if resume.is_none() {
            return Ok(page);
        }
        limit = NEXT_READ;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::ids::{AgentId, EventId};

    const MANY: usize = 100_000;

    /// Items of a user, newest first, and the number of items read by queries.
    struct Items {
        keys: Vec<EventKey>,
        read: Cell<usize>,
        queries: Cell<usize>,
    }

    impl Items {
        /// Creates one item at each of `agents`, a second apart.
        fn at<'a>(agents: impl Iterator<Item = &'a str>) -> Self {
            let key = |(index, agent): (usize, &str)| EventKey {
                time: Timestamp::from_millis(1_800_000_000_000 - 1_000 * index as i64).expect("in range"),
                agent_id: AgentId::try_from(agent).expect("an agent"),
                event_id: EventId::try_from("1").expect("an event"),
            };
            Self { keys: agents.enumerate().map(key).collect(), read: Cell::new(0), queries: Cell::new(0) }
        }

        fn query(&self, limit: usize, resume: Option<Item>) -> ItemBatch {
            let user = UserId::try_from("u").expect("a user");
            let from = resume.map_or(0, |item| {
                let last = key(&item).expect("a key");
                self.keys.partition_point(|key| *key >= last)
            });
            let keys = &self.keys[from..(from + limit).min(self.keys.len())];
            let items: Vec<_> = keys.iter().map(|key| primary_key(&user, key)).collect();
            self.read.set(self.read.get() + items.len());
            self.queries.set(self.queries.get() + 1);
            let resume = items.last().filter(|_| keys.len() == limit).cloned();
            ItemBatch { items, resume }
        }

        /// Returns one page of the items at the agent `ours`, if they match the query.
        async fn page(&self, request: &PageRequest, matches: bool) -> Page<Timestamp> {
            let user = UserId::try_from("u").expect("a user");
            let read = |item: &Item| {
                let key = key(item).expect("a key");
                Ok(match key.agent_id.as_str() {
                    "ours" if matches => Decision::Shown(key.time, 0),
                    "ours" => Decision::Filtered,
                    _ => Decision::Hidden,
                })
            };
            let resume = request.cursor.as_ref().map(|cursor| primary_key(&user, cursor.key()));
            fill_page(request, resume, read, |limit, resume| async move { Ok(self.query(limit, resume)) })
                .await
                .expect("a page")
        }

        /// Reads all pages and returns the number of items shown on each. No page may read more than `most` items.
        async fn walk(&self, limit: usize, matches: bool, most: usize) -> Vec<usize> {
            let mut request = first_page(limit);
            let mut shown = Vec::new();
            loop {
                let before = self.read.get();
                let page = self.page(&request, matches).await;
                assert!(self.read.get() - before <= most, "a page reads {}", self.read.get() - before);
                shown.push(page.items.len());
                request.cursor = page.next;
                if request.cursor.is_none() {
                    return shown;
                }
            }
        }
    }

    fn first_page(limit: usize) -> PageRequest {
        let (since, until, received_until) = (Timestamp::MIN, Timestamp::MAX, Timestamp::MAX);
        PageRequest { since, until, cursor: None, received_until, limit }
    }

    #[tokio::test]
    async fn paging_past_many_items_is_linear_and_ends() {
        for (agent, matches) in [("theirs", true), ("ours", false)] {
            let agents = ["ours"].into_iter().chain(std::iter::repeat_n(agent, MANY)).chain(["ours"]);
            let items = Items::at(agents);
            let most = MAX_HIDDEN + MAX_HIDDEN_MORE + NEXT_READ;
            let shown = items.walk(100, matches, most).await;
            assert_eq!(shown.iter().sum::<usize>(), if matches { 2 } else { 0 });
            assert!(shown.len() <= MANY / MAX_FILTERED + 2, "{} pages", shown.len());
            // The next page reads again the items that a page has read past its end.
            assert!(items.read.get() <= MANY + 3 + shown.len() * NEXT_READ, "{} items read", items.read.get());
        }
    }

    #[tokio::test]
    async fn pages_are_the_same_with_and_without_hidden_items() {
        for hidden in [1, 99, MAX_HIDDEN - 1] {
            for (before, limit) in [(0, 1), (1, 1), (2, 2), (150, 100)] {
                let ours = std::iter::repeat_n("ours", before);
                let alone = Items::at(ours.clone().chain(["ours"]));
                let among = Items::at(ours.chain(std::iter::repeat_n("theirs", hidden)).chain(["ours"]));
                assert_eq!(among.walk(limit, true, usize::MAX).await, alone.walk(limit, true, usize::MAX).await);
                assert_eq!(among.walk(limit, false, usize::MAX).await, [0]);
            }
        }
    }

    #[tokio::test]
    async fn full_first_page_takes_one_query() {
        let items = Items::at(std::iter::repeat_n("ours", 1_000));
        assert_eq!(items.page(&first_page(10), true).await.items.len(), 10);
        assert_eq!((items.queries.get(), items.read.get()), (1, 100));
    }
}
