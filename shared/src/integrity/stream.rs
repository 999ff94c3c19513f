//! Events and anomalies in the changes that a table's stream delivers.

use super::key::EventKey;
use crate::background::stream::Change;
use crate::ids::UserId;

/// Returns the user of the changed item and its event's key. Returns `None` for items of other kinds: the table of
/// events also contains idempotency records and payloads.
pub fn changed_event(change: &Change) -> Option<(UserId, EventKey)> {
    Some((change.user_id()?, EventKey::parse(change.sort_key()?)?))
}
