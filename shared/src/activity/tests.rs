//! Runs workers on random and on all schedules of their calls, stops some of them halfway, and compares the result with a
//! recount of the objects.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::chunk::{Chunk, ChunkKey};
use super::hour::{Hour, HourRecord, Slot};
use super::store::{ActivityStore, Record, RecordKey};
use super::user::UserRecord;
use super::{RollUp, erase};
use crate::aws::StoreError;
use crate::aws::versioned::Versioned;
use crate::ids::{AgentId, Signal, UserId};
use crate::logging::segment::Segment;
use crate::logging::store::{GetLog, KeyPage, ListLogs};
use crate::logging::{Conversation, EntryOrder};
use crate::time::Timestamp;

const HOUR: i64 = 3_600_000;
/// More than the time since the entries of these tests.
const KEPT_DAYS: i64 = 100 * 366;
/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600_000;
/// After the end of every test.
const LATER: i64 = 9_999_999_999;

/// A log entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    user: u8,
    order: EntryOrder,
    signal: &'static str,
}

/// Returns an entry of one of two users, in one of two hours.
fn entry(number: u8) -> Known {
    let millis = NEW_YEAR + i64::from(number / 2 % 2) * HOUR + i64::from(number) * 40_000;
    let signal = ["neutral", "stressed", "odd one"][usize::from(number / 3 % 3)];
    Known { user: number % 2, order: (millis, Uuid::from_u128(u128::from(number) + 1)), signal }
}

fn agent() -> AgentId {
    AgentId::try_from("agent").expect("an agent")
}

fn user(number: u8) -> UserId {
    UserId::try_from(format!("user {number}")).expect("a user")
}

fn conversation(number: u8) -> Conversation {
    Conversation { agent_id: agent(), user_id: user(number) }
}

fn signal(name: &str) -> Signal {
    Signal::try_from(name).expect("a signal")
}

/// Returns the objects of `numbers`: one for each user and hour.
fn objects(numbers: &[u8]) -> Vec<(String, Vec<Known>)> {
    let mut groups: BTreeMap<(u8, Hour), BTreeSet<Known>> = BTreeMap::new();
    for entry in numbers.iter().map(|number| entry(*number)) {
        groups.entry((entry.user, Hour::of(entry.order.0))).or_default().insert(entry);
    }
    let object = |((user, _), entries): ((u8, Hour), BTreeSet<Known>)| {
        let entries: Vec<_> = entries.into_iter().collect();
        let counted: Vec<_> = entries.iter().map(|entry| (entry.order, signal(entry.signal))).collect();
        (Segment::of(&counted).expect("a segment").key(&conversation(user)), entries)
    };
    groups.into_iter().map(object).collect()
}

/// The stores. Every call takes effect when the scheduler grants a step.
#[derive(Debug, Default)]
struct Stores(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    granted: bool,
    objects: BTreeMap<String, Vec<Known>>,
    chunks: BTreeMap<ChunkKey, Chunk>,
    records: BTreeMap<RecordKey, Versioned<Record>>,
}

