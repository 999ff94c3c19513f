//! Turns notifications of new log objects into the read model.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::Client;
use futures_util::stream::{self, StreamExt};

use super::chunk::{Chunk, ChunkKey};
use super::hour::{Hour, HourActivity};
use super::store::{ActivityStore, Record, RecordKey};
use super::table::ActivityTable;
use super::user::{KEPT_DAYS, UserHour};
use crate::aws::versioned::Versioned;
use crate::aws::{DYNAMODB, StoreError};
use crate::ids::{AgentId, Signal, UserId};
use crate::logging::segment::{self, Segment};
use crate::logging::store::{GetLog, ListLogs};
use crate::logging::{Conversation, EntryOrder, LogBucket, RecordedEntry, reader};
use crate::time::Timestamp;

/// Calls made concurrently to each store.
const PARALLEL: usize = 16;
/// Attempts to replace records that others replace at the same time. Two functions at most work on the queue.
const ATTEMPTS: usize = 20;

/// An hour of an agent, whose entries are counted together.
type AgentHour = (AgentId, Hour);

/// Worker that keeps the read model up to date.
#[derive(Clone, Debug)]
pub struct RollUp<S, L> {
    /// The read model.
    pub store: S,
    /// The logs.
    pub log: L,
    /// Days for which the counts of a user are kept.
    pub kept_days: i64,
}

impl RollUp<ActivityTable, LogBucket> {
    /// Creates the worker over the table named `table` and the bucket `log`, whose objects expire after `log_days` days
    /// unless that is 0.
    pub fn new(client: Client, table: String, log: LogBucket, log_days: u32) -> Self {
        let kept_days = if log_days == 0 { KEPT_DAYS } else { KEPT_DAYS.min(log_days.into()) };
        Self { store: ActivityTable::new(client, table, log_days), log, kept_days }
    }
}

/// A new log object, with its entries. A segment lies within one hour.
#[derive(Clone, Debug)]
pub struct NewObject {
    conversation: Conversation,
    hour: Hour,
    key: String,
    /// Empty if the object does not exist any longer: it was compacted into another, or erased.
    entries: Vec<(EntryOrder, Signal)>,
}

impl NewObject {
    fn agent_hour(&self) -> AgentHour {
        (self.conversation.agent_id.clone(), self.hour)
    }
}

/// The entries of a batch in one hour, by chunk.
#[derive(Debug, Default)]
struct Group {
    /// Entries to add.
    chunks: BTreeMap<ChunkKey, Chunk>,
    /// Entries to remove: their objects were erased.
    erased: BTreeMap<ChunkKey, Chunk>,
    /// Users of the objects.
    users: BTreeSet<UserId>,
    /// Set if an object has one entry. Such an entry is new: only objects of several entries repeat others.
    has_single: bool,
}

impl Group {
    /// Adds the entries of `object` that are not among those to remove.
    fn add(&mut self, object: &NewObject) {
        self.users.insert(object.conversation.user_id.clone());
        self.has_single |= object.entries.len() == 1;
        for (order, signal) in &object.entries {
            let key = ChunkKey::of(&object.conversation, order.0);
            if !self.erased.get(&key).is_some_and(|erased| erased.contains(*order)) {
                chunk_at(&mut self.chunks, key).add(*order, signal.clone());
            }
        }
    }
}

impl<S: ActivityStore + Sync, L: GetLog + ListLogs + Sync> RollUp<S, L> {
    /// Counts the log objects under `keys`, and returns the failures by key. Ignores objects that are not segments.
    pub async fn count(&self, keys: &[String]) -> BTreeMap<String, StoreError> {
        let unique: BTreeSet<&String> = keys.iter().collect();
        let (mut objects, mut failures) = (Vec::new(), BTreeMap::new());
        let read = unique.into_iter().map(|key| async move { (key, self.open(key).await) });
        let read: Vec<_> = read.collect();
        let mut read = stream::iter(read).buffer_unordered(PARALLEL);
        while let Some((key, object)) = read.next().await {
            match object {
                Ok(object) => objects.extend(object),
                Err(failure) => drop(failures.insert(key.clone(), failure)),
            }
        }
        let failed = self.roll_up(&objects).await;
        for object in objects {
            if let Some(failure) = failed.get(&object.agent_hour()) {
                failures.insert(object.key, failure.clone());
            }
        }
        failures
    }

