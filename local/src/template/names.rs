//! What things are called on a laptop.

/// The region that everything local is in.
pub const REGION: &str = "us-east-1";
/// The account that everything local belongs to.
pub const ACCOUNT: &str = "000000000000";

/// The local name of the table that the template calls `logical_id`.
pub fn table_name(logical_id: &str) -> String {
    format!("signals-{logical_id}")
}

/// The local name of the queue that the template calls `logical_id`.
pub fn queue_name(logical_id: &str) -> String {
    format!("signals-{logical_id}")
}

/// The local name of the bucket that the template calls `logical_id`; S3 allows no capitals.
pub fn bucket_name(logical_id: &str) -> String {
    format!("signals-{}", logical_id.to_lowercase())
}
