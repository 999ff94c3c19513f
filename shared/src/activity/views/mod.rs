//! Views of the read model: what the endpoints about all users of an agent show.
//!
//! [`position`], [`range`] and [`counts`] are rules over values; [`store`] reads DynamoDB; [`walk`], [`board`], [`entries`] and
//! [`today`] combine the two. All reads are eventually consistent, because counting is asynchronous anyway.
//!
//! There is no index by time. Users and entries are found through the records of hours, newest first: the record tells
//! whether anything of interest happened in its hour, and only then the chunks of the hour are read ([`walk`]).

pub mod board;
pub mod counts;
pub mod entries;
pub mod position;
pub mod range;
pub mod store;
mod table;
pub mod today;
pub mod walk;

pub use board::{BoardQuery, TimeSort, UserRow};
pub use counts::AgentCounts;
pub use entries::AgentEntryQuery;
pub use position::RowPosition;
pub use range::{ActivityInterval, SlotRange};
pub use store::ReadActivity;
pub use today::Today;

/// A page of a list. `P` is the position of its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityPage<T, P> {
    /// Rows in the order of the list.
    pub rows: Vec<T>,
    /// End of the page, or `None` if there are certainly no more rows.
    pub next: Option<P>,
}

#[cfg(test)]
mod tests;
