//! Detection rule: whether an event, with the earlier events in its window, exceeds the threshold.

use super::anomaly::{Anomaly, Severity};
use super::key::EventKey;
use crate::config::Detection;
use crate::ids::{SignalType, UserId};
use crate::time::Timestamp;

/// The parts of a stored event that the detection rule uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowEvent {
    /// Position among the user's events.
    pub key: EventKey,
    /// Kind of the event, which selects the threshold.
    pub signal_type: SignalType,
    /// Time of receipt. The retention of the anomaly starts here.
    pub received_at: Timestamp,
}

/// Count of a stored anomaly. As events arrive the count only grows, up to `window.max_items`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCount {
    /// Key of the anomaly.
    pub key: EventKey,
    /// Same as in [`Anomaly`].
    pub count: u32,
    /// Same as in [`Anomaly`].
    pub window_start: Timestamp,
}

/// Returns the anomalies among the events of `user_id`, ordered by key.
///
/// An event *e* is anomalous if the events in (*t* − window, *t*] up to and including *e*, of all signal types,
/// outnumber the threshold of *e*'s signal type. Only the last `window.max_items` events of a window are evaluated, so
/// that the result for an event depends on a bounded number of other events. That number suffices to decide existence
/// and severity.
///
/// `events` must be sorted by key and gap-free. Events whose window begins before the first event are undercounted.
pub fn detect(user_id: &UserId, events: &[WindowEvent], detection: &Detection) -> Vec<Anomaly> {
    let max_items = usize::try_from(detection.max_items).unwrap_or(usize::MAX);
    let mut first = 0;
    let mut anomalies = Vec::new();
    for (index, event) in events.iter().enumerate() {
        while !is_within(events[first].key.time, event.key.time, detection) {
            first += 1;
        }
        first = first.max((index + 1).saturating_sub(max_items));
        let count = u32::try_from(index + 1 - first).unwrap_or(u32::MAX);
        anomalies.extend(anomaly(user_id, event, count, events[first].key.time, detection));
    }
    anomalies
}

/// Returns the anomaly of `event` of `user_id` if its window holds the `window.max_items` events that `earlier` was
/// counted from. `earlier` is the anomaly of this event or of an event before it. Returns `None` if the window does not
/// hold them.
pub fn saturated(
    user_id: &UserId,
    event: &WindowEvent,
    earlier: &StoredCount,
    detection: &Detection,
) -> Option<Anomaly> {
    let is_full = earlier.count >= detection.max_items
        && earlier.key <= event.key
        && is_within(earlier.window_start, event.key.time, detection);
    is_full.then(|| anomaly(user_id, event, detection.max_items, earlier.window_start, detection)).flatten()
}

/// Returns the anomaly of `event` if the `count` events in its window exceed the threshold.
fn anomaly(
    user_id: &UserId,
    event: &WindowEvent,
    count: u32,
    window_start: Timestamp,
    detection: &Detection,
) -> Option<Anomaly> {
    let WindowEvent { key, signal_type, received_at } = event;
    let threshold = detection.thresholds.of(signal_type);
    let severity = Severity::of(count, threshold)?;
    let (key, signal_type, received_at) = (key.clone(), signal_type.clone(), *received_at);
    Some(Anomaly { user_id: user_id.clone(), key, signal_type, count, threshold, window_start, severity, received_at })
}

/// Returns whether an event of time `earlier` counts in the window that ends at `time`.
fn is_within(earlier: Timestamp, time: Timestamp, detection: &Detection) -> bool {
    time.micros_since(earlier) < detection.window_micros
}

