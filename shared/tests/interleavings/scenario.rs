//! Scenarios: the events sent and the faults allowed.

use shared::config::Config;
use shared::ids::{AgentId, EventId, SignalType, UserId};
use shared::integrity::Event;
use shared::integrity::event::ReceivedEvent;
use shared::integrity::payload::Payload;
use shared::time::Timestamp;
use shared::unknown::UnknownNames;

use crate::reference;
use crate::rules::Rules;
use crate::store::{Flaws, Tables};

/// 2026-01-01T00:00:00Z, the origin of the times of events.
const BEGIN_MICROS: i64 = 1_767_225_600_000_000;
/// Time of receipt of the first request.
const NOW_MICROS: i64 = BEGIN_MICROS + 60_000_000;

/// Content of one client's request.
#[derive(Clone, Debug)]
pub enum Sending {
    /// One event.
    One(Event),
    /// Several events in a batch.
    Batch(Vec<Event>),
}

impl Sending {
    /// Returns the events of the request.
    pub fn events(&self) -> &[Event] {
        match self {
            Self::One(event) => std::slice::from_ref(event),
            Self::Batch(events) => events,
        }
    }
}

/// The events sent and the faults allowed.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Detection rules.
    pub rules: Rules,
    /// Events that are already stored, delivered by the stream and evaluated.
    pub before: Vec<Event>,
    /// Concurrent requests, each by its own client.
    pub sendings: Vec<Sending>,
    /// Maximum number of cut calls and dying tasks.
    pub faults: u32,
    /// Maximum number of retries of a client that received no response.
    pub retries: u32,
    /// Delay before a retry.
    pub retry_after_micros: i64,
    /// Whether a full page reports more items even if it holds the last one, as DynamoDB's pages do.
    pub full_page_says_more: bool,
    /// Removed guarantees.
    pub flaws: Flaws,
}

impl Scenario {
    /// Creates a scenario with sound tables, no faults and no stored events.
    pub fn new(rules: Rules, sendings: Vec<Sending>) -> Self {
        Self {
            rules,
            before: Vec::new(),
            sendings,
            faults: 0,
            retries: 0,
            retry_after_micros: 1_000_000,
            full_page_says_more: true,
            flaws: Flaws::default(),
        }
    }

    /// Returns the initial tables.
    pub fn tables(&self, config: &Config) -> Tables {
        let mut tables = Tables::new(self.flaws, self.full_page_says_more);
        for event in &self.before {
            let received_at = Timestamp::from_micros(NOW_MICROS).expect("in range");
            tables.put(&ReceivedEvent::new(event.clone(), received_at, &config.detection));
        }
        tables.inserted.clear();
        tables.anomalies = reference::anomalies(&tables.events, &self.rules);
        tables
    }

    /// Returns the events that the server receives in the n-th attempt of `client`, from 0.
    pub fn received(&self, client: usize, attempt: u32, config: &Config) -> Vec<ReceivedEvent> {
        let micros = NOW_MICROS + client as i64 + i64::from(attempt) * self.retry_after_micros;
        let received_at = Timestamp::from_micros(micros).expect("in range");
        let events = self.sendings[client].events().iter().cloned();
        events.map(|event| ReceivedEvent::new(event, received_at, &config.detection)).collect()
    }
}

/// Returns an event of user `u` at agent `a`, `micros` after the beginning.
pub fn event(id: &str, micros: i64, signal_type: &str) -> Event {
    Event {
        user_id: UserId::try_from("u").expect("a user"),
        agent_id: AgentId::try_from("a").expect("an agent"),
        signal_type: SignalType::try_from(signal_type).expect("a signal type"),
        timestamp: at(micros),
        sent_at: None,
        event_id: Some(EventId::try_from(id).expect("an id")),
        payload: Payload::default(),
        ignored: UnknownNames::default(),
    }
}

/// Returns the same event by a clock whose error shows in `sent_at`: its time is corrected, and is later on every
/// attempt.
pub fn by_a_wrong_clock(event: Event) -> Event {
    let micros = event.timestamp.micros() - BEGIN_MICROS;
    Event { timestamp: at(micros - 3_600_000_000), sent_at: Some(at(60_000_000 - 3_600_000_000)), ..event }
}

/// Returns the instant `micros` after the beginning.
pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(BEGIN_MICROS + micros).expect("in range")
}

/// Returns a time, or the text of a key, without the day.
pub fn short(text: &str) -> &str {
    text.split_once("T00:").map_or(text, |(_, time)| time)
}
