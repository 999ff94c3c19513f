//! Tests the search for one entry by its id.

use uuid::Builder;

use super::*;

/// Returns the id of an entry of `millis`.
fn id_at(millis: i64, number: u8) -> Uuid {
    Builder::from_unix_timestamp_millis(millis.unsigned_abs(), &[number; 10]).into_uuid()
}

fn find(memory: &Memory, log_id: Uuid) -> Option<EntryOrder> {
    block_on(entry(memory, &conversation(), log_id)).expect("read").map(|entry| entry.order)
}

#[test]
fn single_entry_costs_one_listing_and_one_read() {
    let mut memory = Memory::default();
    for number in 1..4 {
        for millis in NEW_YEAR..NEW_YEAR + 3 {
            store_segment(&mut memory, &[(millis, id_at(millis, number), Signal::neutral())]);
        }
    }
    let id = id_at(NEW_YEAR + 1, 2);
    assert_eq!(find(&memory, id), Some((NEW_YEAR + 1, id)));
    assert_eq!(memory.cost(), (1, 1));
}

#[test]
fn absent_entry_costs_two_listings() {
    let mut memory = Memory::default();
    store_segment(&mut memory, &[(NEW_YEAR, id_at(NEW_YEAR, 1), Signal::neutral())]);
    for id in [id_at(NEW_YEAR, 2), id_at(NEW_YEAR + 1, 1), id_at(0, 1), id_at(9_999_999_999_999 + NEW_YEAR, 1)] {
        assert_eq!(find(&memory, id), None, "{id}");
        assert_eq!(memory.cost(), (2, 0), "{id}");
    }
    // The latest time that an id can have is later than any timestamp.
    assert_eq!(find(&memory, id_at((1 << 48) - 1, 1)), None);
    let other = Conversation { user_id: UserId::try_from("user2").expect("a user"), ..conversation() };
    assert!(block_on(entry(&memory, &other, id_at(NEW_YEAR, 1))).expect("read").is_none());
}

#[test]
fn entry_of_a_longer_segment_is_found() {
    let mut memory = Memory::default();
    let times = [NEW_YEAR, NEW_YEAR + MINUTE, NEW_YEAR + HOUR - 1];
    let several = times.map(|millis| (millis, id_at(millis, 1), Signal::neutral()));
    store_segment(&mut memory, &several);
    // Segments that end before, and of another hour, are not read.
    let before = [0, 1].map(|millis| (NEW_YEAR + millis, id_at(NEW_YEAR + millis, 2), Signal::neutral()));
    store_segment(&mut memory, &before);
    let after = [HOUR, HOUR + 1].map(|millis| (NEW_YEAR + millis, id_at(NEW_YEAR + millis, 3), Signal::neutral()));
    store_segment(&mut memory, &after);
    for page_size in [1, 1_000] {
        memory.page_size = page_size;
        memory.cost();
        let (millis, id, _) = several[1].clone();
        assert_eq!(find(&memory, id), Some((millis, id)));
        assert_eq!(memory.cost().1, 1);
        assert_eq!(find(&memory, id_at(NEW_YEAR + 1, 1)), None);
    }
}

#[test]
fn entry_stored_with_two_signals_is_the_one_that_lists_show() {
    let mut memory = Memory::default();
    let [positive, neutral, _] = signals();
    let id = id_at(NEW_YEAR, 1);
    for signal in [positive, neutral.clone()] {
        store_segment(&mut memory, &[(NEW_YEAR, id, signal)]);
    }
    let found = block_on(entry(&memory, &conversation(), id)).expect("read").expect("an entry");
    assert_eq!(found.signal, neutral);
}

#[test]
fn entry_that_compaction_deletes_meanwhile_is_found_in_its_copy() {
    /// Lists an object that is deleted before it is read.
    struct Deleted(Memory);
    impl ListLogs for Deleted {
        async fn list(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<Keys, StoreError> {
            self.0.list(prefix, start_after, max_keys).await
        }
    }
    impl GetLog for Deleted {
        async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
            let is_single = Segment::parse(key).is_some_and(|segment| segment.is_single());
            if is_single { Ok(None) } else { self.0.get(key).await }
        }
    }
    let mut memory = Memory::default();
    let several = [0, 1].map(|millis| (NEW_YEAR + millis, id_at(NEW_YEAR + millis, 1), Signal::neutral()));
    store_segment(&mut memory, &several);
    store_segment(&mut memory, &several[..1]);
    let store = Deleted(memory);
    let (millis, id, _) = several[0].clone();
    let found = block_on(entry(&store, &conversation(), id)).expect("read").map(|entry| entry.order);
    assert_eq!(found, Some((millis, id)));
    for limit in 1..3 {
        assert_eq!(walk_entries(&store, EntryQuery::newest(limit)), orders_of(several.iter().rev()));
    }
}

proptest! {
    #[test]
    fn every_entry_is_found_by_its_id(segments in segments(), page_size in 1..5_usize) {
        let (memory, all) = build(&segments, page_size);
        for (millis, id, _) in all {
            // The ids of these entries do not contain their times.
            let found = block_on(single::locate_at(&memory, &conversation(), (millis, id))).expect("read");
            prop_assert_eq!(found.map(|located| located.entry.order), Some((millis, id)));
        }
    }
}
