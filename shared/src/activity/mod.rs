//! The read model over all users: counts per agent and hour, and the latest state of each user.
//!
//! S3 notifies the queue of every new log object. [`RollUp`] turns the notifications into the table `activity`, from
//! which teams read who needs help, without a listing per user. The logs stay the source of truth.
//!
//! # Why the read model is exact
//!
//! Once all notifications are delivered, the table equals a recount of the logs, however often, in whatever order and
//! in whatever batches they arrive, and wherever a function is killed:
//!
//! - The table has the set of the entries of each hour ([`chunk`]). Adding an entry to a set twice changes nothing.
//! - The counts of an hour and the state of a user are never incremented. [`RollUp`] reads the record's version, then the
//!   set of the hour with a strongly consistent read, and replaces the record only if its version is still the same. So
//!   a record is replaced only by one that knows all entries that the replaced one knew.
//! - A notification is deleted from its queue after the records have its entries. Until then it is delivered again.

pub mod chunk;
mod counts;
pub mod erase;
pub mod hour;
pub mod notification;
pub mod roll_up;
pub mod store;
mod table;
pub mod user;
pub mod views;

pub use chunk::{Chunk, ChunkKey};
pub use hour::{Hour, HourRecord};
pub use roll_up::RollUp;
pub use store::ActivityStore;
pub use table::ActivityTable;
pub use user::UserRecord;

#[cfg(test)]
mod tests;
