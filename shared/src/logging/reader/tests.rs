//! Tests the reader on random logs of single-line and longer segments, compared with sorting everything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use uuid::Uuid;

use super::super::entry::{Conversation, EntryOrder};
use super::super::segment::{self, Position, Segment};
use super::super::span::{Interval, Span};
use super::super::store::{KeyPage as Keys, ListLogs};
use super::super::summary::Summary;
use super::*;
use crate::ids::{AgentId, Signal, UserId};
use crate::time::Timestamp;

mod by_id;
mod content;
mod oldest_first;
mod room;

struct Memory {
    objects: BTreeMap<String, Vec<u8>>,
    /// Maximum number of keys per listing, whatever the caller requests.
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
        let start = start_after.unwrap_or_default().max(prefix);
        let after = (Bound::Excluded(start), Bound::Unbounded);
        let found = self.objects.range::<str, _>(after).map(|(key, _)| key);
        let mut keys: Vec<_> = found.take_while(|key| key.starts_with(prefix)).take(size + 1).cloned().collect();
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

impl Memory {
    /// Returns and resets the numbers of listings and reads.
    fn cost(&self) -> (usize, usize) {
        (self.lists.swap(0, Ordering::Relaxed), self.gets.swap(0, Ordering::Relaxed))
    }
}

type Known = (i64, Uuid, Signal);

fn conversation() -> Conversation {
    Conversation {
        agent_id: AgentId::try_from("agent").expect("an agent"),
        user_id: UserId::try_from("user").expect("a user"),
    }
}

/// Returns the session of the entry `id`, which is one of three.
fn session_of(id: Uuid) -> String {
    format!("session {}", id.as_u128() % 3)
}

/// Returns the text of the user in the entry `id`, which is one of five.
fn text_of(id: Uuid) -> String {
    format!("Text {}", id.as_u128() % 5)
}

/// Stores `entries`, which lie within one hour, as one segment. Returns its key.
fn store_segment(memory: &mut Memory, entries: &[Known]) -> String {
    let orders: Vec<_> = entries.iter().map(|(millis, id, signal)| ((*millis, *id), signal.clone())).collect();
    let segment = Segment::of(&orders).expect("entries of one hour");
    let lines = entries.iter().map(|(millis, id, signal)| {
        let timestamp = Timestamp::from_millis(*millis).expect("in range").to_rfc3339_millis();
        let (session, text) = (session_of(*id), text_of(*id));
        let signal = if *signal == Signal::unclassified() {
            "\"neutral\",\"classification\":{\"score\":null}".to_owned()
        } else {
            format!("\"{signal}\"")
        };
        format!(
            "{{\"timestamp\":\"{timestamp}\",\"log_id\":\"{id}\",\"detected_signal\":{signal},\
             \"session_id\":\"{session}\",\"user_input\":\"{text}\",\"later\":[1, 2]}}\n"
        )
    });
    let key = segment.key(&conversation());
    memory.objects.insert(key.clone(), lines.collect::<String>().into_bytes());
    key
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn ids_of(entries: &[RecordedEntry]) -> Vec<Uuid> {
    entries.iter().map(|entry| entry.order.1).collect()
}

/// Creates single entries, `a_millisecond` of them in each millisecond.
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
fn newest_ten_single_entries_cost_one_listing_and_ten_reads() {
    let (memory, known) = singles(50, 1);
    let page = block_on(entries(&memory, &conversation(), &EntryQuery::newest(10))).expect("read");
    assert_eq!(ids_of(&page.entries), known[40..].iter().map(|(_, id, _)| *id).collect::<Vec<_>>());
    assert_eq!((memory.lists.into_inner(), memory.gets.into_inner()), (1, 10));
}

#[test]
fn summary_of_a_longer_log_costs_one_listing_and_no_read() {
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
    assert!(page.entries[0].json.get().ends_with("\"later\":[1, 2]}"));
}

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_767_225_600_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn signals() -> [Signal; 3] {
    ["positive", "neutral", Signal::UNCLASSIFIED].map(|name| Signal::try_from(name).expect("a signal"))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).expect("in range")
}

/// The hour of a segment, and its entries: ten minutes and milliseconds within the hour, a signal, and whether a single
/// entry is stored twice, with two signals.
type NewSegment = (i64, Vec<(i64, i64, usize, bool)>);

/// The hour of a segment that repeats entries of that hour: their ranks, and the signals of the copies.
type Copies = (i64, Vec<(usize, usize)>);

/// The segments of a log.
#[derive(Clone, Debug)]
struct Segments {
    new: Vec<NewSegment>,
    copies: Vec<Copies>,
}

fn segments() -> impl Strategy<Value = Segments> {
    // Most segments have one entry; times are few, so that entries and ends of spans fall together.
    let entry = (0..=6_i64, 0..2_i64, 0..3_usize, prop::bool::weighted(0.2));
    let several = prop_oneof![3 => prop::collection::vec(entry.clone(), 1), 1 => prop::collection::vec(entry, 1..7)];
    let new = prop::collection::vec((0..6_i64, several), 0..80);
    let copies = (0..6_i64, prop::collection::vec((0..100_usize, 0..3_usize), 1..9));
    (new, prop::collection::vec(copies, 0..5)).prop_map(|(new, copies)| Segments { new, copies })
}

/// Stores `segments` and returns the entries of the resulting log, oldest first.
fn build(segments: &Segments, page_size: usize) -> (Memory, Vec<Known>) {
    let mut memory = Memory { page_size, ..Memory::default() };
    let mut stored: BTreeMap<String, Vec<Known>> = BTreeMap::new();
    let mut hours: BTreeMap<i64, Vec<EntryOrder>> = BTreeMap::new();
    let mut store = |entries: Vec<Known>| {
        let key = store_segment(&mut memory, &entries);
        stored.insert(key, entries);
    };
    let mut count = 0;
    for (hour, entries) in &segments.new {
        let start = NEW_YEAR + hour * HOUR;
        let known: Vec<Known> = entries
            .iter()
            .map(|(part, millis, signal, _)| {
                count += 1;
                // Ids need not sort like times: time comes first in the order.
                let id = Uuid::from_u128(u128::wrapping_mul(count, 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
                ((start + part * 10 * MINUTE + millis).min(start + HOUR - 1), id, signals()[*signal].clone())
            })
            .collect();
        hours.entry(*hour).or_default().extend(known.iter().map(|(millis, id, _)| (*millis, *id)));
        if let ([(millis, id, signal)], [(.., true)]) = (known.as_slice(), entries.as_slice()) {
            let again = signals().into_iter().find(|other| other != signal).expect("another signal");
            store(vec![(*millis, *id, again)]);
        }
        store(known);
    }
    for (hour, copies) in &segments.copies {
        let orders = hours.get(hour).map_or(&[][..], Vec::as_slice);
        let copies = copies.iter().filter_map(|(rank, signal)| {
            let order = orders.get(rank % orders.len().max(1))?;
            Some((*order, signals()[*signal].clone()))
        });
        let copies: BTreeMap<EntryOrder, Signal> = copies.collect();
        if !copies.is_empty() {
            store(copies.into_iter().map(|((millis, id), signal)| (millis, id, signal)).collect());
        }
    }
    // The first copy in key order counts.
    let mut all: BTreeMap<EntryOrder, Signal> = BTreeMap::new();
    for (millis, id, signal) in stored.into_values().flatten() {
        all.entry((millis, id)).or_insert(signal);
    }
    (memory, all.into_iter().map(|((millis, id), signal)| (millis, id, signal)).collect())
}

/// Generates an end of a span: none, or near an entry or an hour boundary.
fn end() -> impl Strategy<Value = Option<i64>> {
    prop::option::of((-1..40_i64, -1..=2_i64).prop_map(|(parts, millis)| NEW_YEAR + parts * 10 * MINUTE + millis))
}

/// Returns all pages of counts of `query` and the sum of their totals and buckets.
fn walk_counts<S: ListLogs + GetLog + Sync>(
    store: &S,
    mut query: CountQuery,
) -> (Vec<Counts>, Summary, BTreeMap<Timestamp, Summary>) {
    let (mut pages, mut cursors) = (Vec::new(), BTreeSet::new());
    let (mut total, mut buckets) = (Summary::default(), BTreeMap::<_, Summary>::new());
    loop {
        let page = block_on(count(store, &conversation(), &query)).expect("read");
        for (signal, count) in page.total.in_order() {
            total.add(signal.clone(), count);
        }
        for (start, counts) in &page.buckets {
            for (signal, count) in counts.in_order() {
                buckets.entry(*start).or_default().add(signal.clone(), count);
            }
        }
        query.cursor = page.next;
        pages.push(page);
        let Some(next) = query.cursor else { return (pages, total, buckets) };
        let text = next.to_string();
        assert_eq!(EntryCursor::parse(&text), Some(next), "{text}");
        assert!(cursors.insert(text), "a link in a circle");
    }
}

/// Returns all pages of entries of `query`, newest first.
fn walk_entries<S: ListLogs + GetLog + Sync>(store: &S, mut query: EntryQuery) -> Vec<EntryOrder> {
    let (mut found, mut cursors) = (Vec::new(), BTreeSet::new());
    loop {
        let page = block_on(entries(store, &conversation(), &query)).expect("read");
        assert!(page.entries.len() <= query.limit);
        assert!(page.entries.is_sorted_by_key(|entry| entry.order));
        found.extend(page.entries.iter().rev().map(|entry| entry.order));
        let Some(next) = page.next else { return found };
        let text = next.to_string();
        assert_eq!(EntryCursor::parse(&text), Some(next), "{text}");
        assert!(cursors.insert(text), "a link in a circle");
        query.cursor = Some(next);
    }
}

fn summary_of<'a>(entries: impl IntoIterator<Item = &'a Known>) -> Summary {
    entries.into_iter().map(|(_, _, signal)| (signal.clone(), 1)).collect()
}

fn orders_of<'a>(entries: impl IntoIterator<Item = &'a Known>) -> Vec<EntryOrder> {
    entries.into_iter().map(|(millis, id, _)| (*millis, *id)).collect()
}

fn total_of(summary: &Summary) -> u64 {
    summary.in_order().iter().map(|(_, count)| count).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn pages_have_every_entry_asked_for_once_and_in_order(
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
        let expected = orders_of(all.iter().rev().filter(is_asked_for));
        prop_assert_eq!(walk_entries(&memory, EntryQuery { span, signal: signal.clone(), limit, ..EntryQuery::newest(limit) }), expected);
    }

    #[test]
    fn pages_of_counts_add_up_to_the_span(
        segments in segments(),
        page_size in 1..5_usize,
        (since, until) in (end(), end()),
        interval in prop::option::of(prop::sample::select(vec![Interval::Hour, Interval::Day])),
    ) {
        let (memory, all) = build(&segments, page_size);
        let span = Span::new(since.map(at), until.map(at));
        let (pages, total, buckets) = walk_counts(&memory, CountQuery { span, interval, cursor: None });

        let is_in_time = |millis: &i64| since.is_none_or(|since| *millis >= since) && until.is_none_or(|until| *millis <= until);
        let asked_for: Vec<_> = all.iter().filter(|(millis, ..)| is_in_time(millis)).cloned().collect();
        prop_assert_eq!(&total, &summary_of(&asked_for));
        let mut expected: BTreeMap<Timestamp, Summary> = BTreeMap::new();
        for (millis, _, signal) in &asked_for {
            let length = match interval {
                None => continue,
                Some(Interval::Hour) => HOUR,
                Some(Interval::Day) => DAY,
            };
            expected.entry(at(millis - millis % length)).or_default().add(signal.clone(), 1);
        }
        prop_assert_eq!(buckets, expected);

        // Each page reports the progress of the count.
        let mut counted = 0;
        for page in &pages {
            counted += total_of(&page.total);
            let from = |start: Option<Timestamp>| {
                asked_for.iter().filter(|(millis, ..)| start.is_none_or(|start| at(*millis) >= start)).count() as u64
            };
            prop_assert!(from(page.covers_since) <= counted);
            prop_assert!(!page.is_complete() || page.covers_since == since.map(at));
            prop_assert!(counted <= from(page.oldest));
        }

        // The listings that the range needs, one to skip newer entries, and one that ends at older entries.
        let needed = memory.objects.keys().filter_map(|key| Segment::parse(key)).filter(|segment| {
            let hours = (segment::hour_end(segment.newest()), segment::hour_end(segment.newest()) - HOUR + 1);
            let (newest, oldest) = if segment.is_single() { (segment.newest(), segment.newest()) } else { hours };
            since.is_none_or(|since| newest >= since) && until.is_none_or(|until| oldest <= until)
        });
        let lists = memory.lists.load(Ordering::Relaxed);
        // A page that ends within an hour can list the segments of that hour again.
        let again = (pages.len() - 1) * (memory.objects.len().div_ceil(page_size) + 1);
        prop_assert!(lists <= needed.count().div_ceil(page_size) + 2 + again, "{} listings", lists);
    }

    #[test]
    fn newest_entries_are_gathered_exactly(segments in segments(), page_size in 1..12_usize, wanted in 1..30_usize) {
        let (memory, all) = build(&segments, page_size);
        let summary = block_on(counts::count_newest(&memory, &conversation(), wanted)).expect("read");
        prop_assert_eq!(summary, summary_of(all.iter().rev().take(wanted)));
    }

    #[test]
    fn forged_entry_cursors_show_nothing_that_is_newer(
        segments in segments(),
        millis in prop_oneof![any::<i64>(), NEW_YEAR - 1..NEW_YEAR + 6 * HOUR],
        id in prop_oneof![Just(0), any::<u128>()],
        reopens in any::<bool>(),
        until in end(),
        limit in 1..5_usize,
    ) {
        let (memory, all) = build(&segments, 7);
        let mark = if reopens { "*m" } else { "" };
        let cursor = EntryCursor::parse(&format!("{millis}*{}{mark}", Uuid::from_u128(id).simple()));
        prop_assert!(cursor.is_some());
        let query = EntryQuery { cursor, span: Span::new(None, until.map(at)), ..EntryQuery::newest(limit) };
        let found = walk_entries(&memory, query);
        prop_assert!(found.len() <= all.len());
        prop_assert!(found.iter().all(|order| *order < (millis, Uuid::from_u128(id))));
        prop_assert!(found.iter().all(|(millis, _)| until.is_none_or(|until| *millis <= until)));
    }

    #[test]
    fn forged_count_cursors_count_each_entry_at_most_once(
        segments in segments(),
        millis in prop_oneof![any::<i64>(), NEW_YEAR - 1..NEW_YEAR + 6 * HOUR],
        id in prop_oneof![Just(0), any::<u128>()],
        reopens in any::<bool>(),
        until in end(),
    ) {
        let (memory, all) = build(&segments, 3);
        let cursor = Some(EntryCursor { below: (millis, Uuid::from_u128(id)), reopens });
        let query = CountQuery { cursor, span: Span::new(None, until.map(at)), interval: None };
        let (_, total, _) = walk_counts(&memory, query);
        prop_assert!(total_of(&total) <= all.len() as u64);
    }

    #[test]
    fn forged_texts_are_no_cursors(text in "[0-9a-f*,.=~/-]{0,90}|\\PC{0,40}") {
        // A parsed cursor is displayed as a text that parses to the same cursor.
        if let Some(cursor) = EntryCursor::parse(&text) {
            prop_assert_eq!(EntryCursor::parse(&cursor.to_string()), Some(cursor));
        }
    }
}

#[test]
fn other_texts_are_refused_as_cursors() {
    let id = Uuid::nil().simple();
    assert!(EntryCursor::parse(&format!("1*{id}")).is_some() && EntryCursor::parse(&format!("1*{id}*m")).is_some());
    let overflow = "8299999999876-8299999999999-fe6fffff-ffff-8fff-7fff-fffffffffffe.a=18446744073709551615,b=1.jsonl";
    for text in [
        String::new(),
        "1".to_owned(),
        format!("x*{id}"),
        format!("1.5*{id}"),
        format!("9223372036854775808*{id}"),
        "1*x".to_owned(),
        format!("1*{id}*"),
        format!("1*{id}*x"),
        format!("1*{id}*m*"),
        format!("9999999999999*{id}**{overflow}"),
    ] {
        assert_eq!(EntryCursor::parse(&text), None, "{text}");
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
fn millisecond_with_more_entries_than_a_page_lists_is_paged() {
    let (mut memory, known) = singles(60, 60);
    memory.page_size = 1;
    assert_eq!(walk_entries(&memory, EntryQuery::newest(100)), orders_of(known.iter().rev()));
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
fn bucket_counts_cost_a_listing_per_1000_entries_and_no_read() {
    let (memory, _) = singles(2_500, 3);
    let hourly = CountQuery { interval: Some(Interval::Hour), ..CountQuery::default() };
    let counts = block_on(count(&memory, &conversation(), &hourly)).expect("read");
    assert_eq!(counts.total, [(Signal::neutral(), 2_500)].into_iter().collect());
    assert!(counts.is_complete() && counts.buckets.len() == 1);
    assert_eq!((memory.lists.into_inner(), memory.gets.into_inner()), (3, 0));
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

#[test]
fn count_reaches_a_range_behind_a_busy_day() {
    let (mut memory, known) = singles(100, 3);
    memory.page_size = 4;
    let until = known[9].0;
    let query = CountQuery { span: Span::new(None, Some(at(until))), ..CountQuery::default() };
    let counts = block_on(count(&memory, &conversation(), &query)).expect("read");
    assert!(counts.is_complete());
    assert_eq!(counts.total, summary_of(known.iter().filter(|(millis, ..)| *millis <= until)));
    // One listing of newer entries, one for every four entries.
    assert_eq!(memory.cost(), (1 + 3, 0));
}

#[test]
fn range_without_end_or_to_the_end_of_an_hour_is_listed_at_once() {
    let (memory, known) = singles(50, 1);
    for until in [None, Some(segment::hour_end(known[0].0)), Some(NEW_YEAR + 100 * DAY)] {
        let span = Span::new(None, until.map(at));
        let counts = block_on(count(&memory, &conversation(), &CountQuery { span, ..CountQuery::default() }));
        assert_eq!(total_of(&counts.expect("read").total), 50);
        assert_eq!(memory.cost(), (1, 0), "{until:?}");
    }
}

#[test]
fn millisecond_exceeding_the_listings_of_a_request_is_counted() {
    let (memory, known) = singles(20_001, 20_001);
    let (pages, total, _) = walk_counts(&memory, CountQuery::default());
    assert_eq!(total, summary_of(&known));
    assert_eq!((pages.len(), memory.cost()), (2, (21, 0)));
    // The millisecond in which the first page ends is only partly counted.
    assert_eq!(pages[0].covers_since, Some(at(known[0].0 + 1)));
    assert_eq!(pages[0].oldest, Some(at(known[0].0)));
}

#[test]
fn page_lists_an_hour_again_only_for_older_entries_of_a_segment() {
    let (mut memory, known) = singles(3_000, 1);
    let (newest, oldest) = (known[1_000].0, known[995].0);
    let several = [(newest, Uuid::max(), signals()[0].clone()), (oldest, Uuid::nil(), signals()[0].clone())];
    store_segment(&mut memory, &several);
    let mut all = [&known[..], &several].concat();
    all.sort_unstable();
    let below = (known[1_005].0, known[1_005].1);
    let cursor = EntryCursor::parse(&format!("{}*{}*m", below.0, below.1.simple()));
    let mut query = EntryQuery { cursor, ..EntryQuery::newest(10) };
    let mut shown = Vec::new();
    // Two pages use entries of the segment: the segment is listed, skipping newer entries, and read. The third page
    // does not.
    for cost in [(2, 10), (2, 10), (1, 10)] {
        let page = block_on(entries(&memory, &conversation(), &query)).expect("read");
        shown.extend(page.entries.iter().rev().map(|entry| entry.order));
        query.cursor = page.next;
        assert_eq!(memory.cost(), cost);
    }
    let expected = all.iter().rev().filter(|(millis, id, _)| (*millis, *id) < below).take(30);
    assert_eq!(shown, orders_of(expected));
}

#[test]
fn segments_that_do_not_overlap_are_counted_without_a_read() {
    let (mut memory, mut all) = (Memory::default(), Vec::new());
    for n in 0..50_u128 {
        // Six segments of ten minutes an hour, a single entry between two of them.
        let start = NEW_YEAR + i64::try_from(n).expect("small") * 10 * MINUTE;
        let entry =
            |part: u128| (start + 1 + 1_000 * part as i64, Uuid::from_u128(100 * n + part), signals()[0].clone());
        let several: Vec<Known> = (0..40).map(entry).collect();
        let single = (start, Uuid::from_u128(100 * n + 99), signals()[1].clone());
        store_segment(&mut memory, &several);
        store_segment(&mut memory, std::slice::from_ref(&single));
        all.extend(several);
        all.push(single);
    }
    all.sort_unstable();
    let counts = block_on(count(&memory, &conversation(), &CountQuery::default())).expect("read");
    assert_eq!(counts.total, summary_of(&all));
    assert_eq!(memory.cost(), (1, 0));
    // The thousand newest entries end within a segment.
    let newest = block_on(summarise(&memory, &conversation())).expect("read");
    assert_eq!(newest, summary_of(all.iter().rev().take(1_000)));
    assert_eq!(memory.cost(), (1, 1));
    let page = block_on(entries(&memory, &conversation(), &EntryQuery::newest(100))).expect("read");
    assert_eq!(page.entries.len(), 100);
    assert_eq!(memory.cost(), (1, 5));
}

#[test]
fn copies_of_entries_are_counted_once_with_a_read_each() {
    let (mut memory, known) = singles(2_500, 3);
    // The batches overlap by half.
    for start in (0..2_000).step_by(500) {
        store_segment(&mut memory, &known[start..start + 1_000]);
    }
    let counts = block_on(count(&memory, &conversation(), &CountQuery::default())).expect("read");
    assert_eq!((counts.is_complete(), counts.total), (true, summary_of(&known)));
    assert_eq!(memory.cost(), (3, 4));
    assert_eq!(walk_entries(&memory, EntryQuery::newest(100)), orders_of(known.iter().rev()));
}

#[test]
fn entry_stored_with_two_signals_is_one_entry() {
    let mut memory = Memory::default();
    let [positive, neutral, _] = signals();
    let (id, older) = (Uuid::from_u128(7), Uuid::from_u128(6));
    store_segment(&mut memory, &[(NEW_YEAR, older, positive.clone())]);
    store_segment(&mut memory, &[(NEW_YEAR, id, positive.clone())]);
    store_segment(&mut memory, &[(NEW_YEAR, id, neutral.clone())]);
    let expected: Summary = [(positive, 1), (neutral.clone(), 1)].into_iter().collect();
    // Also if a listing ends between the two keys.
    for page_size in [1, 2, 3, 1_000] {
        memory.page_size = page_size;
        assert_eq!(block_on(summarise(&memory, &conversation())).expect("read"), expected);
        assert_eq!(walk_counts(&memory, CountQuery::default()).1, expected);
        for limit in 1..4 {
            let shown = walk_entries(&memory, EntryQuery::newest(limit));
            assert_eq!(shown, [(NEW_YEAR, id), (NEW_YEAR, older)]);
            let neutrals = EntryQuery { signal: Some(neutral.clone()), ..EntryQuery::newest(limit) };
            assert_eq!(walk_entries(&memory, neutrals), [(NEW_YEAR, id)]);
        }
    }
}

/// Creates a log of 10^5 keys: each hour has 50 single entries in bursts of one millisecond, and ten segments that span
/// much of the hour.
fn busy() -> (Memory, Vec<Known>) {
    let (mut memory, mut all) = (Memory::default(), Vec::new());
    let signal = |n: i64| signals()[usize::try_from(n % 3).expect("small")].clone();
    let mut ids = (1..).map(Uuid::from_u128);
    for hour in 0..40 {
        let start = NEW_YEAR + hour * HOUR;
        for n in 0..2_490 {
            let entry = (start + n / 50 * 70_000 % HOUR, ids.next().expect("an id"), signal(n));
            store_segment(&mut memory, std::slice::from_ref(&entry));
            all.push(entry);
        }
        for several in 0..10 {
            let time = |n: i64| start + several * 60_000 + n * 150_000;
            let entries: Vec<Known> = (0..20).map(|n| (time(n), ids.next().expect("an id"), signal(n))).collect();
            store_segment(&mut memory, &entries);
            all.extend(entries);
        }
    }
    all.sort_unstable();
    (memory, all)
}

#[test]
fn busy_log_is_counted_and_paged_exactly_in_any_range() {
    let (memory, all) = busy();
    assert_eq!(memory.objects.len(), 100_000);
    let minutes = |minutes: i64| NEW_YEAR + minutes * MINUTE;
    // Ends at hour boundaries, between entries of one millisecond, and within segments.
    for (since, until) in [
        (None, None),
        (Some(minutes(90)), Some(minutes(35 * 60 + 30))),
        (Some(NEW_YEAR + 70_000), Some(NEW_YEAR + 30 * HOUR + 7 * 70_000)),
        (Some(NEW_YEAR + HOUR), Some(NEW_YEAR + 2 * HOUR - 1)),
    ] {
        let within: Vec<_> = all
            .iter()
            .filter(|(millis, ..)| {
                since.is_none_or(|since| *millis >= since) && until.is_none_or(|until| *millis <= until)
            })
            .cloned()
            .collect();
        let span = Span::new(since.map(at), until.map(at));
        memory.cost();
        let (pages, total, _) = walk_counts(&memory, CountQuery { span, ..CountQuery::default() });
        assert_eq!(total, summary_of(&within), "{since:?} {until:?}");
        let (lists, gets) = memory.cost();
        // A page after the first lists the segments of its first hour again and reads those that have older entries.
        let again = pages.len() - 1;
        assert!(lists <= within.len().div_ceil(1_000) + 1 + again, "{lists} listings for {} entries", within.len());
        let several = memory.objects.keys().filter_map(|key| Segment::parse(key)).filter(|segment| {
            let is_in_time = since.is_none_or(|since| segment.newest() >= since)
                && until.is_none_or(|until| segment.oldest() <= until);
            !segment.is_single() && is_in_time
        });
        assert!(gets <= several.count() + 10 * again, "{gets} reads");
    }
    let span = Span::new(Some(at(minutes(90))), Some(at(minutes(4 * 60 + 30))));
    let within = all.iter().rev().filter(|(millis, ..)| (minutes(90)..=minutes(270)).contains(millis));
    assert_eq!(walk_entries(&memory, EntryQuery { span, ..EntryQuery::newest(100) }), orders_of(within));
}

/// Evenly spaced single entries whose keys are created when listed.
struct Evenly {
    count: usize,
    prefix: String,
    lists: AtomicUsize,
}

impl Evenly {
    const STEP: i64 = 30 * DAY / 1_000_000;

    /// Returns the time of the entry that is `rank` entries older than the newest.
    fn millis(&self, rank: usize) -> i64 {
        NEW_YEAR - i64::try_from(rank).expect("small") * Self::STEP
    }

    fn key(&self, rank: usize) -> String {
        let position = Position::single((self.millis(rank), Uuid::from_u128(rank as u128)));
        format!("{}{position}.{}=1.jsonl", self.prefix, Signal::STANDARD[rank % 4])
    }
}

impl ListLogs for Evenly {
    async fn list(&self, _: &str, start_after: Option<&str>, max_keys: i32) -> Result<Keys, StoreError> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let (mut first, mut end) = (0, self.count);
        while first < end {
            let middle = usize::midpoint(first, end);
            if self.key(middle).as_str() > start_after.unwrap_or_default() { end = middle } else { first = middle + 1 }
        }
        let last = self.count.min(first + usize::try_from(max_keys).expect("positive"));
        Ok(Keys { keys: (first..last).map(|rank| self.key(rank)).collect(), more: last < self.count })
    }
}

impl GetLog for Evenly {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        panic!("{key} is read")
    }
}

#[test]
fn million_entries_are_counted_once_with_a_listing_a_thousand() {
    let log = Evenly { count: 1_000_000, prefix: segment::prefix(&conversation()), lists: AtomicUsize::new(0) };
    let (pages, total, _) = walk_counts(&log, CountQuery::default());
    let expected: Summary =
        Signal::STANDARD.iter().map(|name| (Signal::try_from(*name).expect("a signal"), 250_000)).collect();
    assert_eq!(total, expected);
    let lists = log.lists.swap(0, Ordering::Relaxed);
    assert!(lists <= 1_001 && pages.len() <= 51, "{lists} listings, {} pages", pages.len());

    // The week before last, not aligned to hours.
    let (since, until) = (NEW_YEAR - 20 * DAY - 12_345_678, NEW_YEAR - 13 * DAY - 12_345_678);
    let span = Span::new(Some(at(since)), Some(at(until)));
    let (_, total, _) = walk_counts(&log, CountQuery { span, ..CountQuery::default() });
    let within = (0..log.count).filter(|rank| (since..=until).contains(&log.millis(*rank))).count();
    assert_eq!(total_of(&total), within as u64);
    let lists = log.lists.swap(0, Ordering::Relaxed);
    assert!(lists <= within.div_ceil(1_000) + 1, "{lists} listings for {within} entries");
}
