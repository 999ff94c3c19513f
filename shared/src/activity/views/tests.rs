//! Follows the pages of random read models and compares them with the entries from which the models were computed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::store::{HourPage, ReadActivity, UserPage};
use super::{ActivityPage, AgentEntryQuery, BoardQuery, RowPosition, TimeSort, board, entries, today, walk};
use crate::activity::hour::{HourActivity, HourRecord};
use crate::activity::{Chunk, ChunkKey, Hour, UserRecord};
use crate::aws::StoreError;
use crate::ids::{AgentId, Signal, UserId};
use crate::logging::segment::Segment;
use crate::logging::store::{GetLog, KeyPage, ListLogs};
use crate::logging::{Conversation, EntryOrder, Span};
use crate::time::Timestamp;

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600_000;
/// More pages than a list of these tests has.
const MANY_PAGES: usize = 500;

/// A log entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    order: EntryOrder,
    user: UserId,
    signal: Signal,
}

fn entry(user: &str, millis: i64, id: u128, signal: &str) -> Known {
    Known {
        order: (NEW_YEAR + millis, Uuid::from_u128(id)),
        user: UserId::try_from(user).expect("a user"),
        signal: Signal::try_from(signal).expect("a signal"),
    }
}

fn agent() -> AgentId {
    AgentId::try_from("agent").expect("an agent")
}

fn conversation(user: &UserId) -> Conversation {
    Conversation { agent_id: agent(), user_id: user.clone() }
}

/// The read model and the log of one agent, and the numbers of reads.
#[derive(Debug, Default)]
struct Memory {
    chunks: BTreeMap<Hour, Vec<Chunk>>,
    hours: BTreeMap<Hour, HourRecord>,
    users: BTreeMap<UserId, UserRecord>,
    objects: BTreeMap<String, Vec<u8>>,
    chunk_reads: AtomicUsize,
    user_reads: AtomicUsize,
    record_reads: AtomicUsize,
}

impl Memory {
    /// Computes the read model of `known`, as the worker does, without objects.
    fn of(known: &[Known]) -> Self {
        let mut chunks: BTreeMap<ChunkKey, Chunk> = BTreeMap::new();
        for entry in known {
            let key = ChunkKey::of(&conversation(&entry.user), entry.order.0);
            chunks.entry(key.clone()).or_insert_with(|| Chunk::new(key)).add(entry.order, entry.signal.clone());
        }
        let mut memory = Self::default();
        for (key, chunk) in chunks {
            memory.chunks.entry(key.hour).or_default().push(chunk);
        }
        for (hour, chunks) in &memory.chunks {
            let activity = HourActivity::of(chunks);
            for (user, of_user) in &activity.users {
                memory.users.entry(user.clone()).or_default().update(*hour, of_user, Hour::of(0));
            }
            memory.hours.insert(*hour, activity.record);
        }
        memory
    }

    /// Stores the entries of `known`: those of a user and an hour in one object if `is_batch`, else each in its own.
    fn store(&mut self, known: &[Known], is_batch: impl Fn(&UserId, Hour) -> bool) {
        let mut batches: BTreeMap<(UserId, Hour), Vec<Known>> = BTreeMap::new();
        for entry in known {
            let hour = Hour::of(entry.order.0);
            if is_batch(&entry.user, hour) {
                batches.entry((entry.user.clone(), hour)).or_default().push(entry.clone());
            } else {
                self.put(std::slice::from_ref(entry));
            }
        }
        batches.into_values().for_each(|batch| self.put(&batch));
    }

    fn put(&mut self, entries: &[Known]) {
        let counted: Vec<_> = entries.iter().map(|entry| (entry.order, entry.signal.clone())).collect();
        let line = |entry: &Known| {
            let timestamp = Timestamp::from_millis(entry.order.0).expect("a time").to_rfc3339_millis();
            let line = json!({
                "log_id": entry.order.1, "timestamp": timestamp, "user_id": entry.user, "detected_signal": entry.signal,
            });
            format!("{line}\n")
        };
        let key = Segment::of(&counted).expect("a segment").key(&conversation(&entries[0].user));
        self.objects.insert(key, entries.iter().map(line).collect::<String>().into_bytes());
    }
}

