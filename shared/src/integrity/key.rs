//! Sort keys that order a user's events.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::ids::{AgentId, EventId};
use crate::time::Timestamp;

const PREFIX: &str = "e#";
/// Sorts after the `#` that follows the time in every key.
const AFTER_SEPARATOR: char = '~';

/// Position of an event among its user's events and its unique identity: time, agent, id.
///
/// The text form is the sort key `e#<time>#<agent_id>#<event_id>`. Keys compare like their texts, bytewise, which is
/// also the order of DynamoDB.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct EventKey {
    /// Time used to evaluate the event.
    pub time: Timestamp,
    /// Agent that reported the event.
    pub agent_id: AgentId,
    /// Id of the event, unique per time and agent.
    pub event_id: EventId,
}

impl EventKey {
    /// Parses a sort key. Returns `None` if the key does not belong to an event.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, rest) = text.strip_prefix(PREFIX)?.split_once('#')?;
        let (agent_id, event_id) = rest.split_once('#')?;
        let time = Timestamp::parse_rfc3339(time)?;
        Some(Self { time, agent_id: AgentId::try_from(agent_id).ok()?, event_id: EventId::try_from(event_id).ok()? })
    }

    /// Returns the key as a cursor, which callers send back for the next page.
    pub fn to_cursor(&self) -> String {
        self.to_string().split_off(PREFIX.len())
    }

    /// Parses a cursor returned by [`Self::to_cursor`]. Returns `None` for any other text.
    pub fn from_cursor(text: &str) -> Option<Self> {
        Self::parse(&format!("{PREFIX}{text}"))
    }

    fn name_bytes(&self) -> impl Iterator<Item = u8> {
        self.agent_id.as_str().bytes().chain([b'#']).chain(self.event_id.as_str().bytes())
    }

    /// Returns a text that sorts before every key of `time` and after every earlier key.
    pub fn lower_bound(time: Timestamp) -> String {
        format!("{PREFIX}{time}#")
    }

    /// Returns a text that sorts after every key of `time` and before every later key.
    pub fn upper_bound(time: Timestamp) -> String {
        format!("{PREFIX}{time}{AFTER_SEPARATOR}")
    }
}

/// Formats the sort key used in DynamoDB.
impl fmt::Display for EventKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{PREFIX}{}#{}#{}", self.time, self.agent_id, self.event_id)
    }
}

impl TryFrom<String> for EventKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("expected the sort key of an event")
    }
}

impl Serialize for EventKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Ord for EventKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The `#` after the agent is part of the comparison: it sorts before all letters but after a space.
        self.time.cmp(&other.time).then_with(|| self.name_bytes().cmp(other.name_bytes()))
    }
}

impl PartialOrd for EventKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> impl Strategy<Value = EventKey> {
        (-3..3_i64, "[a !~]{1,3}", "[a !~]{1,3}").prop_map(|(micros, agent, event)| EventKey {
            time: Timestamp::from_micros(micros).expect("in range"),
            agent_id: AgentId::try_from(agent).expect("an agent"),
            event_id: EventId::try_from(event).expect("an event"),
        })
    }

    proptest! {
        #[test]
        fn keys_sort_like_their_texts(a in key(), b in key()) {
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn key_reads_back_from_its_text(key in key()) {
            prop_assert_eq!(EventKey::parse(&key.to_string()), Some(key));
        }

        #[test]
        fn bounds_include_exactly_the_keys_of_their_time(key in key(), micros in -3..3_i64) {
            let time = Timestamp::from_micros(micros).expect("in range");
            let text = key.to_string();
            let within = EventKey::lower_bound(time) < text && text < EventKey::upper_bound(time);
            prop_assert_eq!(within, key.time == time);
        }
    }
}
