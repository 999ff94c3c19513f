//! What stands in for AWS credentials here. The stores listen on 127.0.0.1 alone and keep no secrets from its users.

/// The access key id of everyone.
pub const ACCESS_KEY_ID: &str = "local";
/// The secret access key of everyone.
pub const SECRET_ACCESS_KEY: &str = "local-secret";
