//! The reader against random logs of single-line and longer segments, compared with sorting everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::super::segment::Segment;
use super::super::span::{Bucket, Span};
use super::super::store::Page as Keys;
use super::*;
use crate::ids::{AgentId, UserId};

struct Memory {
    objects: BTreeMap<String, Vec<u8>>,
    /// The most keys that it lists at once, whatever it is asked for.
    page_size: usize,
    lists: AtomicUsize,
    gets: AtomicUsize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), page_size: 1_000, lists: AtomicUsize::new(0), gets: AtomicUsize::new(0) }
    }
}

impl ListLogs for Memory {
    async fn list(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<Keys, StoreError> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let size = usize::try_from(max_keys).expect("positive").min(self.page_size);
        let start = start_after.unwrap_or_default();
        let mut keys: Vec<_> =
            self.objects.keys().filter(|key| key.starts_with(prefix) && key.as_str() > start).cloned().collect();
        let more = keys.len() > size;
        keys.truncate(size);
        Ok(Keys { keys, more })
    }
}

impl GetLog for Memory {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        Ok(self.objects.get(key).cloned())
    }
}

type Known = (i64, Uuid, Signal);

fn conversation() -> Conversation {
    Conversation {
        agent_id: AgentId::try_from("agent").expect("an agent"),
        user_id: UserId::try_from("user").expect("a user"),
    }
}

/// Stores `entries`, of which there is at least one, as one segment.
fn store_segment(memory: &mut Memory, entries: &[Known]) {
    let newest = entries.iter().max().expect("an entry");
    let oldest = entries.iter().min().expect("an entry");
    let mut counts = BTreeMap::new();
    for (_, _, signal) in entries {
        *counts.entry(signal.clone()).or_insert(0) += 1;
    }
    let segment =
        Segment { newest: newest.0, oldest: oldest.0, newest_id: newest.1, counts: counts.into_iter().collect() };
    let lines = entries.iter().map(|(millis, id, signal)| {
        let timestamp = Timestamp::from_millis(*millis).expect("in range").to_rfc3339_millis();
        format!(
            "{{\"timestamp\":\"{timestamp}\",\"log_id\":\"{id}\",\"detected_signal\":\"{signal}\",\"later\":[1, 2]}}\n"
        )
    });
    memory.objects.insert(segment.key(&conversation()), lines.collect::<String>().into_bytes());
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn ids_of(entries: &[RecordedEntry]) -> Vec<Uuid> {
    entries.iter().map(|entry| entry.order.1).collect()
}

/// Single entries, as many a millisecond.
fn singles(count: usize, a_millisecond: i64) -> (Memory, Vec<Known>) {
    let mut memory = Memory::default();
    let signal = Signal::neutral();
    let known: Vec<Known> = (0..count)
        .map(|n| (1_700_000_000_000 + n as i64 / a_millisecond, Uuid::from_u128(n as u128), signal.clone()))
        .collect();
    for entry in &known {
        store_segment(&mut memory, std::slice::from_ref(entry));
    }
    (memory, known)
}

#[test]
fn the_last_ten_of_many_single_entries_cost_one_listing_and_ten_reads() {
    let (memory, known) = singles(50, 1);
    let page = block_on(entries(&memory, &conversation(), &EntryQuery::newest(10))).expect("read");
    assert_eq!(ids_of(&page.entries), known[40..].iter().map(|(_, id, _)| *id).collect::<Vec<_>>());
    assert_eq!((memory.lists.into_inner(), memory.gets.into_inner()), (1, 10));
}

#[test]
fn a_summary_of_more_entries_than_it_counts_costs_one_listing_and_no_read() {
    let (memory, _) = singles(1_500, 3);
    let summary = block_on(summarise(&memory, &conversation())).expect("read");
    assert_eq!(summary, [(Signal::neutral(), 1_000)].into_iter().collect());
    assert_eq!((memory.lists.into_inner(), memory.gets.into_inner()), (1, 0));
}

#[test]
fn a_log_without_entries_is_empty() {
    let memory = Memory::default();
    let page = block_on(entries(&memory, &conversation(), &EntryQuery::newest(10))).expect("read");
    assert!(page.entries.is_empty() && page.next.is_none());
    assert!(block_on(summarise(&memory, &conversation())).expect("read").is_empty());
}

#[test]
fn what_a_later_version_writes_into_an_entry_is_kept() {
    let (memory, _) = singles(1, 1);
    let page = block_on(entries(&memory, &conversation(), &EntryQuery::newest(1))).expect("read");
    assert!(page.entries[0].json().get().ends_with("\"later\":[1, 2]}"));
}

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

fn signals() -> [Signal; 3] {
    ["positive", "neutral", "bored"].map(|name| Signal::try_from(name).expect("a signal"))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).expect("in range")
}

