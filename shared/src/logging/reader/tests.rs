//! The reader against random logs of single-line and longer segments, compared with sorting everything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::super::store::Page;
use super::*;
use crate::ids::{AgentId, UserId};

#[derive(Default)]
struct Memory {
    objects: BTreeMap<String, Vec<u8>>,
    lists: AtomicUsize,
    gets: AtomicUsize,
}

impl ListLogs for Memory {
    async fn list(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<Page, StoreError> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let size = usize::try_from(max_keys).expect("positive");
        let start = start_after.unwrap_or_default();
        let mut keys: Vec<_> =
            self.objects.keys().filter(|key| key.starts_with(prefix) && key.as_str() > start).cloned().collect();
        let more = keys.len() > size;
        keys.truncate(size);
        Ok(Page { keys, more })
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
    let segment = Segment { newest: newest.0, oldest: oldest.0, newest_id: newest.1, counts };
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

fn singles(count: usize) -> (Memory, Vec<Known>) {
    let mut memory = Memory::default();
    let signal = Signal::neutral();
    let known: Vec<Known> =
        (0..count).map(|n| (1_700_000_000_000 + n as i64 / 3, Uuid::from_u128(n as u128), signal.clone())).collect();
    for entry in &known {
        store_segment(&mut memory, std::slice::from_ref(entry));
    }
    (memory, known)
}

#[test]
fn the_last_ten_of_many_single_entries_cost_one_listing_and_ten_reads() {
    let (memory, known) = singles(50);
    let entries = block_on(last_entries(&memory, &conversation(), 10)).expect("read");
    assert_eq!(ids_of(&entries), known[40..].iter().map(|(_, id, _)| *id).collect::<Vec<_>>());
    assert_eq!((memory.lists.into_inner(), memory.gets.into_inner()), (1, 10));
}

#[test]
fn a_summary_of_more_entries_than_it_counts_costs_one_listing_and_no_read() {
    let (memory, _) = singles(1_500);
    let summary = block_on(summarise(&memory, &conversation())).expect("read");
    assert_eq!(summary, [(Signal::neutral(), 1_000)].into_iter().collect());
    assert_eq!((memory.lists.into_inner(), memory.gets.into_inner()), (1, 0));
}

#[test]
fn a_log_without_entries_is_empty() {
    let memory = Memory::default();
    assert!(block_on(last_entries(&memory, &conversation(), 10)).expect("read").is_empty());
    assert!(block_on(summarise(&memory, &conversation())).expect("read").is_empty());
}

#[test]
fn what_a_later_version_writes_into_an_entry_is_kept() {
    let (memory, _) = singles(1);
    let entries = block_on(last_entries(&memory, &conversation(), 1)).expect("read");
    assert!(entries[0].json().get().ends_with("\"later\":[1, 2]}"));
}

proptest! {
    #[test]
    fn whatever_the_segments_the_newest_entries_are_found_and_counted(
        segments in prop::collection::vec(prop::collection::vec((0..40_i64, 0..3_usize), 1..6), 0..40),
        single in prop::collection::vec(any::<bool>(), 40),
        wanted in 1..30_usize,
    ) {
        let signals = ["positive", "neutral", "bored"].map(|name| Signal::try_from(name).expect("a signal"));
        let mut memory = Memory::default();
        let mut all: Vec<Known> = Vec::new();
        for (segment, single) in segments.iter().zip(single) {
            let take = if single { 1 } else { segment.len() };
            let entries: Vec<Known> = segment[..take]
                .iter()
                .enumerate()
                // Ids need not sort as times do: the order is time first.
                .map(|(n, (millis, signal))| {
                    let id = ((all.len() + n) as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    (*millis, Uuid::from_u128(id), signals[*signal].clone())
                })
                .collect();
            store_segment(&mut memory, &entries);
            all.extend(entries);
        }
        all.sort_unstable();
        let expected: Vec<_> = all[all.len().saturating_sub(wanted)..].to_vec();
        let read = block_on(last_entries(&memory, &conversation(), wanted)).expect("read");
        prop_assert_eq!(read.len(), expected.len());
        // Which of several entries in the millisecond of the cut are in, a listing that ends there leaves open.
        let cut = expected.first().map(|(millis, _, _)| *millis);
        for (read, (millis, id, _)) in read.iter().zip(&expected) {
            prop_assert_eq!(read.order.0, *millis);
            prop_assert!(Some(*millis) == cut || read.order.1 == *id);
        }

        let summary = block_on(summarise(&memory, &conversation())).expect("read");
        let expected: Summary = all.into_iter().map(|(_, _, signal)| (signal, 1)).collect();
        prop_assert_eq!(summary, expected);
    }
}
