//! Merges the small segments of closed hours, so that later reads need fewer objects.
//!
//! The compactor writes a segment with the entries of several others and deletes the others a day later. Nobody has to
//! wait for a compactor or to know of one, because readers drop copies of entries and because of two rules:
//!
//! - **An object is deleted only if another one has all its entries**: one with more entries, or with the same entries and
//!   a key that comes first. Along this order, every chain of deletions ends at an object that stays. So of several
//!   compactors, each of which trusts an object that another one deletes, none deletes the last copy of an entry.
//! - **The other object is at least a day old.** A reader that lists the deleted object therefore lists the other one too,
//!   and a page that begins where the previous one ended has a cursor younger than that.
//!
//! A compactor that stops at any moment leaves at most an additional copy. The next one deletes the copy or uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::entry::EntryOrder;
use super::entry_id::IdSource;
use super::object::LogObject;
use super::recorded::RecordedEntry;
use super::segment::{self, MAX_ENTRIES, Segment};
use super::store::{DeleteLog, GetLog, ListLogs, ListObjects, PutLog, ReplaceLog, StoredObject};
use crate::aws::{PutResult, StoreError};
use crate::deadline::Deadline;
use crate::ids::UserId;
use crate::time::Timestamp;

/// Key of the object that holds the key after which the next run starts. Athena ignores names that begin like this one.
const PROGRESS: &str = "logs/_compaction";
/// Maximum number of bytes of a merged segment.
const MAX_BYTES: u64 = 1_000_000;
/// Maximum number of bytes of objects that are read for one hour at once. The rest follows another day.
const MAX_READ_BYTES: u64 = 64_000_000;
/// Objects read concurrently.
const PARALLEL_GETS: usize = 20;

/// Ages at which a compactor acts.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// Time after the end of an hour, and after the last write to that hour, until its segments are merged.
    pub open: Duration,
    /// Minimum age of an object before others whose entries it has are deleted.
    pub grace: Duration,
    /// Age of the newest object of an hour from which on the hour is left alone.
    pub settled: Duration,
}

impl Default for Ages {
    fn default() -> Self {
        let hours = |hours: u64| Duration::from_secs(3_600 * hours);
        Self { open: hours(1), grace: hours(24), settled: hours(7 * 24) }
    }
}

/// Work done by a compactor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Number of segments written.
    pub written: usize,
    /// Number of objects deleted.
    pub deleted: usize,
}

impl Compacted {
    fn add(&mut self, other: Self) {
        self.written += other.written;
        self.deleted += other.deleted;
    }
}

/// Compacts the logs of `bucket` as far as `deadline` allows. The next run continues where this one stops.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn run<S>(bucket: &S, now: Timestamp, ages: Ages, deadline: Deadline) -> Result<Compacted, StoreError>
where
    S: ListLogs + ListObjects + GetLog + PutLog + ReplaceLog + DeleteLog + Sync,
{
    let progress = bucket.get(PROGRESS).await?.and_then(|key| String::from_utf8(key).ok());
    let start_after = progress.filter(|key| !key.is_empty());
    let (compacted, next) = compact(bucket, now, ages, start_after.clone(), deadline).await?;
    if next != start_after {
        keep_progress(bucket, &next.unwrap_or_default()).await?;
    }
    Ok(compacted)
}

/// Stores `key` as the progress. If the user in the key was erased meanwhile, the name must not stay: either the user's
/// objects are gone here, or [`forget`] finds the key.
async fn keep_progress<S: ListLogs + ReplaceLog>(bucket: &S, key: &str) -> Result<(), StoreError> {
    bucket.replace(PROGRESS, key.as_bytes().to_vec()).await?;
    let folder = segment::folder_of(key);
    if !key.is_empty() && bucket.list(folder, None, 1).await?.keys.is_empty() {
        bucket.replace(PROGRESS, segment::without_user(key).as_bytes().to_vec()).await?;
    }
    Ok(())
}

