//! The objects that hold logs, and the keys that tell what is in them.
//!
//! A segment is one or more entries of one conversation as JSONL. Its key carries times and counts, so that most
//! reads need only a listing:
//!
//! ```text
//! logs/agent_id=<agent>/user_id=<user>/<inv newest>-<inv oldest>-<inv uuid>.<signal>=<n>,<signal>=<n>.jsonl
//! ```
//!
//! Times are 9,999,999,999,999 minus Unix milliseconds and the id is the newest entry's with every bit flipped, so that
//! S3's order, which is bytewise, is newest first.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use uuid::Uuid;

use super::entry::{Conversation, Entry};
use crate::ids::{AgentId, Signal};

/// All logs are under this prefix.
pub const ROOT: &str = "logs/";
/// Kept as they are in a key: what neither S3 nor the key's own form reads as structure.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');
/// How many milliseconds lie at most between the newest and the oldest entry of a segment.
pub const MAX_SPAN_MILLIS: i64 = 24 * 60 * 60 * 1_000;
const LATEST_MILLIS: i64 = 9_999_999_999_999;
const MILLIS_DIGITS: usize = 13;
const EXTENSION: &str = ".jsonl";

/// The folders of agents are named by this and the agent.
pub const AGENTS: &str = "logs/agent_id=";

/// `text` as it stands in a key.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The folders of the users of `agent` are named by this and the user.
pub fn users(agent: &AgentId) -> String {
    format!("{AGENTS}{}/user_id=", encode(agent.as_str()))
}

/// The prefix of all segments of `conversation`.
pub fn prefix(conversation: &Conversation) -> String {
    format!("{}{}/", users(&conversation.agent_id), encode(conversation.user_id.as_str()))
}

/// The least text that sorts behind every key in `folder`, which ends in a `/`.
pub fn behind_folder(folder: &str) -> String {
    // The character after the slash.
    format!("{}0", folder.strip_suffix('/').unwrap_or(folder))
}

/// A name that sorts before those of all segments whose newest entry is of `millis` or earlier, and behind all others;
/// `None` where it would be before every name.
pub fn before_newest(millis: i64) -> Option<String> {
    let inverted = LATEST_MILLIS.saturating_sub(millis).min(LATEST_MILLIS);
    (inverted >= 0).then(|| format!("{inverted:013}"))
}

/// A name that sorts right behind that of the segment that holds one entry alone, of `millis` and `id`; `None` where it
/// would be before every name.
pub fn behind_single(millis: i64, id: Uuid) -> Option<String> {
    let inverted = before_newest(millis)?;
    // The character after the point that ends the id.
    Some(format!("{inverted}-{inverted}-{}/", Uuid::from_u128(!id.as_u128())))
}

/// What the key of a segment tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Unix milliseconds of its newest entry.
    pub newest: i64,
    /// Unix milliseconds of its oldest entry.
    pub oldest: i64,
    /// Id of its newest entry.
    pub newest_id: Uuid,
    /// How many entries it holds of each signal. Nearly all segments have one alone, and a summary reads a thousand of them.
    pub counts: Vec<(Signal, u64)>,
}

impl Segment {
    /// The segment that holds `entry` alone.
    pub fn of_one(entry: &Entry) -> Self {
        let millis = entry.timestamp.millis();
        let counts = vec![(entry.detected_signal.clone(), 1)];
        Self { newest: millis, oldest: millis, newest_id: entry.log_id, counts }
    }

