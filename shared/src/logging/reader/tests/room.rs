//! Tests pages that end because a response has no more room, or because of the time.

use std::time::Duration;

use serde_json::value::RawValue;

use super::oldest_first::{oldest, walk};
use super::*;
use crate::deadline::Deadline;

/// Room for `bytes` of entries.
fn room(bytes: usize, is_late: bool) -> PageRoom {
    let size_of = |entry: &RawValue| entry.get().len();
    PageRoom { bytes, size_of, read_until: is_late.then(|| Deadline::after(Duration::ZERO)) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn pages_of_little_room_have_every_entry_once(
        segments in segments(),
        page_size in 2..12_usize,
        signal in prop::option::of(0..3_usize),
        limit in prop_oneof![1..12_usize, Just(1_000)],
        (bytes, is_late) in (1..4_000_usize, any::<bool>()),
    ) {
        let (memory, all) = build(&segments, page_size);
        let signal = signal.map(|signal| signals()[signal].clone());
        let expected = orders_of(all.iter().filter(|(_, _, its)| signal.as_ref().is_none_or(|signal| its == signal)));
        let room = room(bytes, is_late);
        let found = walk(&memory, EntryQuery { signal: signal.clone(), room, ..oldest(limit) }).0;
        prop_assert_eq!(&found, &expected);
        let mut found = walk_entries(&memory, EntryQuery { signal, room, ..EntryQuery::newest(limit) });
        found.reverse();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn page_ends_before_the_entry_that_has_no_room() {
    let (memory, known) = singles(1_000, 1);
    for (bytes, fitting) in [(1, 1), (999, 1), (1_000, 1), (1_999, 1), (2_000, 2), (99_999, 99), (250_000, 250)] {
        let room = PageRoom { bytes, size_of: |_| 1_000, read_until: None };
        let query = EntryQuery { room, ..EntryQuery::newest(1_000) };
        let page = block_on(entries(&memory, &conversation(), &query)).expect("read");
        let expected = &known[known.len() - fitting..];
        assert_eq!(ids_of(&page.entries), expected.iter().map(|(_, id, _)| *id).collect::<Vec<_>>(), "{bytes}");
        assert!(page.next.is_some());
    }
}

#[test]
fn page_without_room_or_time_reads_a_hundred_entries() {
    let (memory, _) = singles(1_500, 1);
    for room in [room(1_000, false), room(1_000_000, true)] {
        let query = EntryQuery { room, ..EntryQuery::newest(1_000) };
        let page = block_on(entries(&memory, &conversation(), &query)).expect("read");
        assert!(page.next.is_some());
        assert_eq!(memory.cost(), (1, 100));
    }
    let page = block_on(entries(&memory, &conversation(), &EntryQuery::newest(1_000))).expect("read");
    assert_eq!((page.entries.len(), memory.cost()), (1_000, (1, 1_000)));
}

#[test]
fn long_page_reads_the_segments_of_each_hour_once() {
    let mut memory = Memory::default();
    let mut all = Vec::new();
    for hour in 0..30 {
        let entry =
            |n: i64| (NEW_YEAR + hour * HOUR + n, Uuid::from_u128((hour * 100 + n) as u128), signals()[0].clone());
        let several: Vec<Known> = (0..50).map(entry).collect();
        store_segment(&mut memory, &several);
        all.extend(several);
    }
    let page = block_on(entries(&memory, &conversation(), &EntryQuery::newest(1_000))).expect("read");
    assert_eq!(page.entries.len(), 1_000);
    assert_eq!(memory.cost(), (1, 20));
    let query = EntryQuery { cursor: page.next, ..EntryQuery::newest(1_000) };
    let page = block_on(entries(&memory, &conversation(), &query)).expect("read");
    assert_eq!((page.entries.len(), page.next), (500, None));
    assert_eq!(memory.cost(), (1, 10));
    let (found, pages) = walk(&memory, oldest(1_000));
    assert_eq!((found, pages), (orders_of(&all), 2));
    assert_eq!(memory.cost().1, 30);
}
