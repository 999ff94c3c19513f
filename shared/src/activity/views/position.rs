//! Positions in lists that are sorted by time, newest first, and by user within the same entry.

use std::fmt;

use uuid::Uuid;

use crate::activity::Hour;
use crate::ids::UserId;
use crate::logging::EntryOrder;

/// Separator between the parts of a position. A name can contain it, so the name is the last part.
const SEPARATOR: char = '*';

/// The end of a page: rows of newer entries, and those of the entry `order` up to `user`, have been shown or skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPosition {
    order: EntryOrder,
    user: Option<UserId>,
}

impl RowPosition {
    /// Returns the position of the row of the entry of `order` of `user`.
    pub fn of(order: EntryOrder, user: &UserId) -> Self {
        Self { order, user: Some(user.clone()) }
    }

    /// Returns the position before all rows of `hour` and after those of later hours.
    pub fn before(hour: Hour) -> Self {
        Self { order: (hour.end(), Uuid::nil()), user: None }
    }

    /// Returns whether the row of the entry of `order` of `user` comes after this position.
    pub fn precedes(&self, order: EntryOrder, user: &UserId) -> bool {
        order < self.order || order == self.order && self.user.as_ref().is_some_and(|last| last < user)
    }

    /// Returns the newest hour that can have rows after this position.
    pub fn hour(&self) -> Hour {
        let (millis, _) = self.order;
        Hour::of(if self.user.is_some() { millis } else { millis.saturating_sub(1) })
    }

    /// Parses a position as displayed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, SEPARATOR);
        let millis: i64 = parts.next()?.parse().ok()?;
        let id = Uuid::try_parse(parts.next()?).ok()?;
        let user = match parts.next() {
            None if !id.is_nil() => return None,
            None => None,
            Some(user) => Some(UserId::try_from(user).ok()?),
        };
        Some(Self { order: (millis, id), user })
    }
}

impl fmt::Display for RowPosition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, id) = self.order;
        write!(out, "{millis}{SEPARATOR}{}", id.simple())?;
        self.user.iter().try_for_each(|user| write!(out, "{SEPARATOR}{user}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn user(name: &str) -> UserId {
        UserId::try_from(name).expect("a user")
    }

    #[test]
    fn position_reads_back_from_its_text() {
        for position in [
            RowPosition::before(Hour::of(0)),
            RowPosition::of((1, Uuid::nil()), &user("maria")),
            RowPosition::of((1_767_225_600_000, Uuid::max()), &user("a*b *")),
        ] {
            assert_eq!(RowPosition::parse(&position.to_string()), Some(position));
        }
        for text in ["", "1", "x*00000000000000000000000000000000", "1*x", "1*ffffffffffffffffffffffffffffffff", "1*0*"]
        {
            assert_eq!(RowPosition::parse(text), None, "{text}");
        }
    }

    #[test]
    fn rows_of_an_hour_come_after_the_position_before_it() {
        let hour = Hour::of(1_767_225_600_000);
        let position = RowPosition::before(hour);
        assert_eq!(position.hour(), hour);
        assert!(position.precedes((hour.end() - 1, Uuid::max()), &user("a")));
        assert!(!position.precedes((hour.end(), Uuid::nil()), &user("a")));
    }

    proptest! {
        #[test]
        fn exactly_later_rows_come_after_a_position(
            rows in proptest::collection::btree_set((0..3_i64, 0..3_u128, "[ab]{1,2}"), 1..9), at in any::<prop::sample::Index>()
        ) {
            let mut rows: Vec<_> =
                rows.into_iter().map(|(millis, id, name)| ((millis, Uuid::from_u128(id)), user(&name))).collect();
            rows.sort_by(|(a, first), (b, second)| b.cmp(a).then(first.cmp(second)));
            let at = at.index(rows.len());
            let position = RowPosition::of(rows[at].0, &rows[at].1);
            for (index, (order, user)) in rows.iter().enumerate() {
                prop_assert_eq!(position.precedes(*order, user), index > at);
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "[0-9*a-f-]{0,50}") {
            if let Some(position) = RowPosition::parse(&text) {
                prop_assert_eq!(RowPosition::parse(&position.to_string()), Some(position));
            }
        }
    }
}
