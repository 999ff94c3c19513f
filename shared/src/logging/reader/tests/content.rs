//! Tests pages of entries that are filtered by their content.

use super::*;

/// Returns a filter by the session and the text of an entry, if any, and the filter's rule.
pub(super) fn filter(session: Option<u8>, text: Option<u8>) -> (ContentFilter, impl Fn(&Known) -> bool) {
    let session = session.map(|session| format!("session {session}"));
    let text = text.map(|text| format!("Text {text}"));
    let search = text.clone().map(|text| SearchText::try_from(text.to_uppercase()).expect("a text"));
    let filter = ContentFilter { session_id: session.clone(), text: search };
    let rule = move |(_, id, _): &Known| {
        let is_session = session.as_ref().is_none_or(|session| session_of(*id) == *session);
        is_session && text.as_ref().is_none_or(|text| text_of(*id) == *text)
    };
    (filter, rule)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn pages_have_every_entry_with_the_content_once(
        segments in segments(),
        page_size in 1..12_usize,
        (since, until) in (end(), end()),
        signal in prop::option::of(0..3_usize),
        (session, text) in (prop::option::of(0..3_u8), prop::option::of(0..5_u8)),
        limit in 1..12_usize,
    ) {
        let (memory, all) = build(&segments, page_size);
        let signal = signal.map(|signal| signals()[signal].clone());
        let (filter, accepts) = filter(session, text);
        let expected = orders_of(all.iter().rev().filter(|known| {
            let (millis, _, its) = known;
            let is_in_time = since.is_none_or(|since| *millis >= since) && until.is_none_or(|until| *millis <= until);
            is_in_time && signal.as_ref().is_none_or(|signal| its == signal) && accepts(known)
        }));
        let span = Span::new(since.map(at), until.map(at));
        let query = EntryQuery { span, signal, filter, ..EntryQuery::newest(limit) };
        prop_assert_eq!(walk_entries(&memory, query), expected);
    }
}

#[test]
fn page_without_a_match_reads_500_entries_and_leads_on() {
    let (memory, known) = singles(2_250, 1);
    let filter = ContentFilter {
        text: Some(SearchText::try_from("nothing".to_owned()).expect("a text")),
        ..ContentFilter::default()
    };
    let mut query = EntryQuery { filter, ..EntryQuery::newest(10) };
    for page in 1..=4 {
        let found = block_on(entries(&memory, &conversation(), &query)).expect("read");
        assert!(found.entries.is_empty());
        assert_eq!(memory.cost(), (1, 500));
        let (millis, id, _) = &known[2_250 - 500 * page];
        assert_eq!(found.next.expect("a next page").to_string(), format!("{millis}*{}", id.simple()));
        query.cursor = found.next;
    }
    let last = block_on(entries(&memory, &conversation(), &query)).expect("read");
    assert!(last.entries.is_empty() && last.next.is_none());
    assert_eq!(memory.cost(), (1, 250));
}

#[test]
fn page_of_frequent_content_reads_only_what_it_needs() {
    let (memory, known) = singles(2_000, 1);
    let (filter, accepts) = filter(Some(1), None);
    let matching: Vec<Known> = known.into_iter().rev().filter(|known| accepts(known)).collect();
    let mut query = EntryQuery { filter, ..EntryQuery::newest(10) };
    for page in 0..3 {
        let found = block_on(entries(&memory, &conversation(), &query)).expect("read");
        let shown: Vec<_> = found.entries.iter().rev().map(|entry| entry.order).collect();
        assert_eq!(shown, orders_of(&matching[10 * page..10 * page + 10]));
        assert_eq!(memory.cost(), (1, 100));
        query.cursor = found.next;
    }
}