    /// Returns the object under `key` with its entries. Reads the object only if its key does not contain them.
    async fn open(&self, key: &str) -> Result<Option<NewObject>, StoreError> {
        let Some((conversation, segment)) = segment::conversation_of(key).zip(Segment::parse(key)) else {
            return Ok(None);
        };
        let entries = match (segment.single(), segment.counts()) {
            (Some(order), [(signal, 1)]) => vec![(order, signal.clone())],
            _ => {
                let body = self.log.get(key).await?.unwrap_or_default();
                let entries =
                    RecordedEntry::parse_all(&body).map(|entry| entry.map(|entry| (entry.order, entry.signal)));
                entries.collect::<Result<_, _>>()?
            }
        };
        Ok(Some(NewObject { conversation, hour: Hour::of(segment.newest()), key: key.to_owned(), entries }))
    }

    /// Adds the entries of `objects` to their sets and brings the records up to date. Returns the failures by hour.
    async fn roll_up(&self, objects: &[NewObject]) -> BTreeMap<AgentHour, StoreError> {
        let (mut failures, mut added) = (BTreeMap::new(), BTreeSet::new());
        let mut open: BTreeSet<AgentHour> = objects.iter().map(NewObject::agent_hour).collect();
        for attempt in 0.. {
            if open.is_empty() {
                break;
            }
            if attempt == ATTEMPTS {
                let busy = StoreError {
                    store: DYNAMODB,
                    operation: "PutItem",
                    cause: "record changes too often".to_owned(),
                    is_transient: true,
                };
                failures.extend(open.into_iter().map(|hour| (hour, busy.clone())));
                break;
            }
            let selected = objects.iter().filter(|object| open.contains(&object.agent_hour()));
            open = match self.attempt(selected, &open, &mut added, &mut failures).await {
                Ok(conflicts) => conflicts,
                Err(failure) => {
                    failures.extend(open.into_iter().map(|hour| (hour, failure.clone())));
                    break;
                }
            };
        }
        failures
    }

    /// Brings the records of the hours `open` up to date, once. Returns the hours of records that were replaced by
    /// others meanwhile. The versions are read first, then the entries are added, and then the sets are read: so a record
    /// that is replaced knows all that its predecessor knew, and these entries.
    async fn attempt(
        &self,
        objects: impl Iterator<Item = &NewObject>,
        open: &BTreeSet<AgentHour>,
        added: &mut BTreeSet<AgentHour>,
        failures: &mut BTreeMap<AgentHour, StoreError>,
    ) -> Result<BTreeSet<AgentHour>, StoreError> {
        let objects: Vec<_> = objects.collect();
        let records = self.records(&objects, open).await?;
        let mut groups: BTreeMap<AgentHour, Group> = BTreeMap::new();
        for chunk in self.erased(&objects, &records).await? {
            let hour = (chunk.key.agent_id.clone(), chunk.key.hour);
            groups.entry(hour).or_default().erased.insert(chunk.key.clone(), chunk);
        }
        for object in objects {
            groups.entry(object.agent_hour()).or_default().add(object);
        }

        let known = &*added;
        let read = groups
            .iter()
            .map(|(hour, group)| async move { (hour, self.activity(hour, group, !known.contains(hour)).await) });
        let read: Vec<_> = read.collect();
        let read: Vec<_> = stream::iter(read).buffer_unordered(PARALLEL).collect().await;
        let mut activities: BTreeMap<&AgentHour, HourActivity> = BTreeMap::new();
        for (hour, activity) in read {
            match activity {
                Ok((activity, adds)) => {
                    if adds {
                        added.insert(hour.clone());
                    }
                    activities.insert(hour, activity);
                }
                Err(failure) => drop(failures.insert(hour.clone(), failure)),
            }
        }
        Ok(self.replace(&groups, &activities, records, added, failures).await)
    }