/// A log whose segments have up to six entries each, of up to a day, and all of its entries, oldest first.
///
/// Of each entry: how long after the segment's first, in parts of a day, a millisecond more or less, and its signal.
type Segments = Vec<(i64, Vec<(i64, i64, usize)>)>;

fn segments() -> impl Strategy<Value = Segments> {
    // Most segments have one entry; times are few, so that entries and ends of spans fall together.
    let entry = (0..=24_i64, 0..2_i64, 0..3_usize);
    let several = prop_oneof![3 => prop::collection::vec(entry.clone(), 1), 1 => prop::collection::vec(entry, 1..7)];
    prop::collection::vec((0..96_i64, several), 0..40)
}

fn build(segments: &Segments, page_size: usize) -> (Memory, Vec<Known>) {
    let mut memory = Memory { page_size, ..Memory::default() };
    let mut all: Vec<Known> = Vec::new();
    for (hours, entries) in segments {
        let first = NEW_YEAR + hours * 60 * MINUTE;
        let entries: Vec<Known> = entries
            .iter()
            .enumerate()
            .map(|(n, (part, millis, signal))| {
                // Ids need not sort as times do: the order is time first.
                let id = ((all.len() + n) as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
                let time = (first + part * 60 * MINUTE + millis).min(first + DAY);
                (time, Uuid::from_u128(id), signals()[*signal].clone())
            })
            .collect();
        store_segment(&mut memory, &entries);
        all.extend(entries);
    }
    all.sort_unstable();
    (memory, all)
}

/// An end of a span: none, or near an entry or the bound of a bucket.
fn end() -> impl Strategy<Value = Option<i64>> {
    prop::option::of((-2..124_i64, -1..=2_i64).prop_map(|(hours, millis)| NEW_YEAR + hours * 60 * MINUTE + millis))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn the_pages_of_a_log_have_every_entry_that_is_asked_for_once_and_in_order(
        segments in segments(),
        page_size in 1..12_usize,
        (since, until) in (end(), end()),
        signal in prop::option::of(0..3_usize),
        limit in 1..12_usize,
    ) {
        let (memory, all) = build(&segments, page_size);
        let signal = signal.map(|signal| signals()[signal].clone());
        let span = Span::new(since.map(at), until.map(at));
        let is_asked_for = |(millis, _, its): &&Known| {
            let is_in_time = since.is_none_or(|since| *millis >= since) && until.is_none_or(|until| *millis <= until);
            is_in_time && signal.as_ref().is_none_or(|signal| its == signal)
        };
        let expected: Vec<Uuid> = all.iter().rev().filter(is_asked_for).map(|(_, id, _)| *id).collect();

        let mut query = EntryQuery { span, signal: signal.clone(), cursor: None, limit };
        let (mut found, mut cursors) = (Vec::new(), BTreeSet::new());
        loop {
            let before = memory.lists.load(Ordering::Relaxed);
            let page = block_on(entries(&memory, &conversation(), &query)).expect("read");
            // A millisecond is never cut by the end of the listings, and has ten segments at most here.
            prop_assert!(memory.lists.load(Ordering::Relaxed) - before <= MAX_LISTS + all.len());
            prop_assert!(page.entries.len() <= limit);
            prop_assert!(page.entries.is_sorted_by_key(|entry| entry.order));
            found.extend(ids_of(&page.entries).into_iter().rev());
            let Some(next) = page.next else { break };
            let text = next.to_string();
            prop_assert_eq!(Cursor::parse(&text), Some(next.clone()), "{}", text);
            prop_assert!(cursors.insert(text), "a link in a circle");
            query.cursor = Some(next);
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn counts_are_exactly_of_what_they_say_they_cover(
        segments in segments(),
        page_size in 1..12_usize,
        (since, until) in (end(), end()),
        bucket in prop::option::of(prop::sample::select(vec![Bucket::Hour, Bucket::Day])),
    ) {
        let (memory, all) = build(&segments, page_size);
        let span = Span::new(since.map(at), until.map(at));
        let counts = block_on(count(&memory, &conversation(), span, bucket)).expect("read");
        prop_assert!(memory.lists.load(Ordering::Relaxed) <= MAX_LISTS);
        prop_assert_eq!(counts.is_complete, counts.covers_since == since.map(at));
        let covered = |millis: &i64| {
            counts.covers_since.is_none_or(|since| at(*millis) >= since) && until.is_none_or(|until| *millis <= until)
        };
        let mut total = Summary::default();
        let mut buckets: BTreeMap<Timestamp, Summary> = BTreeMap::new();
        for (millis, _, signal) in all.iter().filter(|(millis, _, _)| covered(millis)) {
            total.add(signal.clone(), 1);
            let length = match bucket {
                None => continue,
                Some(Bucket::Hour) => DAY / 24,
                Some(Bucket::Day) => DAY,
            };
            buckets.entry(at(millis - millis % length)).or_default().add(signal.clone(), 1);
        }
        prop_assert_eq!((counts.total, counts.buckets), (total, buckets));
    }

    #[test]
    fn a_summary_counts_the_newest_entries(segments in segments()) {
        let (memory, all) = build(&segments, 1_000);
        let summary = block_on(summarise(&memory, &conversation())).expect("read");
        let expected: Summary = all.into_iter().map(|(_, _, signal)| (signal, 1)).collect();
        prop_assert_eq!(summary, expected);
    }

    #[test]
    fn whatever_is_given_as_a_cursor_does_no_harm(
        segments in segments(),
        millis in prop_oneof![any::<i64>(), NEW_YEAR..NEW_YEAR + 5 * DAY],
        id in any::<u128>(),
        behind in "[0-9a-f-]{0,20}",
        limit in 1..5_usize,
    ) {
        let (memory, all) = build(&segments, 7);
        let cursor = Cursor::parse(&format!("{millis}*{}*{behind}", Uuid::from_u128(id).simple()));
        let query = EntryQuery { cursor, ..EntryQuery::newest(limit) };
        let page = block_on(entries(&memory, &conversation(), &query)).expect("read");
        let place = (millis, Uuid::from_u128(id));
        prop_assert!(page.entries.iter().all(|entry| entry.order < place));
        prop_assert!(page.entries.len() <= limit.min(all.len()));
    }
}

#[test]
fn what_no_page_ends_with_is_no_cursor() {
    let id = Uuid::nil().simple();
    let name = "8299999999876-8299999999999-fe6fffff-ffff-8fff-7fff-fffffffffffe.good=2.jsonl";
    assert!(Cursor::parse(&format!("1*{id}**{name}")).is_some());
    for text in [
        String::new(),
        "1".to_owned(),
        format!("x*{id}"),
        format!("1.5*{id}"),
        "1*x".to_owned(),
        format!("1*{id}*a/b"),
        format!("1*{id}**"),
        format!("1*{id}**../{name}"),
        format!("1*{id}**readme"),
        format!("1*{id}*{}", "x".repeat(1_025)),
        format!("1*{id}*{}", format!("*{name}").repeat(65)),
    ] {
        assert_eq!(Cursor::parse(&text), None, "{text}");
    }
}

#[test]
fn a_link_of_entries_that_are_alone_names_a_place_and_no_key() {
    let (memory, known) = singles(5, 1);
    let page = block_on(entries(&memory, &conversation(), &EntryQuery::newest(2))).expect("read");
    let (millis, id, _) = &known[3];
    assert_eq!(page.next.expect("a next page").to_string(), format!("{millis}*{}", id.simple()));
    let last = block_on(entries(&memory, &conversation(), &EntryQuery::newest(5))).expect("read");
    assert_eq!(last.next, None);
}

#[test]
fn each_page_costs_one_listing_and_a_read_for_each_entry() {
    let (memory, known) = singles(3_000, 1);
    let mut query = EntryQuery::newest(100);
    for page in 1..=5 {
        let found = block_on(entries(&memory, &conversation(), &query)).expect("read");
        assert_eq!(found.entries.len(), 100);
        query.cursor = found.next;
        let cost = (memory.lists.load(Ordering::Relaxed), memory.gets.load(Ordering::Relaxed));
        assert_eq!(cost, (page, 100 * page));
    }
    let expected = &known[3_000 - 501].1;
    let next = block_on(entries(&memory, &conversation(), &query)).expect("read");
    assert_eq!(&next.entries.last().expect("an entry").order.1, expected);
}

#[test]
fn a_page_that_ends_within_a_millisecond_takes_a_second_listing_to_miss_nothing_of_it() {
    let (mut memory, known) = singles(50, 3);
    // Its key comes behind those of all single entries of the same time, its newer entry before two of them.
    let (millis, id, signal) = known[40].clone();
    assert_eq!((known[39].0, known[41].0), (millis, millis));
    let late = [(millis, Uuid::from_u128(id.as_u128() << 64), signal.clone()), (millis - 9, Uuid::nil(), signal)];
    store_segment(&mut memory, &late);
    let page = block_on(entries(&memory, &conversation(), &EntryQuery::newest(10))).expect("read");
    let expected: Vec<_> =
        [known[41].1, late[0].1].into_iter().chain(known[42..].iter().map(|(_, id, _)| *id)).collect();
    assert_eq!(ids_of(&page.entries), expected);
    assert_eq!((memory.lists.into_inner(), memory.gets.into_inner()), (2, 10));
}

#[test]
fn a_millisecond_with_more_than_can_be_listed_is_listed_all_the_same() {
    let (mut memory, known) = singles(60, 60);
    memory.page_size = 1;
    let (mut query, mut found) = (EntryQuery::newest(100), Vec::new());
    loop {
        let page = block_on(entries(&memory, &conversation(), &query)).expect("read");
        found.extend(ids_of(&page.entries));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, known.iter().map(|(_, id, _)| *id).collect::<Vec<_>>());
}

#[test]
fn entries_of_other_signals_are_not_read() {
    let (mut memory, _) = singles(2_500, 3);
    let rare = (1_700_000_000_000 - 1, Uuid::from_u128(1), signals()[2].clone());
    store_segment(&mut memory, std::slice::from_ref(&rare));
    let query = EntryQuery { signal: Some(rare.2), ..EntryQuery::newest(10) };
    let page = block_on(entries(&memory, &conversation(), &query)).expect("read");
    assert_eq!((ids_of(&page.entries), page.next), (vec![rare.1], None));
    assert_eq!((memory.lists.into_inner(), memory.gets.into_inner()), (3, 1));
}

#[test]
fn counts_in_buckets_take_a_listing_for_a_thousand_entries_and_no_read() {
    let (memory, _) = singles(2_500, 3);
    let counts = block_on(count(&memory, &conversation(), Span::default(), Some(Bucket::Hour))).expect("read");
    assert_eq!(counts.total, [(Signal::neutral(), 2_500)].into_iter().collect());
    assert!(counts.is_complete && counts.buckets.len() == 1);
    assert_eq!((memory.lists.into_inner(), memory.gets.into_inner()), (3, 0));
}

#[test]
fn more_than_can_be_listed_is_counted_as_far_as_it_goes() {
    let (mut memory, known) = singles(100, 3);
    memory.page_size = 4;
    let counts = block_on(count(&memory, &conversation(), Span::default(), None)).expect("read");
    // Of the last millisecond that was listed not all entries may be known.
    let covered = known[20].0 + 1;
    assert_eq!((counts.is_complete, counts.covers_since), (false, Some(at(covered))));
    let expected = known.iter().filter(|(millis, _, _)| *millis >= covered).count() as u64;
    assert_eq!(counts.total, [(Signal::neutral(), expected)].into_iter().collect());
}

#[test]
fn an_erased_entry_is_no_longer_part_of_the_log() {
    let (memory, known) = singles(3, 1);
    struct Erased(Memory);
    impl ListLogs for Erased {
        async fn list(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<Keys, StoreError> {
            self.0.list(prefix, start_after, max_keys).await
        }
    }
    impl GetLog for Erased {
        async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(self
                .0
                .get(key)
                .await?
                .filter(|body| !body.windows(36).any(|id| id == Uuid::from_u128(1).to_string().as_bytes())))
        }
    }
    let page = block_on(entries(&Erased(memory), &conversation(), &EntryQuery::newest(10))).expect("read");
    assert_eq!(ids_of(&page.entries), [known[0].1, known[2].1]);
}