impl ReadActivity for Memory {
    async fn hours(
        &self,
        _: &AgentId,
        oldest: Hour,
        newest: Hour,
        limit: Option<usize>,
    ) -> Result<HourPage, StoreError> {
        self.record_reads.fetch_add(1, Relaxed);
        let mut hours: Vec<_> =
            self.hours.range(oldest..=newest).rev().map(|(hour, record)| (*hour, record.clone())).collect();
        let more = limit.is_some_and(|limit| hours.len() > limit);
        hours.truncate(limit.unwrap_or(usize::MAX));
        let next = hours.last().filter(|_| more).map(|(last, _)| last.earlier(1));
        Ok(HourPage { hours, next })
    }

    async fn chunks_with(&self, _: &AgentId, hour: Hour, signal: Option<&Signal>) -> Result<Vec<Chunk>, StoreError> {
        self.chunk_reads.fetch_add(1, Relaxed);
        let chunks = self.chunks.get(&hour).into_iter().flatten();
        Ok(chunks.filter(|chunk| signal.is_none_or(|signal| chunk.sets.contains_key(signal))).cloned().collect())
    }

    async fn users(&self, _: &AgentId, users: &[UserId]) -> Result<Vec<UserRecord>, StoreError> {
        self.user_reads.fetch_add(1, Relaxed);
        assert!(users.len() <= 100, "{} users at once", users.len());
        Ok(users.iter().map(|user| self.users.get(user).cloned().unwrap_or_default()).collect())
    }

    async fn users_after(&self, _: &AgentId, after: Option<&UserId>, limit: usize) -> Result<UserPage, StoreError> {
        let rest = self.users.iter().filter(|(user, _)| after.is_none_or(|after| after < *user));
        let mut users: Vec<_> = rest.map(|(user, record)| (user.clone(), record.clone())).collect();
        let more = users.len() > limit;
        users.truncate(limit);
        let last = users.last().filter(|_| more).map(|(user, _)| user.clone());
        Ok(UserPage { users, last })
    }
}

impl ListLogs for Memory {
    async fn list(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<KeyPage, StoreError> {
        let keys = self.objects.keys().filter(|key| key.starts_with(prefix));
        let mut keys: Vec<_> =
            keys.filter(|key| start_after.is_none_or(|after| key.as_str() > after)).cloned().collect();
        let limit = usize::try_from(max_keys).expect("a limit");
        let more = keys.len() > limit;
        keys.truncate(limit);
        Ok(KeyPage { keys, more })
    }
}

impl GetLog for Memory {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.objects.get(key).cloned())
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Returns the rows of all pages. Each page advances.
fn follow<T, P: Clone + PartialEq + std::fmt::Debug>(
    limit: usize,
    mut page_after: impl FnMut(Option<P>) -> ActivityPage<T, P>,
) -> Vec<Vec<T>> {
    let (mut pages, mut last) = (Vec::new(), None);
    while pages.len() < MANY_PAGES {
        let page = page_after(last.clone());
        assert!(page.rows.len() <= limit, "{} rows", page.rows.len());
        pages.push(page.rows);
        if page.next.is_none() {
            return pages;
        }
        assert_ne!(page.next, last);
        last = page.next;
    }
    panic!("no end after {MANY_PAGES} pages")
}

fn query(limit: usize, signal: Option<&str>) -> BoardQuery {
    BoardQuery {
        signal: signal.map(|name| Signal::try_from(name).expect("a signal")),
        since: Hour::of(NEW_YEAR),
        limit,
    }
}

/// Returns the names of the users on all pages in the order of `sort`.
fn users_by_time(memory: &Memory, sort: TimeSort, query: &BoardQuery) -> Vec<Vec<String>> {
    let page = |last: Option<RowPosition>| {
        // A position is sent as text.
        let last = last.map(|last| RowPosition::parse(&last.to_string()).expect("a position"));
        let page = block_on(board::by_time(memory, &agent(), sort, query, last)).expect("read");
        ActivityPage { rows: page.rows.into_iter().map(|row| row.user_id.to_string()).collect(), next: page.next }
    };
    follow(query.limit, page)
}

fn users_by_name(memory: &Memory, query: &BoardQuery) -> Vec<String> {
    let page = |last| block_on(board::by_name(memory, &agent(), query, last)).expect("read");
    follow(query.limit, page).concat().into_iter().map(|row| row.user_id.to_string()).collect()
}

/// Returns the newest entries of all users in `known` that have an entry with `signal`.
fn newest<'a>(known: &'a [Known], signal: Option<&str>) -> BTreeMap<&'a UserId, &'a Known> {
    let mut newest: BTreeMap<&UserId, &Known> = BTreeMap::new();
    for entry in known.iter().filter(|entry| signal.is_none_or(|signal| entry.signal.as_str() == signal)) {
        let known = newest.entry(&entry.user).or_insert(entry);
        if known.order < entry.order {
            *known = entry;
        }
    }
    newest
}

