//! Tests pages of entries from the oldest on.

use super::super::oldest::{OldestCursor, oldest_entries};
use super::content::filter;
use super::*;

/// Returns a query for the oldest entries.
pub(super) fn oldest(limit: usize) -> EntryQuery<OldestCursor> {
    let EntryQuery { span, signal, filter, limit, room, .. } = EntryQuery::newest(limit);
    EntryQuery { span, signal, filter, cursor: None, limit, room }
}

/// Returns all entries of `query`, in the order of the pages, and the number of pages.
pub(super) fn walk<S: ListLogs + GetLog + Sync>(
    store: &S,
    mut query: EntryQuery<OldestCursor>,
) -> (Vec<EntryOrder>, usize) {
    let (mut found, mut cursors) = (Vec::new(), BTreeSet::new());
    loop {
        let page = block_on(oldest_entries(store, &conversation(), &query)).expect("read");
        assert!(page.entries.len() <= query.limit);
        found.extend(page.entries.iter().map(|entry| entry.order));
        assert!(found.is_sorted());
        let Some(next) = page.next else { return (found, cursors.len() + 1) };
        let text = next.to_string();
        assert_eq!(OldestCursor::parse(&text), Some(next), "{text}");
        assert_eq!(EntryCursor::parse(&text), None, "{text}");
        assert!(cursors.insert(text), "a link in a circle");
        query.cursor = Some(next);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn oldest_pages_have_every_entry_once_and_in_order(
        segments in segments(),
        page_size in 2..12_usize,
        (since, until) in (end(), end()),
        signal in prop::option::of(0..3_usize),
        (session, text) in (prop::option::of(0..3_u8), prop::option::of(0..5_u8)),
        limit in 1..12_usize,
    ) {
        let (memory, all) = build(&segments, page_size);
        let signal = signal.map(|signal| signals()[signal].clone());
        let (filter, accepts) = filter(session, text);
        let expected = orders_of(all.iter().filter(|known| {
            let (millis, _, its) = known;
            let is_in_time = since.is_none_or(|since| *millis >= since) && until.is_none_or(|until| *millis <= until);
            is_in_time && signal.as_ref().is_none_or(|signal| its == signal) && accepts(known)
        }));
        let span = Span::new(since.map(at), until.map(at));
        let query = EntryQuery { span, signal, filter, ..oldest(limit) };
        prop_assert_eq!(walk(&memory, query).0, expected);
    }

    #[test]
    fn forged_oldest_cursors_show_nothing_that_is_older(
        segments in segments(),
        millis in prop_oneof![any::<i64>(), NEW_YEAR - 1..NEW_YEAR + 6 * HOUR],
        id in prop_oneof![Just(0), Just(u128::MAX), any::<u128>()],
        length in prop_oneof![any::<i64>(), 0..HOUR],
        until in end(),
        limit in 1..5_usize,
    ) {
        let (memory, _) = build(&segments, 7);
        let id = Uuid::from_u128(id);
        let cursor = OldestCursor::parse(&format!("o*{millis}*{}*{length}", id.simple()));
        prop_assert_eq!(cursor.is_some(), length >= 0);
        let query = EntryQuery { cursor, span: Span::new(None, until.map(at)), ..oldest(limit) };
        let (found, _) = walk(&memory, query);
        prop_assert!(length < 0 || found.iter().all(|order| *order > (millis, id)));
        prop_assert!(found.iter().all(|(millis, _)| until.is_none_or(|until| *millis <= until)));
    }
}

#[test]
fn texts_of_other_forms_are_no_cursors() {
    let id = Uuid::nil().simple();
    assert!(OldestCursor::parse(&format!("o*1*{id}*0")).is_some());
    for text in [
        String::new(),
        "o".to_owned(),
        format!("1*{id}*0"),
        format!("1*{id}"),
        format!("o*1*{id}"),
        format!("o*1*{id}*-1"),
        format!("o*1*{id}*9223372036854775808"),
        format!("o*1*{id}*0*"),
        format!("o*x*{id}*0"),
        "o*1*x*0".to_owned(),
    ] {
        assert_eq!(OldestCursor::parse(&text), None, "{text}");
    }
}

#[test]
fn oldest_page_of_a_short_log_costs_one_listing() {
    let (memory, known) = singles(50, 1);
    let page = block_on(oldest_entries(&memory, &conversation(), &oldest(10))).expect("read");
    assert_eq!(ids_of(&page.entries), known[..10].iter().map(|(_, id, _)| *id).collect::<Vec<_>>());
    assert_eq!(memory.cost(), (1, 10));
    let mut query = oldest(10);
    query.cursor = page.next;
    let page = block_on(oldest_entries(&memory, &conversation(), &query)).expect("read");
    assert_eq!(ids_of(&page.entries), known[10..20].iter().map(|(_, id, _)| *id).collect::<Vec<_>>());
    assert_eq!(memory.cost(), (1, 10));
    let empty = Memory::default();
    let page = block_on(oldest_entries(&empty, &conversation(), &oldest(10))).expect("read");
    assert!(page.entries.is_empty() && page.next.is_none());
    assert_eq!(empty.cost(), (1, 0));
}

#[test]
fn oldest_page_without_a_match_reads_500_entries() {
    let (memory, known) = singles(1_250, 1);
    let nothing = SearchText::try_from("nothing".to_owned()).expect("a text");
    let filter = ContentFilter { text: Some(nothing), ..ContentFilter::default() };
    let mut query = EntryQuery { filter, ..oldest(10) };
    for (reads, last) in [(500, Some(499)), (500, Some(999)), (250, None)] {
        let found = block_on(oldest_entries(&memory, &conversation(), &query)).expect("read");
        assert!(found.entries.is_empty());
        assert_eq!(memory.cost().1, reads);
        let after = found.next.map(|next| next.to_string());
        let expected = last.map(|last: usize| format!("o*{}*{}*", known[last].0, known[last].1.simple()));
        assert_eq!(after.is_some(), expected.is_some());
        assert!(expected.is_none_or(|expected| after.is_some_and(|after| after.starts_with(&expected))));
        query.cursor = found.next;
    }
}

#[test]
fn crowded_millisecond_is_paged_oldest_first() {
    let (memory, known) = singles(2_500, 2_500);
    let (found, pages) = walk(&memory, oldest(100));
    assert_eq!(found, orders_of(&known));
    assert!(pages <= 30, "{pages} pages");
}

/// Reads the entries of a log whose keys are created when listed.
struct Readable(Evenly);

impl ListLogs for Readable {
    async fn list(&self, prefix: &str, start_after: Option<&str>, max_keys: i32) -> Result<Keys, StoreError> {
        self.0.list(prefix, start_after, max_keys).await
    }
}

impl GetLog for Readable {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (millis, id) = Segment::parse(key).and_then(|segment| segment.single()).expect("a single entry");
        let timestamp = at(millis).to_rfc3339_millis();
        Ok(Some(format!(r#"{{"timestamp":"{timestamp}","log_id":"{id}","detected_signal":"neutral"}}"#).into_bytes()))
    }
}

#[test]
fn oldest_of_a_million_entries_are_found_in_a_few_listings() {
    let log = Evenly { count: 1_000_000, prefix: segment::prefix(&conversation()), lists: AtomicUsize::new(0) };
    let log = Readable(log);
    let rank = |index: usize| log.0.count - 1 - index;
    let (mut query, mut found, mut costs) = (oldest(100), Vec::new(), Vec::new());
    while found.len() < 3_000 {
        let page = block_on(oldest_entries(&log, &conversation(), &query)).expect("read");
        found.extend(page.entries.iter().map(|entry| entry.order));
        query.cursor = Some(page.next.expect("a next page"));
        costs.push(log.0.lists.swap(0, Ordering::Relaxed));
    }
    let expected: Vec<_> =
        (0..found.len()).map(|index| (log.0.millis(rank(index)), Uuid::from_u128(rank(index) as u128))).collect();
    assert_eq!(found, expected);
    let first: usize = costs.iter().take(3).sum();
    assert!(first <= 50 && costs.iter().all(|lists| *lists <= 22), "{costs:?}");
    assert!(costs[3..].iter().all(|lists| *lists <= 4), "{costs:?}");
}
