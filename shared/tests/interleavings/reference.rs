//! What the anomalies of a set of events are, found in the plainest way: for each event count those before it.

use std::collections::BTreeMap;

use shared::integrity::Anomaly;
use shared::integrity::anomaly::Severity;

use crate::rules::Rules;
use crate::store::{Place, Stored};

/// The anomalies of `events`, under the same keys.
///
/// It shares nothing with the code under test but the types: order is the order of the sort keys' texts, and all of a
/// user's events are looked at for each.
pub fn anomalies(events: &BTreeMap<Place, Stored>, rules: &Rules) -> BTreeMap<Place, Anomaly> {
    let mut anomalies = BTreeMap::new();
    for (place, event) in events {
        let (user, text) = place;
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
        // Of a window only the last events are counted; `times` is in the order of the keys.
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
            anomalies.insert(place.clone(), anomaly);
        }
    }
    anomalies
}