    /// Returns the records of the hours `open` and of the users of `objects`.
    async fn records(
        &self,
        objects: &[&NewObject],
        open: &BTreeSet<AgentHour>,
    ) -> Result<BTreeMap<RecordKey, Versioned<Record>>, StoreError> {
        let hours = open.iter().map(|(agent, hour)| RecordKey::Hour(agent.clone(), *hour));
        let users = objects.iter().map(|object| RecordKey::of_user(&object.conversation));
        let keys: Vec<_> = hours.chain(users).collect::<BTreeSet<_>>().into_iter().collect();
        let records = self.store.read(&keys).await?;
        Ok(keys.into_iter().zip(records).collect())
    }

    /// Returns the entries to remove of users who are marked as erased: those of `objects` and of the sets of their hours
    /// that are in no object. Only marked users are looked up.
    async fn erased(
        &self,
        objects: &[&NewObject],
        records: &BTreeMap<RecordKey, Versioned<Record>>,
    ) -> Result<Vec<Chunk>, StoreError> {
        let now = Timestamp::now().seconds();
        let mut marked: BTreeMap<(AgentHour, UserId), BTreeMap<EntryOrder, Signal>> = BTreeMap::new();
        for object in objects {
            let record = records.get(&RecordKey::of_user(&object.conversation)).map(|versioned| &versioned.record);
            let Some(Record::User(user)) = record else { continue };
            if user.erased_until.is_some_and(|until| until >= now) {
                let key = (object.agent_hour(), object.conversation.user_id.clone());
                marked.entry(key).or_default().extend(object.entries.iter().cloned());
            }
        }
        let mut erased: BTreeMap<ChunkKey, Chunk> = BTreeMap::new();
        for (((agent_id, hour), user_id), mut entries) in marked {
            let conversation = Conversation { agent_id, user_id };
            let stored = self.store.chunks(&conversation.agent_id, hour).await?;
            for chunk in stored.iter().filter(|chunk| chunk.key.user_id == conversation.user_id) {
                entries.extend(chunk.entries().map(|(order, signal)| (order, signal.clone())));
            }
            let wanted: Vec<_> = entries.clone().into_iter().collect();
            let existing = Box::pin(reader::entries_of_hour(&self.log, &conversation, &wanted)).await?;
            existing.iter().for_each(|entry| drop(entries.remove(&entry.order)));
            for (order, signal) in entries {
                let key = ChunkKey::of(&conversation, order.0);
                chunk_at(&mut erased, key).add(order, signal);
            }
        }
        Ok(erased.into_values().collect())
    }

    /// Adds the entries of `group`, if `adds` is set. Returns the activity of `hour` after that, and whether entries were
    /// added.
    async fn activity(
        &self,
        (agent, hour): &AgentHour,
        group: &Group,
        adds: bool,
    ) -> Result<(HourActivity, bool), StoreError> {
        let mut missing = if adds { group.chunks.clone() } else { BTreeMap::new() };
        if !group.has_single && group.erased.is_empty() {
            let stored = self.store.chunks(agent, *hour).await?;
            for chunk in &stored {
                if let Some(added) = missing.get_mut(&chunk.key) {
                    added.subtract(chunk);
                }
            }
            missing.retain(|_, chunk| !chunk.sets.is_empty());
            if missing.is_empty() {
                return Ok((HourActivity::of(&stored), false));
            }
        }
        for_all(missing.values(), |chunk| self.store.add(chunk)).await?;
        for_all(group.erased.values(), |chunk| self.store.remove(chunk)).await?;
        let is_changed = !missing.is_empty() || !group.erased.is_empty();
        Ok((HourActivity::of(&self.store.chunks(agent, *hour).await?), is_changed))
    }

