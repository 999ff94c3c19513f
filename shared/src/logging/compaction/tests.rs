//! Runs compactors, writers and readers in random order, one call at a time, and stops some of them halfway.

use std::ops::Bound;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use uuid::Uuid;

use super::super::entry::Conversation;
use super::super::reader::{self, CountQuery, EntryQuery};
use super::super::store::{KeyPage, ListLogs, ObjectPage};
use super::*;
use crate::ids::{AgentId, Signal, UserId};

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600_000;

fn conversation() -> Conversation {
    Conversation {
        agent_id: AgentId::try_from("agent").expect("an agent"),
        user_id: UserId::try_from("user").expect("a user"),
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).expect("in range")
}

/// A bucket. Every call takes effect at a step of its own.
#[derive(Debug)]
struct Bucket(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    objects: BTreeMap<String, (Vec<u8>, Timestamp)>,
    now: Timestamp,
    /// Number of steps so far.
    step: u64,
    /// Maximum number of keys per listing.
    page_size: usize,
}

impl Bucket {
    fn new(page_size: usize) -> Self {
        Self(Mutex::new(Inner { objects: BTreeMap::new(), now: at(NEW_YEAR + 4 * HOUR), step: 0, page_size }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no panic")
    }

    /// Waits for the next step.
    async fn step(&self) {
        let start = self.lock().step;
        std::future::poll_fn(|context| {
            if self.lock().step == start {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    fn page(&self, prefix: &str, start_after: Option<&str>, max: usize) -> (Vec<StoredObject>, bool) {
        let inner = self.lock();
        let size = max.min(inner.page_size);
        let start = start_after.unwrap_or_default().max(prefix);
        let after = (Bound::Excluded(start), Bound::Unbounded);
        let found = inner.objects.range::<str, _>(after).take_while(|(key, _)| key.starts_with(prefix));
        let mut objects: Vec<StoredObject> = found
            .take(size + 1)
            .map(|(key, (body, modified))| StoredObject {
                key: key.clone(),
                modified: *modified,
                bytes: body.len() as u64,
            })
            .collect();
        let more = objects.len() > size;
        objects.truncate(size);
        (objects, more)
    }
}

impl ReplaceLog for Bucket {
    async fn replace(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        self.step().await;
        let mut inner = self.lock();
        let now = inner.now;
        inner.objects.insert(key.to_owned(), (body, now));
        Ok(())
    }
}

impl ListLogs for Bucket {
    async fn list(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<KeyPage, StoreError> {
        self.step().await;
        let (objects, more) = self.page(prefix, start_after, usize::try_from(max_keys).expect("positive"));
        Ok(KeyPage { keys: objects.into_iter().map(|object| object.key).collect(), more })
    }
}

impl ListObjects for Bucket {
    async fn objects(&self, prefix: &str, start_after: Option<&str>) -> Result<ObjectPage, StoreError> {
        self.step().await;
        let (objects, more) = self.page(prefix, start_after, 1_000);
        Ok(ObjectPage { objects, more })
    }
}

impl GetLog for Bucket {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.step().await;
        Ok(self.lock().objects.get(key).map(|(body, _)| body.clone()))
    }
}

impl PutLog for Bucket {
    async fn put(&self, key: &str, body: Vec<u8>) -> Result<PutResult, StoreError> {
        self.step().await;
        let is_new = {
            let mut inner = self.lock();
            let (now, is_new) = (inner.now, !inner.objects.contains_key(key));
            inner.objects.entry(key.to_owned()).or_insert((body, now));
            is_new
        };
        // The response can be lost.
        self.step().await;
        Ok(if is_new { PutResult::Stored } else { PutResult::Existing(()) })
    }
}

impl DeleteLog for Bucket {
    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        for key in keys {
            self.step().await;
            self.lock().objects.remove(key);
        }
        Ok(())
    }
}

type Known = (EntryOrder, Signal);

fn entry(number: u8) -> Known {
    let millis = NEW_YEAR + i64::from(number % 2) * HOUR + i64::from(number / 4);
    let signal = if number.is_multiple_of(3) { Signal::neutral() } else { Signal::unclassified() };
    ((millis, Uuid::from_u128(u128::from(number))), signal)
}

/// Returns the object of `entries`, which are of one hour.
fn object(entries: &[Known]) -> (String, Vec<u8>) {
    let key = Segment::of(entries).expect("a segment").key(&conversation());
    let lines = entries.iter().map(|((millis, id), signal)| {
        let timestamp = at(*millis).to_rfc3339_millis();
        let score = if *signal == Signal::neutral() { "0.5" } else { "null" };
        format!(
            "{{\"timestamp\":\"{timestamp}\",\"log_id\":\"{id}\",\"detected_signal\":\"neutral\",\
             \"classification\":{{\"score\":{score}}}}}\n"
        )
    });
    (key, lines.collect::<String>().into_bytes())
}

/// Entries that writers have sent, and those whose storage was acknowledged.
#[derive(Debug, Default)]
struct Written {
    sent: BTreeSet<EntryOrder>,
    acknowledged: BTreeSet<EntryOrder>,
}

/// A participant of a day.
#[derive(Clone, Debug)]
enum Actor {
    /// Stores the entries as one object per hour.
    Writer(Vec<u8>),
    Compactor,
    /// Reads all pages of this size.
    Reader(usize),
    /// Counts all entries.
    Counter,
}

fn actor() -> impl Strategy<Value = Actor> {
    prop_oneof![
        4 => prop::collection::vec(0..24_u8, 1..6).prop_map(Actor::Writer),
        3 => Just(Actor::Compactor),
        2 => (1..6_usize).prop_map(Actor::Reader),
        1 => Just(Actor::Counter),
    ]
}

/// The participants of a day, each with the number of its own steps after which it stops, if it does.
type Day = Vec<(Actor, Option<u16>)>;

fn days() -> impl Strategy<Value = Vec<Day>> {
    let actor = (actor(), prop::option::weighted(0.2, 0..30_u16));
    prop::collection::vec(prop::collection::vec(actor, 1..7), 1..6)
}

async fn act(actor: Actor, bucket: &Bucket, written: &Mutex<Written>, ages: Ages) {
    let acknowledged = || written.lock().expect("no panic").acknowledged.clone();
    let sent = || written.lock().expect("no panic").sent.clone();
    match actor {
        Actor::Writer(numbers) => {
            let entries: BTreeMap<EntryOrder, Signal> = numbers.into_iter().map(entry).collect();
            let mut hours: BTreeMap<i64, Vec<Known>> = BTreeMap::new();
            for (order, signal) in entries {
                hours.entry(segment::hour_end(order.0)).or_default().push((order, signal));
            }
            for entries in hours.into_values() {
                let orders: Vec<EntryOrder> = entries.iter().map(|(order, _)| *order).collect();
                written.lock().expect("no panic").sent.extend(&orders);
                let (key, body) = object(&entries);
                let stored = bucket.put(&key, body.clone()).await.expect("stored");
                // Another object can have the same key, and then has the same entries or others.
                let is_stored = match stored {
                    PutResult::Stored => true,
                    PutResult::Existing(()) => bucket.get(&key).await.expect("read") == Some(body),
                };
                if is_stored {
                    written.lock().expect("no panic").acknowledged.extend(&orders);
                }
            }
        }
        Actor::Compactor => {
            let now = bucket.lock().now;
            let deadline = Deadline::after(Duration::from_secs(3_600));
            let (_, next) = compact(bucket, now, ages, None, deadline).await.expect("compacted");
            assert_eq!(next, None);
        }
        Actor::Reader(limit) => {
            let expected = acknowledged();
            let (mut query, mut found) = (EntryQuery::newest(limit), Vec::new());
            loop {
                let page = reader::entries(bucket, &conversation(), &query).await.expect("read");
                found.extend(page.entries.iter().rev().map(|entry| entry.order));
                let Some(next) = page.next else { break };
                query.cursor = Some(next);
            }
            assert!(found.is_sorted_by(|a, b| a > b), "an entry is shown twice, or out of order: {found:?}");
            let found: BTreeSet<_> = found.into_iter().collect();
            assert!(found.is_superset(&expected), "missing: {:?}", expected.difference(&found).collect::<Vec<_>>());
            assert!(found.is_subset(&sent()), "entries that nobody sent");
        }
        Actor::Counter => {
            let expected = acknowledged().len() as u64;
            let (mut query, mut total) = (CountQuery::default(), 0);
            loop {
                let counts = reader::count(bucket, &conversation(), &query).await.expect("read");
                total += counts.total.in_order().iter().map(|(_, count)| count).sum::<u64>();
                query.cursor = counts.next;
                if query.cursor.is_none() {
                    break;
                }
            }
            assert!((expected..=sent().len() as u64).contains(&total), "{total} counted, at least {expected} stored");
        }
    }
}

/// A task, with the number of its own steps after which it stops, if it does.
type Task<'a> = (Pin<Box<dyn Future<Output = ()> + 'a>>, Option<u16>);

/// Runs the participants of a day.
fn run_day(day: &Day, bucket: &Bucket, written: &Mutex<Written>, ages: Ages, random: u64) {
    let tasks = day.iter().map(|(actor, stop)| (Box::pin(act(actor.clone(), bucket, written, ages)) as _, *stop));
    run_all(tasks.collect(), bucket, random);
}

/// Runs `tasks` until all have ended or stopped, each next step by one of them.
fn run_all(mut tasks: Vec<Task<'_>>, bucket: &Bucket, mut random: u64) {
    let mut context = Context::from_waker(Waker::noop());
    while !tasks.is_empty() {
        // A linear congruential generator by Knuth.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let index = usize::try_from(random >> 33).expect("31 bits") % tasks.len();
        bucket.lock().step += 1;
        let (task, stop) = &mut tasks[index];
        let is_ended = task.as_mut().poll(&mut context).is_ready() || *stop == Some(0);
        *stop = stop.map(|left| left.saturating_sub(1));
        if is_ended {
            drop(tasks.swap_remove(index));
        }
    }
}

/// Runs `days` and then compactors alone. Returns the bucket and what writers have sent.
fn run(days: &[Day], ages: Ages, page_size: usize, seed: u64) -> (Bucket, Written) {
    let (bucket, written) = (Bucket::new(page_size), Mutex::default());
    let alone: Day = vec![(Actor::Compactor, None)];
    for (number, day) in days.iter().chain([&alone, &alone, &alone, &alone]).enumerate() {
        run_day(day, &bucket, &written, ages, seed.wrapping_add(number as u64));
        let mut inner = bucket.lock();
        inner.now = inner.now.after(Duration::from_secs(25 * 3_600));
    }
    (bucket, written.into_inner().expect("no panic"))
}

/// Returns the orders of the entries of each object.
fn stored(bucket: &Bucket) -> Vec<Vec<EntryOrder>> {
    let inner = bucket.lock();
    let bodies = inner.objects.values().map(|(body, _)| RecordedEntry::parse_all(body));
    bodies.map(|entries| entries.map(|entry| entry.expect("an entry").order).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_schedule_shows_every_entry_once(days in days(), page_size in 1..8_usize, seed in any::<u64>()) {
        let (bucket, written) = run(&days, Ages::default(), page_size, seed);
        let objects = stored(&bucket);
        let all: Vec<EntryOrder> = objects.iter().flatten().copied().collect();
        let distinct: BTreeSet<EntryOrder> = all.iter().copied().collect();
        prop_assert!(distinct.is_superset(&written.acknowledged) && distinct.is_subset(&written.sent));
        // Both hours fit a segment each.
        prop_assert_eq!(all.len(), distinct.len());
        prop_assert!(objects.len() <= 2, "{} objects", objects.len());
    }
}

#[test]
fn hour_of_many_entries_becomes_few_full_segments() {
    let bucket = Bucket::new(1_000);
    for number in 0..2_500_u128 {
        let order = (NEW_YEAR + i64::try_from(number / 3).expect("small"), Uuid::from_u128(number));
        let (key, body) = object(&[(order, Signal::neutral())]);
        bucket.lock().objects.insert(key, (body, at(NEW_YEAR + HOUR)));
    }
    let written = Mutex::default();
    let alone: Day = vec![(Actor::Compactor, None)];
    for objects in [2_503, 3] {
        run_day(&alone, &bucket, &written, Ages::default(), 0);
        assert_eq!(bucket.lock().objects.len(), objects);
        let mut inner = bucket.lock();
        inner.now = inner.now.after(Duration::from_secs(25 * 3_600));
    }
    let mut sizes: Vec<usize> = stored(&bucket).iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [500, 1_000, 1_000]);
}

/// Stores an object for `user`, and returns its key.
fn store_for(bucket: &Bucket, user: &str) -> String {
    let user_id = UserId::try_from(user).expect("a user");
    let segment = Segment::of(&[entry(0)]).expect("a segment");
    let key = segment.key(&Conversation { user_id, ..conversation() });
    bucket.lock().objects.insert(key.clone(), (object(&[entry(0)]).1, at(NEW_YEAR)));
    key
}

fn progress(bucket: &Bucket) -> String {
    String::from_utf8(bucket.lock().objects[PROGRESS].0.clone()).expect("UTF-8")
}

#[test]
fn progress_does_not_name_an_erased_user_in_any_schedule() {
    let user = UserId::try_from("user 日").expect("a user");
    let mut kept = BTreeSet::new();
    for seed in 0..300 {
        let bucket = Bucket::new(1_000);
        let key = store_for(&bucket, user.as_str());
        let compactor = async { keep_progress(&bucket, &key).await.expect("stored") };
        let eraser = async {
            bucket.delete(std::slice::from_ref(&key)).await.expect("deleted");
            kept.insert(forget(&bucket, &user).await.expect("read"));
        };
        run_all(vec![(Box::pin(compactor), None), (Box::pin(eraser), None)], &bucket, seed);
        assert_eq!(progress(&bucket), "logs/agent_id=agent/user_id=", "seed {seed}");
    }
    assert_eq!(kept, BTreeSet::from([false, true]));
}

#[test]
fn progress_of_another_user_is_kept() {
    let bucket = Bucket::new(1_000);
    let key = store_for(&bucket, "user2");
    let erase = async {
        keep_progress(&bucket, &key).await.expect("stored");
        for other in ["user", "2", "r2", "user22"] {
            assert!(!forget(&bucket, &UserId::try_from(other).expect("a user")).await.expect("read"), "{other}");
        }
    };
    run_all(vec![(Box::pin(erase), None)], &bucket, 0);
    assert_eq!(progress(&bucket), key);
}

/// Returns whether one of some hundred schedules goes wrong with `ages`.
fn goes_wrong(ages: Ages) -> bool {
    let day = |entries: [u8; 4]| -> Day {
        let mut actors: Day = entries.iter().map(|number| (Actor::Writer(vec![*number]), None)).collect();
        actors.extend([(Actor::Compactor, None), (Actor::Reader(2), None), (Actor::Compactor, None)]);
        actors.extend([(Actor::Reader(1), None), (Actor::Counter, None)]);
        actors
    };
    let days = [day([0, 4, 8, 12]), day([2, 6, 10, 14]), day([16, 18, 20, 22])];
    (0..300).any(|seed| std::panic::catch_unwind(|| run(&days, ages, 3, seed)).is_err())
}

#[test]
fn schedules_detect_a_compactor_that_deletes_too_early() {
    assert!(!goes_wrong(Ages::default()));
    assert!(goes_wrong(Ages { grace: Duration::ZERO, open: Duration::ZERO, ..Ages::default() }));
}
