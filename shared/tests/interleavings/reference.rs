//! Reference implementation of the detection: for each event, counts the events before it.

use std::collections::BTreeMap;

use shared::integrity::Anomaly;
use shared::integrity::anomaly::Severity;

use crate::rules::Rules;
use crate::store::{ItemKey, Stored};

/// Returns the anomalies of `events`, under the same keys.
///
/// Shares only the types with the code under test: the order is that of the sort keys' texts, and each event is
/// compared with all of the user's events.
pub fn anomalies(events: &BTreeMap<ItemKey, Stored>, rules: &Rules) -> BTreeMap<ItemKey, Anomaly> {
    let mut anomalies = BTreeMap::new();
    for (item_key, event) in events {
        let (user, text) = item_key;
        let end = event.key.time.micros();
        let begin = end - Rules::WINDOW_MICROS;
        let mut times = Vec::new();
        for ((other_user, other_text), other) in events {
            let time = other.key.time.micros();
            let counts = rules.counts(&event.key.agent_id, &other.key.agent_id);
            if other_user == user && counts && other_text <= text && begin < time && time <= end {
                times.push(other.key.time);
            }
        }
        // Only the last events of a window are counted; `times` is in key order.
        let counted = &times[times.len().saturating_sub(rules.max_items as usize)..];
        let count = counted.len() as u32;
        let threshold = rules.threshold(event.signal_type.as_str());
        if count > threshold {
            let is_critical = f64::from(count) > 1.5 * f64::from(threshold);
            let anomaly = Anomaly {
                user_id: user.clone(),
                key: event.key.clone(),
                signal_type: event.signal_type.clone(),
                count,
                threshold,
                window_start: counted[0],
                severity: if is_critical { Severity::Critical } else { Severity::Warning },
                received_at: event.received_at,
            };
            anomalies.insert(item_key.clone(), anomaly);
        }
    }
    anomalies
}
