//! Arranges interactions into requests that cost little.
//!
//! The stack stores the interactions of one agent, user and UTC hour that come in one request as one object. So rows are
//! read in windows, and the rows of a window are sorted by agent, user and time.

use std::ops::Range;

use super::row::Entry;

/// The maximum number of rows, and of bytes of their bodies, in a window.
const MAX_WINDOW_ENTRIES: usize = 50_000;
const MAX_WINDOW_BYTES: usize = 64 * 1024 * 1024;
/// The maximum number of entries in a request.
const MAX_ENTRIES: usize = 1_000;
/// The maximum number of objects of a request. The time of a request grows with the number of objects and is limited,
/// whereas requests cost little in comparison with objects.
const MAX_OBJECTS: usize = 100;
/// The maximum size of a request before compression, in bytes: below the limit of the API, 4 MiB.
const MAX_BYTES: usize = 3_584 * 1024;

/// The entries of a request.
pub(crate) type Batch = Vec<Entry>;

/// The entries of a part of the input.
#[derive(Debug, Default)]
pub(crate) struct Window {
    entries: Vec<Entry>,
    bytes: usize,
}

impl Window {
    /// Adds `entry`. Returns `true` if the window is full.
    pub fn add(&mut self, entry: Entry) -> bool {
        self.bytes += entry.body.len();
        self.entries.push(entry);
        self.entries.len() >= MAX_WINDOW_ENTRIES || self.bytes >= MAX_WINDOW_BYTES
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the entries as requests. The same rows always make the same requests.
    pub fn into_plan(self) -> Plan {
        self.into_plan_of(MAX_OBJECTS)
    }

    /// Returns the entries as requests of at most `objects` objects, unless an hour has more.
    pub fn into_plan_of(self, objects: usize) -> Plan {
        Plan::of(self.entries, Limits { entries: MAX_ENTRIES, objects, bytes: MAX_BYTES })
    }
}

/// The limits of a request.
#[derive(Clone, Copy, Debug)]
struct Limits {
    entries: usize,
    objects: usize,
    bytes: usize,
}

/// The requests of a window.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub batches: Vec<Batch>,
    /// The number of objects in which the stack stores the entries, unless it has to split an object.
    pub objects: usize,
}

impl Plan {
    /// Fills requests up to `limits` in the order of agent, user and time. Splits the entries of an hour only if they do
    /// not fit into a request of their own.
    fn of(mut entries: Vec<Entry>, limits: Limits) -> Self {
        entries.sort_by(|one, other| {
            let key = |entry: &Entry| (entry.millis, entry.log_id, entry.origin);
            let names = one.agent_id.cmp(&other.agent_id).then_with(|| one.user_id.cmp(&other.user_id));
            names.then_with(|| key(one).cmp(&key(other)))
        });
        let mut ends = Vec::new();
        let mut objects = 0;
        let mut request = Request::default();
        for group in groups(&entries) {
            let size: usize = entries[group.clone()].iter().map(size_of).sum();
            objects += 1;
            if !request.has_room(group.len(), size, limits) && request.entries > 0 {
                ends.push(group.start);
                request = Request::default();
            }
            if request.has_room(group.len(), size, limits) {
                request.add(group.len(), size);
                request.objects += 1;
                continue;
            }
            request.objects = 1;
            for index in group {
                let size = size_of(&entries[index]);
                if !request.has_room(1, size, Limits { objects: usize::MAX, ..limits }) && request.entries > 0 {
                    ends.push(index);
                    objects += 1;
                    request = Request { objects: 1, ..Request::default() };
                }
                request.add(1, size);
            }
        }
        if request.entries > 0 {
            ends.push(entries.len());
        }
        let mut batches = Vec::with_capacity(ends.len());
        let (mut entries, mut start) = (entries.into_iter(), 0);
        for end in ends {
            batches.push(entries.by_ref().take(end - start).collect());
            start = end;
        }
        Self { batches, objects }
    }
}

/// The content of a request so far.
#[derive(Default)]
struct Request {
    entries: usize,
    objects: usize,
    bytes: usize,
}

impl Request {
    /// Returns whether the request can take one more object, of `entries` entries and `bytes` bytes.
    fn has_room(&self, entries: usize, bytes: usize, limits: Limits) -> bool {
        self.entries + entries <= limits.entries && self.bytes + bytes <= limits.bytes && self.objects < limits.objects
    }