    /// How many entries it holds.
    pub fn len(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Whether it holds nothing, which no segment that was written does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it holds one entry, whose time, id and signal its key then tells.
    pub fn is_single(&self) -> bool {
        self.len() == 1
    }

    /// Its key in the log of `conversation`.
    pub fn key(&self, conversation: &Conversation) -> String {
        let mut key = prefix(conversation);
        let newest = LATEST_MILLIS - self.newest;
        let oldest = LATEST_MILLIS - self.oldest;
        let id = Uuid::from_u128(!self.newest_id.as_u128());
        // Writing to a String cannot fail.
        let _ = write!(key, "{newest:013}-{oldest:013}-{id}");
        for (index, (signal, count)) in self.counts.iter().enumerate() {
            let separator = if index == 0 { '.' } else { ',' };
            let _ = write!(key, "{separator}{}={count}", utf8_percent_encode(signal.as_str(), ESCAPED));
        }
        key.push_str(EXTENSION);
        key
    }

    /// Reads a key found under [`prefix`], or `None` where it is not one of a segment.
    pub fn parse(key: &str) -> Option<Self> {
        let (_, name) = key.rsplit_once('/')?;
        let (place, signals) = name.strip_suffix(EXTENSION)?.split_once('.')?;
        let (newest, rest) = place.split_once('-')?;
        let (oldest, id) = rest.split_once('-')?;
        let counts = signals.split(',').map(count).collect::<Option<Vec<_>>>()?;
        let segment = Self {
            newest: millis(newest)?,
            oldest: millis(oldest)?,
            newest_id: Uuid::from_u128(!Uuid::try_parse(id).ok()?.as_u128()),
            counts,
        };
        (!segment.is_empty() && segment.oldest <= segment.newest).then_some(segment)
    }
}

fn millis(inverted: &str) -> Option<i64> {
    let is_number = inverted.len() == MILLIS_DIGITS && inverted.bytes().all(|digit| digit.is_ascii_digit());
    let inverted: i64 = if is_number { inverted.parse().ok()? } else { return None };
    Some(LATEST_MILLIS - inverted)
}

fn count(pair: &str) -> Option<(Signal, u64)> {
    let (signal, count) = pair.split_once('=')?;
    let signal = percent_decode_str(signal).decode_utf8().ok()?.into_owned();
    Some((Signal::try_from(signal).ok()?, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;
    use proptest::prelude::*;

    fn conversation(agent: &str, user: &str) -> Conversation {
        Conversation {
            agent_id: AgentId::try_from(agent).expect("an agent"),
            user_id: UserId::try_from(user).expect("a user"),
        }
    }

    fn segment(newest: i64, oldest: i64, id: u128, counts: &[(&str, u64)]) -> Segment {
        let counts =
            counts.iter().map(|(signal, count)| (Signal::try_from(*signal).expect("a signal"), *count)).collect();
        Segment { newest, oldest, newest_id: Uuid::from_u128(id), counts }
    }

    #[test]
    fn a_key_is_as_documented() {
        let id = 0x0190_0000_0000_7000_8000_0000_0000_0001;
        let segment = segment(1_700_000_000_123, 1_700_000_000_000, id, &[("a.b,c=d", 2), ("stressed", 1)]);
        let key = segment.key(&conversation("agent 1", "日"));
        assert_eq!(
            key,
            "logs/agent_id=agent%201/user_id=%E6%97%A5/8299999999876-8299999999999-fe6fffff-ffff-8fff-7fff-fffffffffffe\
             .a%2Eb%2Cc%3Dd=2,stressed=1.jsonl"
        );
        assert_eq!(Segment::parse(&key), Some(segment));
    }

    #[test]
    fn the_longest_key_of_a_single_entry_fits_s3() {
        let widest = |bytes: usize| "é".repeat(bytes / 2);
        let segment = segment(0, 0, 0, &[(&widest(Signal::MAX_BYTES), 1)]);
        let key = segment.key(&conversation(&widest(AgentId::MAX_BYTES), &widest(UserId::MAX_BYTES)));
        assert!(key.len() <= 1_024, "{}", key.len());
    }

    #[test]
    fn what_is_no_segment_is_not_read_as_one() {
        for key in [
            "logs/agent_id=a/user_id=u/",
            "logs/agent_id=a/user_id=u/readme.jsonl",
            "logs/agent_id=a/user_id=u/8299999999876-8299999999999-fe6fffff-ffff-8fff-7fff-fffffffffffe.jsonl",
            "logs/agent_id=a/user_id=u/8299999999876-8299999999999-fe6fffff-ffff-8fff-7fff-fffffffffffe.good=0.jsonl",
            "logs/agent_id=a/user_id=u/8299999999999-8299999999876-fe6fffff-ffff-8fff-7fff-fffffffffffe.good=1.jsonl",
            "logs/agent_id=a/user_id=u/+299999999876-8299999999999-fe6fffff-ffff-8fff-7fff-fffffffffffe.good=1.jsonl",
        ] {
            assert_eq!(Segment::parse(key), None, "{key}");
        }
    }

    proptest! {
        #[test]
        fn keys_sort_newest_first_within_a_millisecond_too(
            a in (0..=LATEST_MILLIS, any::<u128>()), b in (0..=LATEST_MILLIS, any::<u128>()), same_time in any::<bool>()
        ) {
            let b = if same_time { (a.0, b.1) } else { b };
            let key = |(millis, id): (i64, u128)| segment(millis, millis, id, &[("x", 1)]).key(&conversation("a", "u"));
            prop_assert_eq!(key(a).cmp(&key(b)), b.cmp(&a));
        }

        #[test]
        fn any_signal_reads_back(signal in "[^\\x00-\\x1f\\x7f-\\x9f/\\\\%?#]{1,8}", count in 1..1_000_u64) {
            prop_assume!(signal != "." && signal != "..");
            let segment = segment(5, 3, 1, &[(&signal, count)]);
            prop_assert_eq!(Segment::parse(&segment.key(&conversation("a", "u"))), Some(segment));
        }
    }
}
