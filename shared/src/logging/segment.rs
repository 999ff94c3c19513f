//! The objects that hold logs, and their keys.
//!
//! A segment is one or more entries of one conversation as JSONL. The key carries times and counts, so that most reads
//! need only a listing:
//!
//! ```text
//! logs/agent_id=<agent>/user_id=<user>/<inv time>-<inv time>-<inv uuid>.<signal>=1.jsonl
//! logs/agent_id=<agent>/user_id=<user>/<inv hour end>,<inv newest>-<inv oldest>-<inv uuid>.<signal>=<n>,<signal>=<n>.jsonl
//! ```
//!
//! The first form is the key of a single entry, the second the key of several. Times are 9,999,999,999,999 minus Unix
//! milliseconds and the id is the newest entry's with every bit flipped, so that S3's order, which is bytewise, is
//! newest first. A segment of several entries lies within one UTC hour and sorts by the last millisecond of that hour.
//! A comma sorts before a hyphen: within an hour, all segments of several entries come before all single entries.
//!
//! An entry is counted under its signal, or under `unclassified` if the classifier could not read its text. The entry's
//! own signal is then neutral, so `neutral` counts only texts that were classified.

use std::fmt::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use uuid::Uuid;

use super::entry::{Conversation, EntryOrder};
use crate::ids::{AgentId, Signal, UserId};

/// Maximum number of entries of a segment that is written. A reader reads segments as a whole.
pub const MAX_ENTRIES: usize = 1_000;
/// Prefix of all logs.
pub const ROOT: &str = "logs/";
/// Percent-encoding set for keys. Leaves the characters that neither S3 nor the key format treats as structure.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');
/// Milliseconds of an hour, the longest time that a segment can span.
const HOUR_MILLIS: i64 = 60 * 60 * 1_000;
const LATEST_MILLIS: i64 = 9_999_999_999_999;
const MILLIS_DIGITS: usize = 13;
/// End of the key of a segment.
pub const EXTENSION: &str = ".jsonl";
/// Maximum length of an S3 key in bytes.
const MAX_KEY_BYTES: usize = 1_024;
/// Maximum length of a [`prefix`] in bytes: each byte of a name takes at most three.
const MAX_PREFIX_BYTES: usize = AGENTS.len() + 3 * AgentId::MAX_BYTES + USER.len() + 3 * UserId::MAX_BYTES + "/".len();
/// Maximum length of a [`Position`] as text, in bytes.
const MAX_POSITION_BYTES: usize = 3 * (MILLIS_DIGITS + 1) + uuid::fmt::Hyphenated::LENGTH;
/// Maximum length of the counts of a segment in its key, so that the key fits S3 in every conversation.
const MAX_COUNTS_BYTES: usize = MAX_KEY_BYTES - MAX_PREFIX_BYTES - MAX_POSITION_BYTES - ".".len() - EXTENSION.len();
const USER: &str = "/user_id=";

/// Prefix of the agents' folders, before the name of the agent.
pub const AGENTS: &str = "logs/agent_id=";

/// Returns `text` encoded for a key.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Returns the prefix of the folders of the users of `agent`, before the name of the user.
pub fn users(agent: &AgentId) -> String {
    format!("{AGENTS}{}{USER}", encode(agent.as_str()))
}

/// Returns the prefix of all segments of `conversation`.
pub fn prefix(conversation: &Conversation) -> String {
    format!("{}{}/", users(&conversation.agent_id), encode(conversation.user_id.as_str()))
}

/// Returns the part of `key` shared by all keys of the same entry, whatever its signal.
pub fn prefix_of_entry(key: &str) -> &str {
    let name = key.rfind('/').map_or(0, |slash| slash + 1);
    // A position has no full stop.
    key[name..].find('.').map_or(key, |stop| &key[..=name + stop])
}

/// Returns the [`prefix`] of the log that the segment under `key` belongs to.
pub fn folder_of(key: &str) -> &str {
    key.rfind('/').map_or("", |slash| &key[..=slash])
}

/// Returns the conversation of the log that the segment under `key` belongs to, or `None` for any other key.
pub fn conversation_of(key: &str) -> Option<Conversation> {
    let (agent, user) = folder_of(key).strip_prefix(AGENTS)?.strip_suffix('/')?.split_once(USER)?;
    Some(Conversation { agent_id: decode(agent)?, user_id: decode(user)? })
}