/// Returns the users whose newest entry, of those with `sorted_by`, decides their order, as far as their newest entry has
/// `signal`.
fn expected_by_time(known: &[Known], sorted_by: Option<&str>, signal: Option<&str>) -> Vec<String> {
    let latest = newest(known, None);
    let is_wanted = |user: &UserId| signal.is_none_or(|signal| latest[user].signal.as_str() == signal);
    let mut users: Vec<_> = newest(known, sorted_by).into_iter().filter(|(user, _)| is_wanted(user)).collect();
    users.sort_by(|(first, a), (second, b)| b.order.cmp(&a.order).then(first.cmp(second)));
    users.into_iter().map(|(user, _)| user.to_string()).collect()
}

/// Generates entries of some users in some hours. Every id is used once per user at most, and times repeat.
fn known() -> impl Strategy<Value = Vec<Known>> {
    let signal = prop_oneof![Just("neutral"), Just("stressed"), Just("odd one")];
    let parts = (0..9_u8, 0..40_i64, 0..4_i64, 0..4_u128, signal);
    prop::collection::vec(parts, 0..60).prop_map(|entries| {
        let known = entries.into_iter().map(|(user, hour, part, id, signal)| {
            let millis = hour * HOUR + part * 20 * 60_000;
            entry(&format!("user {user}"), millis, id, signal)
        });
        // An entry has one signal.
        let known: BTreeMap<_, _> = known.map(|entry| ((entry.order, entry.user.clone()), entry)).collect();
        known.into_values().collect()
    })
}

