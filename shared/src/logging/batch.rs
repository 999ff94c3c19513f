//! Groups the entries of a batch into objects.
//!
//! The entries of one conversation and one UTC hour are one object, because a PUT costs as much as a thousand entries.
//! Entries with a caller's id are apart from those with a generated one: the same entries then always have the same
//! key, whatever else is in the batch, and a repeated batch finds the object that the first attempt stored.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::entry::Entry;
use super::entry_id::IdSource;
use super::object::LogObject;
use super::recorded::RecordedEntry;
use super::segment::{self, MAX_ENTRIES};
use crate::aws::StoreError;

/// An object of a batch.
#[derive(Clone, Debug)]
pub struct Group {
    /// The object.
    pub object: LogObject,
    /// Position in the batch of each line of the object.
    pub positions: Vec<usize>,
}

/// The objects of a batch.
#[derive(Clone, Debug, Default)]
pub struct Grouped {
    /// Objects, which contain each id of a conversation once.
    pub groups: Vec<Group>,
    /// Entries that are in no object because an earlier entry has their conversation and id.
    pub repeated: Vec<Repeated>,
}

/// An entry whose conversation and id an earlier entry of the batch has. Both are given by their positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The later entry.
    pub position: usize,
    /// The first entry.
    pub first: usize,
}

/// Groups `entries`, each given with the source of its id.
pub fn group(entries: &[(Entry, IdSource)]) -> Result<Grouped, StoreError> {
    let mut folders: BTreeMap<(String, i64, bool), Vec<(usize, RecordedEntry)>> = BTreeMap::new();
    let mut first_of: BTreeMap<(String, Uuid), usize> = BTreeMap::new();
    let mut grouped = Grouped::default();
    for (position, (entry, id_source)) in entries.iter().enumerate() {
        let folder = segment::prefix(&entry.conversation());
        let first = *first_of.entry((folder.clone(), entry.log_id)).or_insert(position);
        if first < position {
            grouped.repeated.push(Repeated { position, first });
            continue;
        }
        let line = RecordedEntry::of(entry)?;
        let hour = segment::hour_end(line.order.0);
        folders.entry((folder, hour, *id_source == IdSource::Caller)).or_default().push((position, line));
    }
    for ((folder, _, has_caller_id), mut lines) in folders {
        lines.sort_unstable_by_key(|(_, line)| line.order);
        let id_source = if has_caller_id { IdSource::Caller } else { IdSource::Generated };
        add_groups(&mut grouped.groups, &folder, &lines, id_source);
    }
    Ok(grouped)
}

