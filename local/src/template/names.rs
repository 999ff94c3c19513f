//! Local names of resources.

/// The region of all local resources.
pub const REGION: &str = "us-east-1";
/// The account of all local resources.
pub const ACCOUNT: &str = "000000000000";

/// Returns the local name of the table with this `logical_id` in the template.
pub fn table_name(logical_id: &str) -> String {
    format!("signals-{logical_id}")
}

/// Returns the local name of the queue with this `logical_id` in the template.
pub fn queue_name(logical_id: &str) -> String {
    format!("signals-{logical_id}")
}

/// Returns the local name of the bucket with this `logical_id` in the template. S3 does not allow capitals.
pub fn bucket_name(logical_id: &str) -> String {
    format!("signals-{}", logical_id.to_lowercase())
}