/// Removes the name of `user` from the progress of a run that is not complete, after all objects of the user were deleted.
/// The next run then starts with the first user of the same agent. Returns whether there was such a name.
///
/// # Errors
/// When S3 fails.
pub async fn forget<S: GetLog + ReplaceLog>(bucket: &S, user: &UserId) -> Result<bool, StoreError> {
    let progress = bucket.get(PROGRESS).await?.and_then(|key| String::from_utf8(key).ok());
    let Some(key) = progress.filter(|key| segment::is_of_user(key, user)) else { return Ok(false) };
    bucket.replace(PROGRESS, segment::without_user(&key).as_bytes().to_vec()).await?;
    Ok(true)
}

/// Compacts the logs from the first key after `start_after` on, as far as `deadline` allows. Returns the work done and
/// the key after which the next run starts, or `None` if the last key is reached.
///
/// # Errors
/// When S3 fails or holds an object that is not a log.
pub async fn compact<S>(
    store: &S,
    now: Timestamp,
    ages: Ages,
    start_after: Option<String>,
    deadline: Deadline,
) -> Result<(Compacted, Option<String>), StoreError>
where
    S: ListObjects + GetLog + PutLog + DeleteLog + Sync,
{
    let mut compacted = Compacted::default();
    let mut hour = Hour::default();
    let mut after = start_after;
    // End of the last hour that is finished.
    let mut finished = after.clone();
    loop {
        let page = store.objects(segment::ROOT, after.as_deref()).await?;
        after = page.objects.last().map(|object| object.key.clone());
        for object in page.objects {
            let Some(member) = Member::of(object) else { continue };
            if !hour.accepts(&member) {
                finished = hour.last_key().or(finished);
                compacted.add(std::mem::take(&mut hour).compact(store, now, ages).await?);
                if deadline.remaining().is_zero() {
                    return Ok((compacted, finished));
                }
            }
            hour.members.push(member);
        }
        if !page.more || after.is_none() {
            compacted.add(hour.compact(store, now, ages).await?);
            return Ok((compacted, None));
        }
    }
}

/// An object of a log.
#[derive(Clone, Debug)]
struct Member {
    object: StoredObject,
    segment: Segment,
}

impl Member {
    fn of(object: StoredObject) -> Option<Self> {
        let segment = Segment::parse(&object.key)?;
        Some(Self { object, segment })
    }

    fn folder(&self) -> &str {
        segment::folder_of(&self.object.key)
    }

    fn hour_end(&self) -> i64 {
        segment::hour_end(self.segment.newest())
    }

    fn entry_count(&self) -> usize {
        usize::try_from(self.segment.entry_count()).unwrap_or(usize::MAX)
    }

    /// Returns whether `other`, which has all entries of this object, is to be kept of the two.
    fn yields_to(&self, other: &Self) -> bool {
        let by_count = other.segment.entry_count().cmp(&self.segment.entry_count());
        by_count.then_with(|| self.object.key.cmp(&other.object.key)).is_gt()
    }
}

/// The objects of one hour of one log, in key order.
#[derive(Debug, Default)]
struct Hour {
    members: Vec<Member>,
}

impl Hour {
    fn accepts(&self, member: &Member) -> bool {
        self.members
            .first()
            .is_none_or(|first| first.folder() == member.folder() && first.hour_end() == member.hour_end())
    }

    fn last_key(&self) -> Option<String> {
        self.members.last().map(|member| member.object.key.clone())
    }

    /// Returns whether the hour is over, and changed so recently that there may be work.
    fn is_due(&self, now: Timestamp, ages: Ages) -> bool {
        let newest = self.members.iter().map(|member| member.object.modified).max();
        let (Some(first), Some(newest)) = (self.members.first(), newest) else { return false };
        let end = Timestamp::clamped_millis(first.hour_end());
        self.members.len() > 1 && end.max(newest).after(ages.open) <= now && newest.after(ages.settled) > now
    }

