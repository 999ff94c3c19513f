//! What the anomalies of a set of events are, by the definition and as slowly as it reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::events::{AGENT, SECOND, at, micros};
use crate::pages::follow;
use crate::stack::{Stack, eventually_equal};

const WINDOW: i64 = 5 * SECOND;

/// An event that was stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Microseconds after [`at`]'s noon.
    pub micros: i64,
    /// The agent.
    pub agent: String,
    /// The id the stack gave it, or was given.
    pub event_id: String,
    /// The signal type.
    pub signal_type: String,
}

impl Stored {
    /// An event to be posted, by the agent of [`events::event`](crate::events::event) unless changed.
    pub fn new(event_id: impl Into<String>, signal_type: &str, micros: i64) -> Self {
        Self { micros, agent: AGENT.to_owned(), event_id: event_id.into(), signal_type: signal_type.to_owned() }
    }

    /// The body to post.
    pub fn body(&self, user: &str) -> Value {
        json!({
            "user_id": user,
            "agent_id": self.agent,
            "signal_type": self.signal_type,
            "timestamp": at(self.micros),
            "event_id": self.event_id,
        })
    }

    fn order(&self) -> (i64, String) {
        (self.micros, format!("{}#{}", self.agent, self.event_id))
    }
}

/// The anomalies of `events` by the id of their event, without the field `event_id`.
pub fn anomalies(user: &str, events: &[Stored]) -> BTreeMap<String, Value> {
    let judged = events.iter().filter_map(|event| Some((event.event_id.clone(), judge(user, event, events)?)));
    judged.collect()
}

fn judge(user: &str, event: &Stored, events: &[Stored]) -> Option<Value> {
    let within = |other: &&Stored| other.micros > event.micros - WINDOW && other.order() <= event.order();
    let window: Vec<&Stored> = events.iter().filter(within).collect();
    let (count, threshold) = (window.len(), threshold(&event.signal_type));
    (count > threshold).then(|| {
        json!({
            "user_id": user,
            "agent_id": event.agent,
            "signal_type": event.signal_type,
            "detected_at": event.micros,
            "count": count,
            "window_start": window.iter().map(|other| other.micros).min(),
            "severity": if 2 * count > 3 * threshold { "critical" } else { "warning" },
            "rule": format!("{}:{threshold}", event.signal_type),
        })
    })
}

/// The number of events of which one of `signal_type` may be the last.
pub fn threshold(signal_type: &str) -> usize {
    match signal_type {
        "stressed" => 8,
        "uncertain" => 12,
        "positive" => 15,
        "neutral" => 20,
        _ => 10,
    }
}

/// Waits until the anomalies of `user` are those of `events`. The counts of events in a crowd are final once the table's
/// stream has evaluated the events before them.
pub async fn wait_for_anomalies(stack: &Stack, user: &str, events: &[Stored]) {
    let found = async || {
        let pages = follow("limit=100", async |query| stack.get_anomalies_where(user, query).await).await;
        listed(&pages.concat())
    };
    eventually_equal(&format!("the anomalies of {events:?}"), &anomalies(user, events), found).await;
}

/// The anomalies that the stack lists, in the form of [`anomalies`]. Fails when one is listed twice.
pub fn listed(anomalies: &[Value]) -> BTreeMap<String, Value> {
    let mut listed = BTreeMap::new();
    for anomaly in anomalies {
        let (event_id, anomaly) = normal(anomaly);
        let earlier = listed.insert(event_id, anomaly.clone());
        assert_eq!(earlier, None, "listed twice: {anomaly}");
    }
    listed
}

/// One anomaly of the stack's, its instants as microseconds so that the way they are written does not matter.
pub fn normal(anomaly: &Value) -> (String, Value) {
    let mut anomaly = anomaly.clone();
    for field in ["detected_at", "window_start"] {
        anomaly[field] = micros(&anomaly[field]).into();
    }
    let event_id = anomaly.as_object_mut().and_then(|fields| fields.remove("event_id")).unwrap_or_default();
    (event_id.as_str().expect("an event_id").to_owned(), anomaly)
}

/// `count` events over 15 seconds, some at the same instant, some exactly a window apart, of several types and agents.
pub fn mixed(seed: u64, count: usize) -> Vec<Stored> {
    let mut random = Random::new(seed);
    let mut event = |index: usize| {
        let types = ["x", "stressed", "neutral", "uncertain"];
        let steps = i64::try_from(random.below(30)).expect("small");
        let mut event = Stored::new(format!("{index:02}"), types[index % types.len()], steps * SECOND / 2);
        event.micros += i64::try_from(random.below(2)).expect("small");
        event.agent = format!("agent {}", random.below(3));
        event
    };
    (0..count).map(&mut event).collect()
}

/// Numbers that are the same in every run.
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each `seed` but 0.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number from 0 to `bound` − 1.
    pub fn below(&mut self, bound: usize) -> usize {
        // Xorshift: Marsaglia, "Xorshift RNGs", 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound).expect("fits");
        usize::try_from(self.0 % bound).expect("below a usize")
    }

    /// Puts `items` in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
