//! Records what users say to agents, and shows their signals.
//!
//! [`entry`], [`entry_id`], [`metadata`], [`classifier`], [`segment`], [`recorded`], [`object`], [`batch`], [`csv`], [`span`], [`summary`],
//! [`feedback`] and [`chart`] are rules over values; [`store`] talks to S3, and [`feedback::table`] to DynamoDB; [`writer`],
//! [`reader`], [`compaction`] and [`directory`] combine rules and stores.

pub mod batch;
pub mod chart;
pub mod classifier;
pub mod compaction;
pub mod csv;
pub mod directory;
pub mod entry;
pub mod entry_id;
pub mod feedback;
pub mod metadata;
pub mod object;
pub mod reader;
pub mod recorded;
pub mod segment;
pub mod span;
pub mod store;
pub mod summary;
pub mod writer;

pub use classifier::Classifier;
pub use entry::{Conversation, Entry, EntryOrder, Interaction};
pub use entry_id::{EntryId, IdSource, LogId};
pub use feedback::table::FeedbackTable;
pub use metadata::Metadata;
pub use object::LogObject;
pub use recorded::RecordedEntry;
pub use span::{Interval, Span};
pub use store::LogBucket;
pub use summary::Summary;