/// Decodes a name in a key. Returns `None` for a text that [`encode`] does not return.
pub fn decode<T: TryFrom<String>>(encoded: &str) -> Option<T> {
    let name = percent_decode_str(encoded).decode_utf8().ok()?;
    if encode(&name) == encoded { T::try_from(name.into_owned()).ok() } else { None }
}

/// Returns whether the segment under `key` belongs to a log of `user`.
pub fn is_of_user(key: &str, user: &UserId) -> bool {
    folder_of(key).ends_with(&format!("{USER}{}/", encode(user.as_str())))
}

/// Returns the part of `key` that names the agent and not the user. It sorts before all keys of the agent.
pub fn without_user(key: &str) -> &str {
    key.find(USER).map_or("", |user| &key[..user + USER.len()])
}

/// Returns the smallest text that sorts after every key in `folder`, which ends in a `/`.
pub fn after_folder(folder: &str) -> String {
    // The character after the slash.
    format!("{}0", folder.strip_suffix('/').unwrap_or(folder))
}

/// Returns the last millisecond of the UTC hour that contains `millis`. Both are in Unix milliseconds.
pub fn hour_end(millis: i64) -> i64 {
    millis.div_euclid(HOUR_MILLIS).saturating_mul(HOUR_MILLIS).saturating_add(HOUR_MILLIS - 1).min(LATEST_MILLIS)
}

/// Returns a name that sorts before all segments of the hour that contains `millis` and after those of later hours.
pub fn before_hour(millis: i64) -> String {
    format!("{:013}", inverted(hour_end(millis)))
}

fn inverted(millis: i64) -> i64 {
    LATEST_MILLIS - millis.clamp(0, LATEST_MILLIS)
}

/// Position of a segment in the key order of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// A single entry.
    Single {
        /// Unix milliseconds of the entry.
        millis: i64,
        /// Id of the entry.
        id: Uuid,
    },
    /// Several entries of one hour.
    Several {
        /// Unix milliseconds of the newest entry.
        newest: i64,
        /// Unix milliseconds of the oldest entry.
        oldest: i64,
        /// Id of the newest entry.
        newest_id: Uuid,
    },
}

impl Position {
    /// Returns the position of a single entry.
    pub fn single((millis, id): EntryOrder) -> Self {
        Self::Single { millis, id }
    }

    /// Returns the Unix milliseconds of the newest entry.
    pub fn newest(&self) -> i64 {
        match *self {
            Self::Single { millis, .. } => millis,
            Self::Several { newest, .. } => newest,
        }
    }

    /// Returns the Unix milliseconds of the oldest entry.
    pub fn oldest(&self) -> i64 {
        match *self {
            Self::Single { millis, .. } => millis,
            Self::Several { oldest, .. } => oldest,
        }
    }

    /// Returns the id of the newest entry.
    pub fn newest_id(&self) -> Uuid {
        match *self {
            Self::Single { id, .. } => id,
            Self::Several { newest_id, .. } => newest_id,
        }
    }

    /// Returns the order from which on every entry of the log is in a segment at or before this position.
    pub fn covered_until(&self) -> EntryOrder {
        match *self {
            Self::Single { millis, id } => (millis, id),
            Self::Several { newest, .. } => (hour_end(newest) + 1, Uuid::nil()),
        }
    }

    /// Returns a name that sorts directly after all segments at this position and before every other later one.
    pub fn after(&self) -> String {
        // The character after the full stop that ends a position.
        format!("{self}/")
    }

    /// Parses a position as displayed.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(',') {
            None => {
                let (newest, oldest, id) = parse_bounds(text)?;
                (newest == oldest).then_some(Self::Single { millis: newest, id })
            }
            Some((end, bounds)) => {
                let (newest, oldest, newest_id) = parse_bounds(bounds)?;
                let end = parse_millis(end)?;
                let is_in_hour = hour_end(newest) == end && hour_end(oldest) == end && oldest <= newest;
                is_in_hour.then_some(Self::Several { newest, oldest, newest_id })
            }
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Several { newest, .. } = self {
            write!(out, "{:013},", inverted(hour_end(*newest)))?;
        }
        let id = Uuid::from_u128(!self.newest_id().as_u128());
        write!(out, "{:013}-{:013}-{id}", inverted(self.newest()), inverted(self.oldest()))
    }
}

fn parse_bounds(text: &str) -> Option<(i64, i64, Uuid)> {
    let (newest, rest) = text.split_once('-')?;
    let (oldest, id) = rest.split_once('-')?;
    Some((parse_millis(newest)?, parse_millis(oldest)?, Uuid::from_u128(!Uuid::try_parse(id).ok()?.as_u128())))
}

