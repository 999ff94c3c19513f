//! The segments of a log in the order of their keys, a listing at a time.

use super::super::entry::Conversation;
use super::super::segment::{self, Segment};
use super::super::store::ListLogs;
use crate::aws::StoreError;

/// The most keys that S3 lists at once.
pub const MAX_PAGE: usize = 1_000;

/// A walk along the keys of one log.
pub struct Listing<'a, S> {
    store: &'a S,
    prefix: String,
    start_after: Option<String>,
    /// How many listings it took so far.
    pub lists: usize,
    is_ended: bool,
}

impl<'a, S: ListLogs> Listing<'a, S> {
    /// A walk along the keys of `conversation` from behind the name `start_after` on.
    pub fn begin(store: &'a S, conversation: &Conversation, start_after: Option<&str>) -> Self {
        let prefix = segment::prefix(conversation);
        let start_after = start_after.map(|name| format!("{prefix}{name}"));
        Self { store, prefix, start_after, lists: 0, is_ended: false }
    }

    /// The full key of the segment `name`.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether there may be more.
    pub fn may_go_on(&self) -> bool {
        !self.is_ended
    }

    /// The next segments with their names, from at most `size` keys, or `None` behind the last one.
    pub async fn next(&mut self, size: usize) -> Result<Option<Vec<(Segment, String)>>, StoreError> {
        if self.is_ended {
            return Ok(None);
        }
        let size = i32::try_from(size.min(MAX_PAGE)).unwrap_or(i32::MAX);
        let page = self.store.list(&self.prefix, self.start_after.as_deref(), size).await?;
        self.lists += 1;
        self.is_ended = !page.more || page.keys.is_empty();
        self.start_after = page.keys.last().cloned();
        let segments = page.keys.into_iter().filter_map(|mut key| {
            let segment = Segment::parse(&key)?;
            Some((segment, key.split_off(self.prefix.len())))
        });
        Ok(Some(segments.collect()))
    }
}
