//! Page cursors for events and anomalies.

use std::fmt;

use super::super::key::EventKey;
use crate::time::Timestamp;

/// A position among a user's items, newest first: after the last item that a page read, shown or not.
///
/// The text of a cursor reveals the time and the ids of that item. For a caller who may not see every agent the cursor
/// must be [sealed](crate::auth::Seal).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(EventKey);

impl Cursor {
    /// Maximum length of a cursor's text in bytes: a time, two ids and their separators.
    pub const MAX_BYTES: usize = 27 + 2 * (1 + 128);

    /// Creates a cursor after the item under `key`.
    pub(crate) fn after(key: EventKey) -> Self {
        Self(key)
    }

    /// Parses the text of a cursor.
    pub fn parse(text: &str) -> Option<Self> {
        EventKey::from_cursor(text).map(Self)
    }

    /// Returns the latest time that an item after the cursor can have.
    pub(crate) fn time(&self) -> Timestamp {
        self.0.time
    }

    /// Returns the key of the item after which the page begins.
    pub(super) fn key(&self) -> &EventKey {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.to_cursor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AgentId, EventId};

    #[test]
    fn cursor_reads_back_and_other_text_is_refused() {
        let cursor = Cursor::after(EventKey {
            time: Timestamp::MAX,
            agent_id: AgentId::try_from("é".repeat(64)).expect("an agent"),
            event_id: EventId::try_from("~".repeat(128)).expect("an event"),
        });
        assert_eq!(cursor.to_string().len(), Cursor::MAX_BYTES);
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for text in ["", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z#a", "2026-01-01T00:00:00Z#a#b#c", "x#a#b"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