/// Returns the first and last time of the events that affect an event of `time` or are affected by it: those less than
/// a window away.
pub fn affected_range(time: Timestamp, detection: &Detection) -> (Timestamp, Timestamp) {
    let reach = detection.window_micros - 1;
    (time.offset(-reach), time.offset(reach))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ids::{AgentId, EventId};
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;

    fn detection() -> Detection {
        Config::load().expect("valid").detection
    }

    fn user() -> UserId {
        UserId::try_from("u").expect("a user")
    }

    fn event(micros: i64, id: usize, signal_type: &str) -> WindowEvent {
        WindowEvent {
            key: EventKey {
                time: Timestamp::from_micros(micros).expect("in range"),
                agent_id: AgentId::try_from("a").expect("an agent"),
                event_id: EventId::try_from(format!("{id:05}")).expect("an id"),
            },
            signal_type: SignalType::try_from(signal_type).expect("a signal type"),
            received_at: Timestamp::MIN,
        }
    }

    fn counts(events: &[WindowEvent]) -> Vec<u32> {
        detect(&user(), events, &detection()).iter().map(|anomaly| anomaly.count).collect()
    }

    #[test]
    fn only_the_eleventh_of_identical_events_is_an_anomaly() {
        let events: Vec<_> = (0..11).map(|id| event(0, id, "x")).collect();
        let anomalies = detect(&user(), &events, &detection());
        assert_eq!(anomalies.len(), 1);
        assert_eq!(
            (anomalies[0].count, anomalies[0].severity, anomalies[0].rule()),
            (11, Severity::Warning, "x:10".to_owned())
        );
        assert_eq!(anomalies[0].key, events[10].key);
    }

    #[test]
    fn window_excludes_its_start() {
        let mut events: Vec<_> = (0..10).map(|id| event(0, id, "x")).collect();
        events.push(event(5 * SECOND, 10, "x"));
        assert!(counts(&events).is_empty());
        events[10] = event(5 * SECOND - 1, 10, "x");
        assert_eq!(counts(&events), [11]);
    }

    #[test]
    fn all_types_count_and_the_evaluated_one_selects_the_threshold() {
        let mut events: Vec<_> = (0..8).map(|id| event(0, id, "neutral")).collect();
        events.push(event(1, 8, "stressed"));
        events.push(event(2, 9, "neutral"));
        assert_eq!(counts(&events), [9]);
    }

    #[test]
    fn events_a_second_apart_are_no_anomaly() {
        let events: Vec<_> = (0..100).map(|n| event(n * SECOND, 0, "stressed")).collect();
        assert!(counts(&events).is_empty());
    }

    #[test]
    fn count_is_limited_to_max_items() {
        let events: Vec<_> = (0..150).map(|n| event(n, 0, "x")).collect();
        let anomalies = detect(&user(), &events, &detection());
        let last = anomalies.last().expect("an anomaly");
        assert_eq!((last.count, last.window_start.micros()), (100, 50));
    }

    proptest! {
        #[test]
        fn detection_matches_a_count_of_every_window(
            mut times in prop::collection::vec((0..40_i64, 0..3_usize), 0..80)
        ) {
            times.sort_unstable();
            let types = ["stressed", "x", "positive"];
            let events: Vec<_> = times
                .iter()
                .enumerate()
                .map(|(id, (quarter_seconds, kind))| event(quarter_seconds * SECOND / 4, id, types[*kind]))
                .collect();
            let detection = detection();
            let naive: Vec<_> = events
                .iter()
                .filter_map(|event| {
                    let window: Vec<_> = events
                        .iter()
                        .filter(|other| other.key <= event.key)
                        .filter(|other| event.key.time.micros() - other.key.time.micros() < 5 * SECOND)
                        .collect();
                    let threshold = detection.thresholds.of(&event.signal_type) as usize;
                    (window.len() > threshold).then(|| (event.key.clone(), window.len(), window[0].key.time))
                })
                .collect();
            let found: Vec<_> = detect(&user(), &events, &detection)
                .into_iter()
                .map(|anomaly| (anomaly.key, anomaly.count as usize, anomaly.window_start))
                .collect();
            prop_assert_eq!(found, naive);
        }
    }
}