    fn add(&mut self, entries: usize, bytes: usize) {
        self.entries += entries;
        self.bytes += bytes;
    }
}

/// Returns the size of `entry` as a line.
fn size_of(entry: &Entry) -> usize {
    entry.body.len() + 1
}

/// Returns the ranges of entries of the same agent, user and hour in sorted `entries`.
fn groups(entries: &[Entry]) -> impl Iterator<Item = Range<usize>> {
    let is_same = |one: &Entry, other: &Entry| {
        one.hour() == other.hour() && one.user_id == other.user_id && one.agent_id == other.agent_id
    };
    entries.chunk_by(is_same).scan(0, |start, group| {
        let range = *start..*start + group.len();
        *start = range.end;
        Some(range)
    })
}

#[cfg(test)]
mod tests {
    use shared::ids::{AgentId, UserId};
    use uuid::Uuid;

    use super::super::row::Origin;
    use super::*;

    fn limits(entries: usize, bytes: usize) -> Limits {
        Limits { entries, objects: 100, bytes }
    }

    /// Returns an entry of `user` at `minute`, whose line has ten bytes.
    fn entry(user: &str, minute: i64, id: u128) -> Entry {
        Entry {
            origin: Origin { file: 0, line: 0 },
            agent_id: AgentId::try_from("agent").expect("an agent"),
            user_id: UserId::try_from(user).expect("a user"),
            millis: minute * 60_000,
            log_id: Uuid::from_u128(id),
            body: "x".repeat(9),
        }
    }

    fn shown(plan: &Plan) -> Vec<Vec<(&str, i64)>> {
        plan.batches
            .iter()
            .map(|batch| batch.iter().map(|entry| (entry.user_id.as_str(), entry.millis / 60_000)).collect())
            .collect()
    }

    #[test]
    fn hours_of_users_stay_together() {
        let entries = vec![
            entry("b", 0, 1),
            entry("a", 59, 2),
            entry("a", 60, 3),
            entry("b", 1, 4),
            entry("a", 0, 5),
            entry("b", 61, 6),
        ];
        let plan = Plan::of(entries.clone(), limits(3, 1_000));
        assert_eq!(shown(&plan), [vec![("a", 0), ("a", 59), ("a", 60)], vec![("b", 0), ("b", 1), ("b", 61)]]);
        assert_eq!(plan.objects, 4);
        // A group does not begin in the rest of a request that is too small for it.
        let plan = Plan::of(entries.clone(), limits(4, 1_000));
        assert_eq!(shown(&plan)[0].len(), 3);
        assert_eq!(plan.batches.len(), 2);
        // The limit of bytes does the same.
        assert_eq!(shown(&Plan::of(entries, limits(100, 49)))[0].len(), 3);
    }

    #[test]
    fn hour_is_split_only_if_it_is_larger_than_a_request() {
        let mut entries: Vec<_> = (0..7).map(|n| entry("b", n, 0)).collect();
        entries.push(entry("a", 0, 0));
        entries.push(entry("c", 0, 0));
        let plan = Plan::of(entries, limits(3, 1_000));
        let sizes: Vec<_> = plan.batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 3, 3, 2]);
        assert_eq!(plan.objects, 5);
    }

    #[test]
    fn request_has_a_limited_number_of_objects() {
        let entries: Vec<_> = (0..10).map(|n| entry("a", n * 30, 0)).collect();
        let plan = Plan::of(entries, Limits { entries: 100, objects: 2, bytes: 1_000 });
        assert_eq!(plan.batches.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(plan.objects, 5);
    }

    #[test]
    fn entry_larger_than_a_request_gets_its_own() {
        let plan = Plan::of(vec![entry("a", 0, 0), entry("a", 1, 0)], limits(10, 5));
        assert_eq!(plan.batches.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
        assert!(Plan::of(Vec::new(), limits(10, 5)).batches.is_empty());
    }

    #[test]
    fn order_of_rows_does_not_change_the_requests() {
        let mut entries: Vec<_> = (0..50).map(|n| entry(["a", "b"][n % 2], (n / 3) as i64 * 20, n as u128)).collect();
        let plan = format!("{:?}", Plan::of(entries.clone(), limits(7, 1_000)).batches);
        entries.reverse();
        assert_eq!(format!("{:?}", Plan::of(entries, limits(7, 1_000)).batches), plan);
    }
}