impl Stores {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no panic")
    }

    async fn step(&self) {
        std::future::poll_fn(|context| {
            if std::mem::take(&mut self.lock().granted) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn put(&self, numbers: &[u8]) -> Vec<String> {
        let objects = objects(numbers);
        let keys = objects.iter().map(|(key, _)| key.clone()).collect();
        self.lock().objects.extend(objects);
        keys
    }

    fn worker(&self) -> RollUp<&Self, &Self> {
        RollUp { store: self, log: self, kept_days: KEPT_DAYS }
    }

    /// Returns the records that a recount of the objects gives.
    fn recount(&self) -> BTreeMap<RecordKey, Record> {
        let entries: BTreeSet<Known> = self.lock().objects.values().flatten().cloned().collect();
        let mut records = BTreeMap::new();
        let hours: BTreeSet<Hour> = entries.iter().map(|entry| Hour::of(entry.order.0)).collect();
        for hour in &hours {
            let within: Vec<_> = entries.iter().filter(|entry| Hour::of(entry.order.0) == *hour).collect();
            let mut record = HourRecord::default();
            for entry in &within {
                record.slots.entry(Slot::of(entry.order.0)).or_default().add(signal(entry.signal), 1);
            }
            let users = |only: Option<&str>| {
                let selected = within.iter().filter(|entry| only.is_none_or(|only| entry.signal == only));
                selected.map(|entry| entry.user).collect::<BTreeSet<_>>().len() as u64
            };
            (record.users, record.stressed_users) = (users(None), users(Some("stressed")));
            records.insert(RecordKey::Hour(agent(), *hour), Record::Hour(record));
        }
        for number in entries.iter().map(|entry| entry.user).collect::<BTreeSet<_>>() {
            let own: Vec<_> = entries.iter().filter(|entry| entry.user == number).collect();
            let newest = own.iter().max_by_key(|entry| entry.order).expect("an entry");
            let mut record = UserRecord {
                newest: Some((newest.order, signal(newest.signal))),
                newest_stressed: own.iter().filter(|entry| entry.signal == "stressed").map(|entry| entry.order).max(),
                ..UserRecord::default()
            };
            for entry in own {
                record.hours.entry(Hour::of(entry.order.0)).or_default().add(signal(entry.signal), 1);
            }
            records.insert(RecordKey::User(agent(), user(number)), Record::User(record));
        }
        records
    }

    /// Returns the stored records without empty ones and marks.
    fn records(&self) -> BTreeMap<RecordKey, Record> {
        let mut records: BTreeMap<_, _> =
            self.lock().records.iter().map(|(key, versioned)| (key.clone(), versioned.record.clone())).collect();
        for record in records.values_mut() {
            if let Record::User(user) = record {
                user.erased_until = None;
                user.hours.retain(|_, counts| !counts.is_empty());
            }
        }
        records.retain(|key, record| *record != key.missing());
        records
    }
}

impl GetLog for &Stores {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.step().await;
        let line = |entry: &Known| {
            let timestamp = Timestamp::from_millis(entry.order.0).expect("a time").to_rfc3339_millis();
            let line = json!({ "log_id": entry.order.1, "timestamp": timestamp, "detected_signal": entry.signal });
            format!("{line}\n")
        };
        Ok(self.lock().objects.get(key).map(|entries| entries.iter().map(line).collect::<String>().into_bytes()))
    }
}

impl ListLogs for &Stores {
    async fn list(&self, prefix: &str, start_after: Option<&str>, _: i32) -> Result<KeyPage, StoreError> {
        self.step().await;
        let is_listed = |key: &&String| key.starts_with(prefix) && start_after.is_none_or(|start| key.as_str() > start);
        Ok(KeyPage { keys: self.lock().objects.keys().filter(is_listed).cloned().collect(), more: false })
    }
}

impl ActivityStore for &Stores {
    async fn add(&self, chunk: &Chunk) -> Result<(), StoreError> {
        self.step().await;
        let mut inner = self.lock();
        let stored = inner.chunks.entry(chunk.key.clone()).or_insert_with(|| Chunk::new(chunk.key.clone()));
        for (signal, orders) in &chunk.sets {
            orders.iter().for_each(|order| stored.add(*order, signal.clone()));
        }
        Ok(())
    }

    async fn remove(&self, chunk: &Chunk) -> Result<(), StoreError> {
        self.step().await;
        if let Some(stored) = self.lock().chunks.get_mut(&chunk.key) {
            stored.subtract(chunk);
        }
        Ok(())
    }

    async fn delete(&self, key: &ChunkKey) -> Result<(), StoreError> {
        self.step().await;
        self.lock().chunks.remove(key);
        Ok(())
    }

    async fn chunks(&self, agent: &AgentId, hour: Hour) -> Result<Vec<Chunk>, StoreError> {
        self.step().await;
        let is_wanted = |chunk: &&Chunk| chunk.key.agent_id == *agent && chunk.key.hour == hour;
        Ok(self.lock().chunks.values().filter(is_wanted).cloned().collect())
    }

    async fn chunks_of_user(&self, conversation: &Conversation, hour: Hour) -> Result<Vec<Chunk>, StoreError> {
        let mut chunks = self.chunks(&conversation.agent_id, hour).await?;
        chunks.retain(|chunk| chunk.key.user_id == conversation.user_id);
        Ok(chunks)
    }

    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Versioned<Record>>, StoreError> {
        self.step().await;
        let inner = self.lock();
        let missing = |key: &RecordKey| Versioned { record: key.missing(), version: 0 };
        Ok(keys.iter().map(|key| inner.records.get(key).cloned().unwrap_or_else(|| missing(key))).collect())
    }

    async fn replace(&self, key: &RecordKey, record: &Record, version: u64) -> Result<bool, StoreError> {
        self.step().await;
        let mut inner = self.lock();
        let known = inner.records.get(key).map_or(0, |known| known.version);
        if known == version {
            inner.records.insert(key.clone(), Versioned { record: record.clone(), version: version + 1 });
        }
        Ok(known == version)
    }
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Returns a worker's work on the objects under `keys`.
fn work(stores: &Stores, keys: Vec<String>) -> Task<'_> {
    Box::pin(async move {
        let failures = stores.worker().count(&keys).await;
        assert_eq!(failures.into_values().map(|failure| failure.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
    })
}

/// Returns the erasure of the user `number`.
fn erasure(stores: &Stores, number: u8) -> Task<'_> {
    Box::pin(async move {
        let conversation = conversation(number);
        let is_own = |key: &String| crate::logging::segment::conversation_of(key).as_ref() == Some(&conversation);
        loop {
            stores.step().await;
            let own: BTreeMap<_, _> = {
                let inner = stores.lock();
                inner
                    .objects
                    .iter()
                    .filter(|(key, _)| is_own(key))
                    .map(|(key, own)| (key.clone(), own.clone()))
                    .collect()
            };
            if own.is_empty() {
                break;
            }
            let hours = own.values().flatten().map(|entry| Hour::of(entry.order.0)).collect();
            erase::mark(&stores, &conversation, &hours, LATER).await.expect("stored");
            stores.step().await;
            stores.lock().objects.retain(|key, _| !own.contains_key(key));
        }
        erase::forget(&stores, &conversation, LATER).await.expect("stored");
    })
}

/// Grants `task` one step. Returns whether the task ended.
fn advance(stores: &Stores, task: &mut Task<'_>) -> bool {
    stores.lock().granted = true;
    // The work in progress is polled until it took the step.
    loop {
        if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        if !stores.lock().granted {
            return false;
        }
    }
}

fn finish(stores: &Stores, mut task: Task<'_>) {
    while !advance(stores, &mut task) {}
}

/// Work of a task.
enum Work {
    /// The objects under these keys, of which S3 notified.
    Notified(Vec<String>),
    /// The erasure of this user.
    Erasure(u8),
}

/// An event of a schedule.
#[derive(Clone, Debug)]
enum Action {
    /// Stores objects with these entries, whose notifications a worker receives.
    Put(Vec<u8>),
    /// Delivers the notifications of an earlier batch again.
    Redeliver(usize),
    /// Grants a worker some steps.
    Advance(usize, u8),
    /// Kills a worker. Its notifications are delivered again at the end.
    Kill(usize),
    /// Begins to erase a user.
    Erase(u8),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => proptest::collection::vec(0..16_u8, 1..4).prop_map(Action::Put),
        1 => any::<usize>().prop_map(Action::Redeliver),
        12 => (any::<usize>(), 1..6_u8).prop_map(|(worker, steps)| Action::Advance(worker, steps)),
        1 => any::<usize>().prop_map(Action::Kill),
    ]
}

/// Runs `actions`, then delivers what was not handled, and compares the records with a recount.
fn check(actions: &[Action]) {
    let stores = Stores::default();
    let mut delivered: Vec<Vec<String>> = Vec::new();
    let mut running: Vec<(Work, Task<'_>)> = Vec::new();
    let (mut unhandled, mut interrupted): (Vec<Vec<String>>, Vec<u8>) = Default::default();
    for action in actions {
        match action {
            Action::Put(numbers) => {
                let keys = stores.put(numbers);
                delivered.push(keys.clone());
                running.push((Work::Notified(keys.clone()), work(&stores, keys)));
            }
            Action::Redeliver(index) if !delivered.is_empty() => {
                let keys = delivered[index % delivered.len()].clone();
                running.push((Work::Notified(keys.clone()), work(&stores, keys)));
            }
            Action::Advance(index, steps) if !running.is_empty() => {
                let index = index % running.len();
                if (0..*steps).any(|_| advance(&stores, &mut running[index].1)) {
                    drop(running.swap_remove(index));
                }
            }
            Action::Kill(index) if !running.is_empty() => {
                let index = index % running.len();
                // An erasure is repeated by its operator, a worker by its queue.
                match running.swap_remove(index).0 {
                    Work::Notified(keys) => unhandled.push(keys),
                    Work::Erasure(number) => interrupted.push(number),
                }
            }
            Action::Erase(number) => running.push((Work::Erasure(*number), erasure(&stores, *number))),
            Action::Redeliver(_) | Action::Advance(..) | Action::Kill(_) => {}
        }
    }
    running.into_iter().for_each(|(_, task)| finish(&stores, task));
    interrupted.into_iter().for_each(|number| finish(&stores, erasure(&stores, number)));
    unhandled.into_iter().for_each(|keys| finish(&stores, work(&stores, keys)));
    assert_eq!(stores.records(), stores.recount());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn records_equal_a_recount_of_the_objects(actions in proptest::collection::vec(action(), 1..40)) {
        check(&actions);
    }

    #[test]
    fn erased_users_leave_no_share(
        mut actions in proptest::collection::vec(action(), 1..40), user in 0..2_u8, at in any::<prop::sample::Index>()
    ) {
        let at = at.index(actions.len());
        // Objects of the user that are stored later are not erased.
        for action in &mut actions[at..] {
            if let Action::Put(numbers) = action {
                numbers.retain(|number| entry(*number).user != user);
            }
        }
        actions.insert(at, Action::Erase(user));
        check(&actions);
    }
}

/// Counts the schedules of two workers, each with a batch, and compares the records after each with a recount.
fn check_all_schedules(first: &[u8], second: &[u8]) -> usize {
    let length = |stores: &Stores, keys: Vec<String>| {
        let (mut task, mut steps) = (work(stores, keys), 1);
        while !advance(stores, &mut task) {
            steps += 1;
        }
        steps
    };
    let stores = Stores::default();
    let keys = stores.put(first);
    let steps = length(&stores, keys);
    let mut count = 0;
    // The bits of a schedule tell who takes the next step until the first worker would have ended alone.
    for schedule in 0..1_u32 << (2 * steps).min(14) {
        let stores = Stores::default();
        let (mut a, mut b) = (None, None);
        for (task, numbers) in [(&mut a, first), (&mut b, second)] {
            *task = Some(work(&stores, stores.put(numbers)));
        }
        for bit in 0..(2 * steps).min(14) {
            let task = if schedule >> bit & 1 == 0 { &mut a } else { &mut b };
            if let Some(work) = task
                && advance(&stores, work)
            {
                *task = None;
            }
        }
        [a, b].into_iter().flatten().for_each(|task| finish(&stores, task));
        assert_eq!(stores.records(), stores.recount(), "{schedule:b}");
        count += 1;
    }
    count
}

#[test]
fn two_workers_agree_on_every_schedule() {
    // One entry each, of one user or of two in the same hour; the same entry; an object that repeats an entry.
    for (first, second) in [(&[0][..], &[4][..]), (&[0], &[1]), (&[0], &[0]), (&[0], &[0, 4]), (&[0, 4], &[4, 8])] {
        assert!(check_all_schedules(first, second) >= 1 << 10, "{first:?} {second:?}");
    }
}

#[test]
fn unrelated_objects_are_ignored() {
    let stores = Stores::default();
    let keys = ["logs/_compaction", "logs/agent_id=a/user_id=u/readme", "x"].map(str::to_owned);
    finish(&stores, work(&stores, keys.to_vec()));
    // A segment of several entries that was compacted meanwhile.
    let gone = stores.put(&[0, 4]);
    stores.lock().objects.clear();
    finish(&stores, work(&stores, gone));
    assert_eq!(stores.records(), BTreeMap::new());
}

#[test]
fn user_record_forgets_hours_that_are_not_kept() {
    let stores = Stores::default();
    let keys = stores.put(&[0]);
    let worker = RollUp { store: &stores, log: &stores, kept_days: 1 };
    let task: Task<'_> = Box::pin(async { drop(worker.count(&keys).await) });
    finish(&stores, task);
    let records = stores.records();
    let Some(Record::User(user)) = records.get(&RecordKey::User(agent(), user(0))) else { panic!("no user") };
    assert!(user.hours.is_empty() && user.newest.is_some(), "{user:?}");
}
