//! Cursors of pages that begin with the newest entry.

use std::fmt;

use uuid::Uuid;

use super::super::entry::EntryOrder;

/// Separator between the parts of a cursor.
const SEPARATOR: char = '*';
/// Cursor part which indicates that segments of several entries must be listed again.
const REOPENS: &str = "m";

/// The end of a page: entries of the order `below` or newer have been shown, counted or skipped.
///
/// The next page lists from the key that a single entry of that order has. A segment of several entries of the same
/// hour sorts before that key: if one may have older entries, the next page lists the hour from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryCursor {
    pub(super) below: EntryOrder,
    pub(super) reopens: bool,
}

impl EntryCursor {
    /// Creates the cursor of a page that begins with the newest entry before the order `below`.
    pub fn before(below: EntryOrder) -> Self {
        Self { below, reopens: true }
    }

    /// Parses a cursor as displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(SEPARATOR);
        let millis = parts.next()?.parse().ok()?;
        let id = Uuid::try_parse(parts.next()?).ok()?;
        let reopens = match parts.next() {
            None => false,
            Some(REOPENS) => true,
            Some(_) => return None,
        };
        parts.next().is_none().then_some(Self { below: (millis, id), reopens })
    }
}

impl fmt::Display for EntryCursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, id) = self.below;
        write!(out, "{millis}{SEPARATOR}{}", id.simple())?;
        if self.reopens { write!(out, "{SEPARATOR}{REOPENS}") } else { Ok(()) }
    }
}
