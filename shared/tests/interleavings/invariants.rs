//! Invariants of the tables and of the responses.

use std::collections::BTreeMap;

use shared::integrity::pipeline::IngestOutcome;
use shared::integrity::{Anomaly, Event};

use crate::reference;
use crate::rules::Rules;
use crate::scenario::{Scenario, Sending};
use crate::store::{ItemKey, Stored, Tables};
use crate::trace;

/// Returns the fault in the tables, if any, given the counts of anomalies `claims` reported in responses.
///
/// At any time no event is stored twice and no anomaly exceeds the count of the stored events. When all `is_quiet`, the
/// anomalies are those of the reference, and none is less than was reported. For a window with more events than are
/// counted the start is a bound: the time of an event in the window from which on there are at least as many as are
/// counted.
pub fn fault(tables: &Tables, scenario: &Scenario, claims: &BTreeMap<ItemKey, u32>, is_quiet: bool) -> Option<String> {
    for event in scenario.sendings.iter().flat_map(Sending::events) {
        let copies = stored(tables, event).count();
        if copies > 1 {
            return Some(format!("event {} is stored {copies} times", event_id(event)));
        }
    }
    let expected = reference::anomalies(&tables.events, &scenario.rules);
    for (item_key, anomaly) in &tables.anomalies {
        if expected.get(item_key).is_none_or(|expected| expected.count < anomaly.count) {
            return Some(format!(
                "too much: {}, not {}",
                trace::anomaly(anomaly),
                trace::maybe(expected.get(item_key))
            ));
        }
        if !starts_within_bounds(tables, &scenario.rules, anomaly) {
            return Some(format!("the window of {} starts elsewhere", trace::anomaly(anomaly)));
        }
    }
    if !is_quiet {
        return None;
    }
    for (item_key, anomaly) in &expected {
        let found = tables.anomalies.get(item_key);
        let window_start = match found {
            Some(found) if anomaly.count == scenario.rules.max_items => found.window_start,
            _ => anomaly.window_start,
        };
        if found != Some(&Anomaly { window_start, ..anomaly.clone() }) {
            let found = trace::maybe(found);
            return Some(format!("in the end {found}, where the reference has {}", trace::anomaly(anomaly)));
        }
    }
    let exceeds = |(item_key, claim): &(&ItemKey, &u32)| {
        tables.anomalies.get(*item_key).is_none_or(|anomaly| anomaly.count < **claim)
    };
    let ((_, text), claim) = claims.iter().find(exceeds)?;
    Some(format!("an answer said that {text} counts {claim}, which is more than is stored"))
}

/// Returns whether the window of `anomaly` starts with an event less than a window before it, and holds at least as
/// many events as are counted.
fn starts_within_bounds(tables: &Tables, rules: &Rules, anomaly: &Anomaly) -> bool {
    let (start, text) = (anomaly.window_start, anomaly.key.to_string());
    let is_in_window = |((user, other), stored): &(&ItemKey, &Stored)| {
        *user == anomaly.user_id
            && *other <= text
            && stored.key.time >= start
            && rules.counts(&anomaly.key.agent_id, &stored.key.agent_id)
    };
    let counted: Vec<_> = tables.events.iter().filter(is_in_window).map(|(_, stored)| stored.key.time).collect();
    anomaly.key.time.micros() - start.micros() < Rules::WINDOW_MICROS
        && counted.contains(&start)
        && counted.len() >= anomaly.count as usize
}

/// Checks the response for `event`: the event is stored as the response says, or another event is stored in its place.
/// If `scenario` has no other request, the response also has the event's own anomaly.
///
/// # Errors
/// Description of the fault.
pub fn answer(tables: &Tables, scenario: &Scenario, event: &Event, ingested: &IngestOutcome) -> Result<(), String> {
    let id = event_id(event);
    let mut copies = stored(tables, event);
    match (copies.next(), ingested) {
        (Some(stored), IngestOutcome::Stored(receipt) | IngestOutcome::Duplicate(receipt)) => {
            if !is_same(stored, event) {
                return Err(format!("{id} is another event"));
            }
            if (&stored.key, stored.received_at) != (&receipt.key, receipt.received_at) {
                return Err(format!("{id} is stored as {} and was received then", stored.key));
            }
            let missing = receipt.anomalies.iter().find(|anomaly| {
                let item_key = (anomaly.user_id.clone(), anomaly.key.to_string());
                tables.anomalies.get(&item_key).is_none_or(|there| there.count < anomaly.count)
            });
            if let Some(anomaly) = missing {
                return Err(format!("{} is not stored", trace::anomaly(anomaly)));
            }
            let [Sending::One(_)] = scenario.sendings[..] else { return Ok(()) };
            let expected = reference::anomalies(&tables.events, &scenario.rules);
            let expected = expected.values().find(|anomaly| anomaly.key == receipt.key);
            let own = receipt.anomalies.iter().find(|anomaly| anomaly.key == receipt.key);
            let count = |anomaly: Option<&Anomaly>| anomaly.map(|anomaly| anomaly.count);
            if count(own) == count(expected) {
                Ok(())
            } else {
                Err(format!("the own anomaly is {}, not {}", trace::maybe(own), trace::maybe(expected)))
            }
        }
        (Some(stored), IngestOutcome::Conflict) if is_same(stored, event) => Err(format!("{id} is no conflict")),
        (Some(_), IngestOutcome::Conflict) => Ok(()),
        (Some(_), IngestOutcome::Queued) => Err(format!("{id} is queued")),
        (None, _) => Err(format!("{id} is not stored")),
    }
}

/// Returns the items stored under the id and time of `event`.
fn stored<'a>(tables: &'a Tables, event: &'a Event) -> impl Iterator<Item = &'a Stored> {
    tables.events.iter().filter_map(|((user, _), stored)| {
        let is_it = *user == event.user_id
            && stored.key.agent_id == event.agent_id
            && Some(&stored.key.event_id) == event.event_id.as_ref()
            && stored.timestamp == event.timestamp;
        is_it.then_some(stored)
    })
}

fn is_same(stored: &Stored, event: &Event) -> bool {
    stored.signal_type == event.signal_type && stored.payload_digest == event.payload.digest()
}

fn event_id(event: &Event) -> &str {
    event.event_id.as_ref().map_or("without an id", |id| id.as_str())
}