proptest! {
    #[test]
    fn pages_by_time_have_every_user_once_and_in_order(
        known in known(), limit in 1..6_usize, signal in prop::option::of(prop_oneof![Just("neutral"), Just("stressed")])
    ) {
        let memory = Memory::of(&known);
        for (sort, sorted_by) in [(TimeSort::Recent, None), (TimeSort::Stressed, Some("stressed"))] {
            let found = users_by_time(&memory, sort, &query(limit, signal)).concat();
            prop_assert_eq!(found, expected_by_time(&known, sorted_by, signal));
        }
    }

    #[test]
    fn pages_by_name_have_every_user_once_and_in_order(
        known in known(), limit in 1..6_usize, signal in prop::option::of(Just("stressed"))
    ) {
        let latest = newest(&known, None).into_iter();
        let wanted = latest.filter(|(_, entry)| signal.is_none_or(|signal| entry.signal.as_str() == signal));
        let expected: Vec<_> = wanted.map(|(user, _)| user.to_string()).collect();
        prop_assert_eq!(users_by_name(&Memory::of(&known), &query(limit, signal)), expected);
    }

    #[test]
    fn pages_of_entries_have_every_stored_entry_once_and_in_order(
        known in known(), limit in 1..6_usize, signal in prop::option::of(Just("odd one")),
        since in prop::option::of(0..40_i64), until in prop::option::of(0..40_i64),
        batches in prop::collection::btree_set(0..40_i64, 0..20), erased in prop::option::of(0..9_u8),
    ) {
        let mut memory = Memory::of(&known);
        let is_erased = |user: &UserId| erased.is_some_and(|number| user.as_str() == format!("user {number}"));
        let stored: Vec<_> = known.iter().filter(|entry| !is_erased(&entry.user)).cloned().collect();
        memory.store(&stored, |_, hour| batches.contains(&((hour.start() - NEW_YEAR) / HOUR)));
        let time = |hour: i64| Timestamp::from_millis(NEW_YEAR + hour * HOUR);
        let span = Span::new(since.and_then(time), until.and_then(time));
        let page = |last: Option<RowPosition>| {
            let last = last.map(|last| RowPosition::parse(&last.to_string()).expect("a position"));
            let signal = signal.map(|name| Signal::try_from(name).expect("a signal"));
            let query = AgentEntryQuery { signal, span, last, limit };
            block_on(entries::newest(&memory, &memory, &agent(), &query)).expect("read")
        };
        let found = follow(limit, page).concat().into_iter().map(|entry| {
            let user = serde_json::from_str::<serde_json::Value>(entry.json.get()).expect("JSON")["user_id"].clone();
            (entry.order, user.as_str().expect("a user").to_owned())
        });
        let is_wanted = |entry: &&Known| {
            (span.first()..=span.last()).contains(&entry.order.0) && signal.is_none_or(|signal| entry.signal.as_str() == signal)
        };
        let mut expected: Vec<_> =
            stored.iter().filter(is_wanted).map(|entry| (entry.order, entry.user.to_string())).collect();
        expected.sort_by(|(a, first), (b, second)| b.cmp(a).then(first.cmp(second)));
        prop_assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn stressed_user_among_many_is_first() {
    let mut known: Vec<_> =
        (0..400).map(|n| entry(&format!("user {n:03}"), n * 60_000, n as u128, "neutral")).collect();
    known.push(entry("zoe", 90 * 60_000, 1_000, "stressed"));
    known.push(entry("zoe", 399 * 60_000, 1_001, "neutral"));
    known.push(entry("adam", 80 * 60_000, 1_002, "stressed"));
    let memory = Memory::of(&known);
    assert_eq!(users_by_time(&memory, TimeSort::Stressed, &query(10, None)), [["zoe", "adam"]]);
    assert_eq!((memory.chunk_reads.into_inner(), memory.user_reads.into_inner()), (1, 1));
}

#[test]
fn row_has_latest_entries_and_counts_by_day() {
    let day = 24 * HOUR;
    let known = [
        entry("maria", -1, 1, "stressed"),
        entry("maria", day - 1, 2, "stressed"),
        entry("maria", day, 3, "neutral"),
        entry("maria", day + HOUR, 4, "neutral"),
    ];
    let page = block_on(board::by_name(&Memory::of(&known), &agent(), &query(1, None), None)).expect("read");
    let [row] = &page.rows[..] else { panic!("{page:?}") };
    assert_eq!((row.newest.0, row.newest_stressed), (known[3].order, Some(known[1].order)));
    assert_eq!((row.counts.of("stressed"), row.counts.of("neutral")), (1, 2));
    let days: Vec<_> = row.days.iter().map(|(day, counts)| (day.as_str(), counts.total())).collect();
    assert_eq!(days, [("2026-01-01", 1), ("2026-01-02", 2)]);
    assert_eq!(page.next, None);
}

#[test]
fn erased_user_is_left_out() {
    let known = [entry("maria", 0, 1, "stressed"), entry("paul", 1, 2, "stressed")];
    let mut memory = Memory::of(&known);
    memory.users.insert(known[0].user.clone(), UserRecord { erased_until: Some(1), ..UserRecord::default() });
    for sort in [TimeSort::Recent, TimeSort::Stressed] {
        assert_eq!(users_by_time(&memory, sort, &query(10, None)).concat(), ["paul"]);
    }
    assert_eq!(users_by_name(&memory, &query(1, None)), ["paul"]);
}

#[test]
fn request_reads_ten_hours_and_a_thousand_users_at_most() {
    // Nobody has the wanted signal but the user who comes last in the oldest hour.
    let mut known: Vec<_> = (0..2_500).map(|n| entry(&format!("user {n:04}"), n, n as u128, "neutral")).collect();
    known.extend((1..=25).map(|hour| entry("user 0000", hour * HOUR, hour as u128, "neutral")));
    known.push(entry("zoe", 0, 0, "odd one"));
    let memory = Memory::of(&known);
    let pages = users_by_time(&memory, TimeSort::Recent, &query(10, Some("odd one")));
    let sizes: Vec<_> = pages.iter().map(Vec::len).collect();
    // The pages end after 10 hours, after 10 hours, after 5 hours and 995 users, after 1,000 users, and at the end.
    assert_eq!((pages.concat(), sizes), (vec!["zoe".to_owned()], vec![0, 0, 0, 0, 1]));
    // A page that ends within an hour leads to one that reads this hour again.
    assert_eq!(memory.chunk_reads.into_inner(), 10 + 10 + 6 + 1 + 1);
    assert_eq!(memory.user_reads.into_inner(), 10 + 10 + (5 + 10) + 10 + 6);
}

#[test]
fn request_reads_records_of_a_thousand_hours_at_most() {
    let mut known: Vec<_> = (1..2_000).map(|hour| entry("busy", hour * HOUR, hour as u128, "neutral")).collect();
    known.push(entry("zoe", 0, 0, "stressed"));
    let memory = Memory::of(&known);
    let pages = users_by_time(&memory, TimeSort::Stressed, &query(10, None));
    assert_eq!(pages, [vec![], vec![], vec!["zoe".to_owned()]]);
    assert_eq!((memory.chunk_reads.into_inner(), memory.record_reads.into_inner()), (1, 3 + 3 + 2));
    assert_eq!(walk::MAX_HOURS, 10);
}

#[test]
fn today_begins_at_midnight_and_has_the_users_of_the_hour() {
    let known = [
        entry("maria", -1, 1, "stressed"),
        entry("maria", 0, 2, "neutral"),
        entry("paul", 5 * HOUR, 3, "stressed"),
        entry("maria", 5 * HOUR, 4, "neutral"),
        entry("zoe", 6 * HOUR, 5, "odd one"),
    ];
    let memory = Memory::of(&known);
    let at = |millis| {
        let now = Timestamp::from_millis(NEW_YEAR + millis).expect("a time");
        let (_, today) = block_on(today::today(&memory, vec![agent()], now)).expect("read").remove(0);
        let newest = today.newest.map(|hour| (hour.start() - NEW_YEAR) / HOUR);
        (today.counts.total(), today.users.all, today.users.stressed, newest)
    };
    assert_eq!(at(5 * HOUR + 1), (4, 2, 1, Some(6)));
    assert_eq!(at(23 * HOUR), (4, 0, 0, Some(6)));
    assert_eq!(at(24 * HOUR), (0, 0, 0, None));
    assert_eq!(at(-1), (1, 1, 1, Some(-1)));
}

#[test]
fn entries_of_both_kinds_of_objects_are_found_once() {
    let known = [entry("maria", 1, 1, "neutral"), entry("maria", 2, 2, "stressed"), entry("maria", 3, 3, "neutral")];
    let mut memory = Memory::of(&known);
    memory.store(&known, |_, _| true);
    memory.store(&known[1..2], |_, _| false);
    let query = AgentEntryQuery { signal: None, span: Span::default(), last: None, limit: 10 };
    let page = block_on(entries::newest(&memory, &memory, &agent(), &query)).expect("read");
    let found: Vec<_> = page.rows.iter().map(|entry| entry.order).collect();
    assert_eq!(found, [known[2].order, known[1].order, known[0].order]);
    let unique: BTreeSet<_> = found.iter().collect();
    assert_eq!((unique.len(), page.next), (3, None));
}
