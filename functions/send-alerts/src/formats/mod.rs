//! Messages in the formats of other services.

pub mod pagerduty;
pub mod slack;
pub mod teams;

/// The text of a link to the dashboard.
const LINK_TEXT: &str = "Open the dashboard";