    /// Replaces the `records` that `activities` change. Returns the hours of records that were replaced by others.
    async fn replace(
        &self,
        groups: &BTreeMap<AgentHour, Group>,
        activities: &BTreeMap<&AgentHour, HourActivity>,
        records: BTreeMap<RecordKey, Versioned<Record>>,
        added: &BTreeSet<AgentHour>,
        failures: &mut BTreeMap<AgentHour, StoreError>,
    ) -> BTreeSet<AgentHour> {
        let now = Timestamp::now();
        let first_kept = Hour::of(now.millis()).days_earlier(self.kept_days);
        let none = UserHour::default();
        let mut changes: BTreeMap<RecordKey, (Record, BTreeSet<&AgentHour>)> = BTreeMap::new();
        for (hour, activity) in activities {
            let key = RecordKey::Hour(hour.0.clone(), hour.1);
            changes.insert(key, (Record::Hour(activity.record.clone()), BTreeSet::from([*hour])));
            for user in groups.get(*hour).into_iter().flat_map(|group| &group.users) {
                let key = RecordKey::User(hour.0.clone(), user.clone());
                let known = || records.get(&key).map_or_else(|| key.missing(), |known| known.record.clone());
                let (record, hours) = changes.entry(key.clone()).or_insert_with(|| (known(), BTreeSet::new()));
                hours.insert(hour);
                if let Record::User(record) = record {
                    record.erased_until = record.erased_until.filter(|until| *until >= now.seconds());
                    record.update(hour.1, activity.users.get(user).unwrap_or(&none), first_kept);
                }
            }
        }
        let versions = &records;
        let mut conflicts = BTreeSet::new();
        // Readers find users by the hours, so an hour is written after its users.
        let (hours, users): (Vec<_>, Vec<_>) = changes.iter().partition(|(key, _)| matches!(key, RecordKey::Hour(..)));
        for part in [users, hours] {
            let is_open = |hours: &BTreeSet<&AgentHour>| {
                hours.iter().all(|hour| !conflicts.contains(*hour) && !failures.contains_key(*hour))
            };
            let open = part.into_iter().filter(|(_, (_, hours))| is_open(hours));
            let writes = open.map(|(key, (record, hours))| async move {
                let known = versions.get(key);
                // If entries were added, an equal record is replaced too: a user could have been erased meanwhile.
                let is_added = hours.iter().any(|hour| added.contains(*hour));
                if !is_added && known.is_some_and(|known| known.record == *record) {
                    return (hours, Ok(true));
                }
                (hours, self.store.replace(key, record, known.map_or(0, |known| known.version)).await)
            });
            let writes: Vec<_> = writes.collect();
            let mut written = stream::iter(writes).buffer_unordered(PARALLEL);
            while let Some((hours, result)) = written.next().await {
                match result {
                    Ok(true) => {}
                    Ok(false) => conflicts.extend(hours.iter().map(|hour| (*hour).clone())),
                    Err(failure) => failures.extend(hours.iter().map(|hour| ((*hour).clone(), failure.clone()))),
                }
            }
        }
        conflicts.retain(|hour| !failures.contains_key(hour));
        conflicts
    }
}

/// Returns the chunk at `key`, which is added if it is missing.
fn chunk_at(chunks: &mut BTreeMap<ChunkKey, Chunk>, key: ChunkKey) -> &mut Chunk {
    chunks.entry(key.clone()).or_insert_with(|| Chunk::new(key))
}

/// Calls `work` for all `items`, some concurrently, and returns the first failure.
async fn for_all<T, F>(items: impl Iterator<Item = T>, work: impl Fn(T) -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    let work: Vec<_> = items.map(work).collect();
    let results: Vec<_> = stream::iter(work).buffer_unordered(PARALLEL).collect().await;
    results.into_iter().collect()
}