/// Adds the object of `lines`, or those of their halves if one object cannot hold all of them.
fn add_groups(groups: &mut Vec<Group>, folder: &str, lines: &[(usize, RecordedEntry)], id_source: IdSource) {
    let object = (lines.len() <= MAX_ENTRIES)
        .then(|| LogObject::of_lines(folder, lines.iter().map(|(_, line)| line), id_source).ok())
        .flatten();
    match object {
        Some(object) => groups.push(Group { object, positions: lines.iter().map(|(position, _)| *position).collect() }),
        // One line always fits.
        None if lines.len() > 1 => {
            let (older, newer) = lines.split_at(lines.len() / 2);
            add_groups(groups, folder, older, id_source);
            add_groups(groups, folder, newer, id_source);
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::logging::segment::Segment;
    use crate::logging::{Classifier, Interaction};
    use serde_json::json;

    /// 2026-01-01T12:59:59.990Z.
    const BEFORE_ONE: u64 = 1_767_272_399_990;

    fn classifier() -> Classifier {
        Classifier::new(&Config::load().expect("valid").classifier)
    }

    /// Creates an entry of `user`, `millis` after [`BEFORE_ONE`]; `number` makes its id unique.
    fn entry(user: &str, millis: u64, number: u128, signal: &str) -> Entry {
        let body = json!({ "agent_id": "a", "user_id": user, "user_input": "x", "detected_signal": signal });
        let interaction = Interaction::parse(body.to_string().as_bytes()).expect("an interaction").into_unchecked();
        let id = Uuid::from_u128(u128::from(BEFORE_ONE + millis) << 80 | 0x7 << 76 | 0x8 << 60 | number);
        Entry::record(interaction, id, &classifier())
    }

    fn grouped(entries: Vec<Entry>, id_source: IdSource) -> Grouped {
        let entries: Vec<_> = entries.into_iter().map(|entry| (entry, id_source)).collect();
        group(&entries).expect("JSON")
    }

    fn positions(grouped: &Grouped) -> Vec<Vec<usize>> {
        grouped.groups.iter().map(|group| group.positions.clone()).collect()
    }

    /// Asserts that the keys of all objects describe their lines.
    fn assert_keys(grouped: &Grouped) {
        for Group { object, positions } in &grouped.groups {
            let segment = Segment::parse(&object.key).expect("a key");
            assert_eq!((segment.entry_count(), object.line_count()), (positions.len() as u64, positions.len()));
        }
    }

    #[test]
    fn conversation_and_hour_have_one_object_oldest_first() {
        let entries = vec![entry("u", 5, 1, "x"), entry("v", 5, 1, "x"), entry("u", 10, 3, "x"), entry("u", 0, 2, "y")];
        let grouped = grouped(entries, IdSource::Caller);
        assert_eq!(positions(&grouped), [vec![3, 0], vec![2], vec![1]]);
        assert!(grouped.repeated.is_empty());
        assert_keys(&grouped);
        let object = &grouped.groups[0].object;
        assert!(object.has_caller_id && object.key.ends_with(".x=1,y=1.jsonl"), "{}", object.key);
        let times: Vec<_> = object.lines().map(|line| line.contains("12:59:59.990Z")).collect();
        assert_eq!(times, [true, false]);
    }

    #[test]
    fn generated_ids_are_apart_from_those_of_callers() {
        let entries: Vec<_> = (0..4)
            .map(|n| (entry("u", 0, n, "x"), if n % 2 == 0 { IdSource::Caller } else { IdSource::Generated }))
            .collect();
        let with_generated = group(&entries).expect("JSON");
        assert_eq!(positions(&with_generated), [[1, 3], [0, 2]]);
        let only: Vec<_> = entries.into_iter().step_by(2).collect();
        assert_eq!(group(&only).expect("JSON").groups[0].object, with_generated.groups[1].object);
    }

    #[test]
    fn repeated_id_is_that_of_the_same_conversation() {
        let entries = vec![entry("u", 0, 1, "x"), entry("v", 0, 1, "x"), entry("u", 0, 1, "y"), entry("u", 0, 1, "x")];
        let grouped = grouped(entries, IdSource::Caller);
        assert_eq!(positions(&grouped), [[0], [1]]);
        let repeated = |position| Repeated { position, first: 0 };
        assert_eq!(grouped.repeated, [repeated(2), repeated(3)]);
    }

    #[test]
    fn group_is_halved_until_its_signals_fit_a_key() {
        let entries = (0..100).map(|n| entry("u", 0, n, &format!("signal {n}"))).collect();
        let grouped = grouped(entries, IdSource::Generated);
        assert!((10..=32).contains(&grouped.groups.len()), "{}", grouped.groups.len());
        assert_eq!(positions(&grouped).concat(), (0..100).collect::<Vec<_>>());
        assert_keys(&grouped);
    }

    #[test]
    fn object_has_at_most_a_thousand_entries() {
        let first = entry("u", 0, 0, "x");
        let entries = |count: u128| {
            let entry = |n| Entry { log_id: Uuid::from_u128(first.log_id.as_u128() + n), ..first.clone() };
            grouped((0..count).map(entry).collect(), IdSource::Caller)
        };
        let sizes = |count| positions(&entries(count)).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!((sizes(1_000), sizes(1_001)), (vec![1_000], vec![500, 501]));
    }
}