fn parse_millis(inverted: &str) -> Option<i64> {
    let is_number = inverted.len() == MILLIS_DIGITS && inverted.bytes().all(|digit| digit.is_ascii_digit());
    let inverted: i64 = if is_number { inverted.parse().ok()? } else { return None };
    Some(LATEST_MILLIS - inverted)
}

/// Reason why entries cannot form one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// There is nothing to store.
    #[error("cannot create a segment without entries")]
    Empty,
    /// Entries are from different hours, or outside the years that a key can express.
    #[error("cannot create a segment beyond one UTC hour between 1970 and 2286")]
    Time,
    /// The signals do not fit the key.
    #[error("cannot fit the signals of a segment into {MAX_COUNTS_BYTES} bytes of its key")]
    Signals,
}

/// Contents of a segment as described by its key. Every value has a key that S3 accepts, in any conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    position: Position,
    /// Number of entries of each signal. Most segments have one signal, and a summary reads a thousand segments.
    counts: Vec<(Signal, u64)>,
    entry_count: u64,
}

impl Segment {
    /// Creates the segment that holds only the entry of `order`, counted under `signal`.
    pub fn of_one(order: EntryOrder, signal: Signal) -> Self {
        Self { position: Position::single(order), counts: vec![(signal, 1)], entry_count: 1 }
    }

    /// Creates the segment that holds `entries`, each given by its order and its signal.
    ///
    /// # Errors
    /// When the entries cannot share a segment. A writer then splits them by hour and by signal.
    pub fn of(entries: &[(EntryOrder, Signal)]) -> Result<Self, SegmentError> {
        let orders = || entries.iter().map(|(order, _)| *order);
        let (Some(newest), Some(oldest)) = (orders().max(), orders().min()) else { return Err(SegmentError::Empty) };
        if oldest.0 < 0 || newest.0 > LATEST_MILLIS || hour_end(oldest.0) != hour_end(newest.0) {
            return Err(SegmentError::Time);
        }
        let position = match entries {
            [_] => Position::single(newest),
            _ => Position::Several { newest: newest.0, oldest: oldest.0, newest_id: newest.1 },
        };
        let mut counts: Vec<(Signal, u64)> = Vec::new();
        for (_, signal) in entries {
            match counts.binary_search_by(|(other, _)| other.cmp(signal)) {
                Ok(index) => counts[index].1 += 1,
                Err(index) => counts.insert(index, (signal.clone(), 1)),
            }
        }
        let segment = Self { position, counts, entry_count: entries.len() as u64 };
        if segment.counts_text().len() > MAX_COUNTS_BYTES { Err(SegmentError::Signals) } else { Ok(segment) }
    }

    /// Returns the position of the segment in the key order of its log.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Returns the Unix milliseconds of the newest entry.
    pub fn newest(&self) -> i64 {
        self.position.newest()
    }

    /// Returns the Unix milliseconds of the oldest entry.
    pub fn oldest(&self) -> i64 {
        self.position.oldest()
    }

    /// Returns the number of entries of each signal.
    pub fn counts(&self) -> &[(Signal, u64)] {
        &self.counts
    }

    /// Returns [`Self::counts`] by value.
    pub fn into_counts(self) -> Vec<(Signal, u64)> {
        self.counts
    }

    /// Returns the number of entries, at least one.
    pub fn entry_count(&self) -> u64 {
        self.entry_count
    }

    /// Returns the order of the entry if the segment holds only one.
    pub fn single(&self) -> Option<EntryOrder> {
        match self.position {
            Position::Single { millis, id } => Some((millis, id)),
            Position::Several { .. } => None,
        }
    }

    /// Returns whether the segment holds one entry. Its key then contains the entry's time, id and signal.
    pub fn is_single(&self) -> bool {
        self.single().is_some()
    }

    /// Returns the key of the segment in the log of `conversation`.
    pub fn key(&self, conversation: &Conversation) -> String {
        self.key_in(&prefix(conversation))
    }

    /// Returns the key of the segment in the log whose keys begin with `folder`, the [`prefix`] of its conversation.
    pub fn key_in(&self, folder: &str) -> String {
        format!("{folder}{}.{}{EXTENSION}", self.position, self.counts_text())
    }