    async fn compact<S>(mut self, store: &S, now: Timestamp, ages: Ages) -> Result<Compacted, StoreError>
    where
        S: ListObjects + GetLog + PutLog + DeleteLog + Sync,
    {
        let mut compacted = Compacted::default();
        if !self.is_due(now, ages) {
            return Ok(compacted);
        }
        self.limit();
        let several = self.read(store, |member| !member.segment.is_single()).await?;
        let contents = self.contents(&several);
        let is_old = |member: &Member| member.object.modified.after(ages.grace) <= now;
        let deleted = (0..self.members.len()).filter(|index| self.is_copied(&contents, *index, is_old));
        let deleted: Vec<String> = deleted.map(|index| self.members[index].object.key.clone()).collect();
        if !deleted.is_empty() {
            store.delete(&deleted).await?;
            compacted.deleted = deleted.len();
        }
        for sources in self.merges(&contents) {
            compacted.written += usize::from(self.merge(store, &sources, &several).await?);
        }
        Ok(compacted)
    }

    /// Leaves out the last objects of an hour with more data than memory has room for.
    fn limit(&mut self) {
        let mut bytes = 0;
        let fits = |member: &&Member| {
            bytes += member.object.bytes;
            bytes <= MAX_READ_BYTES
        };
        let count = self.members.iter().take_while(fits).count();
        self.members.truncate(count);
    }