    fn counts_text(&self) -> String {
        let mut text = String::new();
        for (index, (signal, count)) in self.counts.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(text, "{separator}{}={count}", utf8_percent_encode(signal.as_str(), ESCAPED));
        }
        text
    }

    /// Parses a key found under [`prefix`]. Returns `None` if the key does not belong to a segment.
    pub fn parse(key: &str) -> Option<Self> {
        let (_, name) = key.rsplit_once('/')?;
        let (position, signals) = name.strip_suffix(EXTENSION)?.split_once('.')?;
        let position = Position::parse(position)?;
        let counts = signals.split(',').map(parse_count).collect::<Option<Vec<_>>>()?;
        let entry_count = counts.iter().try_fold(0_u64, |sum, (_, count)| sum.checked_add(*count))?;
        let is_plausible = match position {
            Position::Single { .. } => entry_count == 1,
            Position::Several { .. } => entry_count > 1,
        };
        is_plausible.then_some(Self { position, counts, entry_count })
    }
}

fn parse_count(pair: &str) -> Option<(Signal, u64)> {
    let (signal, count) = pair.split_once('=')?;
    let signal = percent_decode_str(signal).decode_utf8().ok()?.into_owned();
    Some((Signal::try_from(signal).ok()?, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0001;

    fn conversation(agent: &str, user: &str) -> Conversation {
        Conversation {
            agent_id: AgentId::try_from(agent).expect("an agent"),
            user_id: UserId::try_from(user).expect("a user"),
        }
    }

    /// Creates entries of consecutive ids at `times`, all of one signal.
    fn entries(times: &[i64], signal: &str) -> Vec<(EntryOrder, Signal)> {
        let signal = Signal::try_from(signal).expect("a signal");
        let ids = (0..).map(|n| Uuid::from_u128(ID + n));
        times.iter().zip(ids).map(|(millis, id)| ((*millis, id), signal.clone())).collect()
    }

    fn segment(times: &[i64], signal: &str) -> Segment {
        Segment::of(&entries(times, signal)).expect("a segment")
    }

    #[test]
    fn keys_are_as_documented() {
        let single = segment(&[1_700_000_000_123], "a.b,c=d");
        let key = single.key(&conversation("agent 1", "日"));
        let expected = "logs/agent_id=agent%201/user_id=%E6%97%A5/8299999999876-8299999999876-fe6fffff-ffff-8fff-7fff-fffffffffffe\
                        .a%2Eb%2Cc%3Dd=1.jsonl";
        assert_eq!(key, expected);
        assert_eq!(Segment::parse(&key), Some(single));

        let mut several = entries(&[1_700_000_000_123, 1_700_000_000_000], "a.b,c=d");
        several.extend(entries(&[1_700_000_000_001], "stressed"));
        let several = Segment::of(&several).expect("a segment");
        let key = several.key(&conversation("a", "u"));
        // 1,700,000,000 is 22:13:20 UTC.
        let expected = "logs/agent_id=a/user_id=u/8299997200000,8299999999876-8299999999999-fe6fffff-ffff-8fff-7fff-fffffffffffe\
                        .a%2Eb%2Cc%3Dd=2,stressed=1.jsonl";
        assert_eq!(key, expected);
        assert_eq!(Segment::parse(&key), Some(several));
    }

    #[test]
    fn key_counts_an_unreadable_entry_as_unclassified() {
        let single = segment(&[1_700_000_000_123], Signal::UNCLASSIFIED);
        let key = single.key(&conversation("a", "u"));
        assert!(key.ends_with(".unclassified=1.jsonl"), "{key}");
        assert_eq!(Segment::parse(&key), Some(single));
    }

    #[test]
    fn longest_names_and_signals_fit_the_longest_key() {
        let widest = |bytes: usize| "é".repeat(bytes / 2);
        let longest = conversation(&widest(AgentId::MAX_BYTES), &widest(UserId::MAX_BYTES));
        let one = Segment::of(&entries(&[0], &widest(Signal::MAX_BYTES))).expect("one signal fits");
        assert!(one.key(&longest).len() <= MAX_KEY_BYTES);
        // Signals are added until the segment is rejected. The last accepted one fills the key to within one signal.
        let mut lines = entries(&[1, 2], "neutral");
        let mut accepted = Segment::of(&lines).expect("a segment");
        for n in 0.. {
            lines.extend(entries(&[n], &format!("é {n}")));
            match Segment::of(&lines) {
                Ok(segment) => accepted = segment,
                Err(error) => {
                    assert_eq!(error, SegmentError::Signals);
                    break;
                }
            }
        }
        let length = accepted.key(&longest).len();
        assert!((MAX_KEY_BYTES - 20..=MAX_KEY_BYTES).contains(&length), "{length}");
        assert_eq!(Segment::parse(&accepted.key(&longest)), Some(accepted));
    }

    #[test]
    fn segment_refuses_entries_of_two_hours() {
        let hour = 1_700_002_800_000;
        assert_eq!(Segment::of(&entries(&[hour - 1, hour], "x")), Err(SegmentError::Time));
        assert!(Segment::of(&entries(&[hour, hour + HOUR_MILLIS - 1], "x")).is_ok());
        assert_eq!(Segment::of(&entries(&[-1, -2], "x")), Err(SegmentError::Time));
        assert_eq!(Segment::of(&entries(&[LATEST_MILLIS + 1], "x")), Err(SegmentError::Time));
        assert_eq!(Segment::of(&[]), Err(SegmentError::Empty));
    }

    #[test]
    fn other_keys_are_not_read_as_segments() {
        let id = "fe6fffff-ffff-8fff-7fff-fffffffffffe";
        for name in [
            String::new(),
            "readme.jsonl".to_owned(),
            format!("8299999999876-8299999999876-{id}.jsonl"),
            format!("8299999999876-8299999999876-{id}.good=0.jsonl"),
            // Several entries at the position of one, and the reverse.
            format!("8299999999876-8299999999876-{id}.good=2.jsonl"),
            format!("8299999999876-8299999999999-{id}.good=2.jsonl"),
            format!("8299997200000,8299999999876-8299999999999-{id}.good=1.jsonl"),
            // The oldest entry is newer than the newest, or the hour does not match.
            format!("8299997200000,8299999999999-8299999999876-{id}.good=2.jsonl"),
            format!("8299997200001,8299999999876-8299999999999-{id}.good=2.jsonl"),
            format!("8300000800000,8299999999876-8299999999999-{id}.good=2.jsonl"),
            format!("+299999999876-+299999999876-{id}.good=1.jsonl"),
            // Counts whose sum exceeds 64 bits.
            format!("8299997200000,8299999999876-8299999999999-{id}.a=18446744073709551615,b=1.jsonl"),
        ] {
            assert_eq!(Segment::parse(&format!("logs/agent_id=a/user_id=u/{name}")), None, "{name}");
        }
    }

    /// Generates times around the boundaries of two hours, and arbitrary times.
    fn time() -> impl Strategy<Value = i64> {
        prop_oneof![
            0..=LATEST_MILLIS,
            2 * HOUR_MILLIS - 2..2 * HOUR_MILLIS + 2,
            3 * HOUR_MILLIS - 2..3 * HOUR_MILLIS + 2
        ]
    }

    proptest! {
        #[test]
        fn single_keys_sort_newest_first(
            a in (time(), any::<u128>()), b in (time(), any::<u128>()), same_time in any::<bool>()
        ) {
            let b = if same_time { (a.0, b.1) } else { b };
            let key = |(millis, id): (i64, u128)| Position::single((millis, Uuid::from_u128(id))).to_string();
            prop_assert_eq!(key(a).cmp(&key(b)), b.cmp(&a));
        }

        #[test]
        fn several_sort_before_all_singles_of_their_hour(
            start in time(), length in 0..HOUR_MILLIS, id in any::<u128>(), other in (time(), any::<u128>())
        ) {
            let newest = (start + length).min(hour_end(start));
            let several = Position::Several { newest, oldest: start, newest_id: Uuid::from_u128(id) };
            let single = Position::single((other.0, Uuid::from_u128(other.1)));
            prop_assert_eq!(several.to_string() < single.to_string(), other.0 <= hour_end(start));
            prop_assert!(before_hour(start) < several.to_string());
            prop_assert_eq!(single.to_string() < before_hour(start), other.0 > hour_end(start));
            prop_assert_eq!(Position::parse(&several.to_string()), Some(several));
        }

        #[test]
        fn any_signal_reads_back(
            signal in "[^\\x00-\\x1f\\x7f-\\x9f/\\\\%?#]{1,8}|unclassified", count in 1..5_usize
        ) {
            prop_assume!(signal != "." && signal != "..");
            let segment = segment(&[5, 3, 5, 7, 1][..count], &signal);
            prop_assert_eq!(Segment::parse(&segment.key(&conversation("a", "u"))), Some(segment));
        }
    }
}