    /// Returns the entries of the chosen objects by the index of the object.
    async fn read<S: GetLog + Sync>(
        &self,
        store: &S,
        is_chosen: impl Fn(&Member) -> bool,
    ) -> Result<BTreeMap<usize, Vec<RecordedEntry>>, StoreError> {
        let chosen = self.members.iter().enumerate().filter(|(_, member)| is_chosen(member));
        let chosen: Vec<(usize, String)> = chosen.map(|(index, member)| (index, member.object.key.clone())).collect();
        let reads = stream::iter(chosen).map(|(index, key)| async move { (index, store.get(&key).await) });
        let mut bodies = reads.buffer_unordered(PARALLEL_GETS);
        let mut entries = BTreeMap::new();
        while let Some((index, body)) = bodies.next().await {
            entries.insert(index, RecordedEntry::parse_all(&body?.unwrap_or_default()).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(entries)
    }

    /// Returns the orders of the entries of each segment of several entries that still exists, by the index of the
    /// segment.
    fn contents(&self, several: &BTreeMap<usize, Vec<RecordedEntry>>) -> BTreeMap<usize, BTreeSet<EntryOrder>> {
        let existing = several.iter().filter(|(_, entries)| !entries.is_empty());
        existing.map(|(index, entries)| (*index, entries.iter().map(|entry| entry.order).collect())).collect()
    }

    /// Returns whether another object, one that is accepted, has all entries of the object at `index` and is to be kept.
    fn is_copied(
        &self,
        contents: &BTreeMap<usize, BTreeSet<EntryOrder>>,
        index: usize,
        accepts: impl Fn(&Member) -> bool,
    ) -> bool {
        let member = &self.members[index];
        let is_kept = |other: usize| {
            let candidate = &self.members[other];
            other != index && accepts(candidate) && member.yields_to(candidate)
        };
        match member.segment.single() {
            // Keys of one entry are adjacent. Of two, the first is kept.
            Some(order) => {
                let before = index.checked_sub(1);
                before.is_some_and(|other| self.members[other].segment.single() == Some(order) && is_kept(other))
                    || contents.iter().any(|(other, orders)| orders.contains(&order) && is_kept(*other))
            }
            None => contents
                .get(&index)
                .is_some_and(|own| contents.iter().any(|(other, orders)| own.is_subset(orders) && is_kept(*other))),
        }
    }

    /// Groups the objects that together form a segment, each given by its index. Objects are not divided, so a merged
    /// segment has all entries of each of its sources.
    fn merges(&self, contents: &BTreeMap<usize, BTreeSet<EntryOrder>>) -> Vec<Vec<usize>> {
        let is_small = |index: &usize| {
            let member = &self.members[*index];
            let exists = member.segment.is_single() || contents.contains_key(index);
            exists && member.entry_count() < MAX_ENTRIES && member.object.bytes < MAX_BYTES
        };
        let small = (0..self.members.len()).filter(is_small);
        let mut small: Vec<usize> = small.filter(|index| !self.is_copied(contents, *index, |_| true)).collect();
        small.sort_by_key(|index| self.members[*index].segment.oldest());
        let mut merges: Vec<(Vec<usize>, usize, u64)> = Vec::new();
        for index in small {
            let (count, bytes) = (self.members[index].entry_count(), self.members[index].object.bytes);
            match merges.last_mut() {
                Some((sources, entries, total)) if *entries + count <= MAX_ENTRIES && *total + bytes <= MAX_BYTES => {
                    sources.push(index);
                    *entries += count;
                    *total += bytes;
                }
                _ => merges.push((vec![index], count, bytes)),
            }
        }
        merges.into_iter().map(|(sources, ..)| sources).filter(|sources| sources.len() > 1).collect()
    }

    /// Writes the segment with the entries of `sources`. Returns whether the segment is new.
    async fn merge<S>(
        &self,
        store: &S,
        sources: &[usize],
        several: &BTreeMap<usize, Vec<RecordedEntry>>,
    ) -> Result<bool, StoreError>
    where
        S: ListObjects + GetLog + PutLog + DeleteLog + Sync,
    {
        let keys: BTreeSet<String> = sources.iter().map(|index| self.members[*index].object.key.clone()).collect();
        let singles =
            self.read(store, |member| member.segment.is_single() && keys.contains(&member.object.key)).await?;
        let mut entries: BTreeMap<EntryOrder, &RecordedEntry> = BTreeMap::new();
        // The first copy in key order counts, as for readers.
        let mut in_key_order = sources.to_vec();
        in_key_order.sort_unstable();
        for index in in_key_order {
            let Some(source) = several.get(&index).or_else(|| singles.get(&index)).filter(|source| !source.is_empty())
            else {
                // The source has been deleted meanwhile: this view of the hour is outdated.
                return Ok(false);
            };
            for entry in source {
                entries.entry(entry.order).or_insert(entry);
            }
        }
        let Some(folder) = self.members.first().map(Member::folder) else { return Ok(false) };
        // Signals that do not fit a key stay in several segments.
        let Ok(merged) = LogObject::of_lines(folder, entries.into_values(), IdSource::Generated) else {
            return Ok(false);
        };
        let LogObject { key, body, .. } = merged;
        if let PutResult::Existing(()) = store.put(&key, body.into_bytes()).await? {
            return Ok(false);
        }
        // If the user's data was erased after it was read here, it must not come back.
        if !all_exist(store, folder, &keys).await? {
            store.delete(&[key]).await?;
            return Ok(false);
        }
        Ok(true)
    }
}

/// Returns whether all of `keys`, which are in `folder`, exist.
async fn all_exist<S: ListObjects>(store: &S, folder: &str, keys: &BTreeSet<String>) -> Result<bool, StoreError> {
    let mut missing = keys.clone();
    let Some(last) = keys.last() else { return Ok(true) };
    // Sorts directly before the first key and its extension.
    let mut after = keys.first().and_then(|first| first.strip_suffix(segment::EXTENSION)).map(str::to_owned);
    loop {
        let page = store.objects(folder, after.as_deref()).await?;
        for object in &page.objects {
            missing.remove(&object.key);
        }
        after = page.objects.last().map(|object| object.key.clone());
        let is_past = after.as_ref().is_none_or(|after| after >= last);
        if missing.is_empty() || is_past || !page.more {
            return Ok(missing.is_empty());
        }
    }
}

#[cfg(test)]
mod tests;
