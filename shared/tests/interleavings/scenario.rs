//! Who sends what, and what may go wrong.

use shared::config::Config;
use shared::ids::{AgentId, EventId, SignalType, UserId};
use shared::integrity::Event;
use shared::integrity::event::ReceivedEvent;
use shared::integrity::payload::Payload;
use shared::time::Timestamp;

use crate::reference;
use crate::rules::Rules;
use crate::store::{Flaws, Tables};

/// 2026-01-01T00:00:00Z: the times of events are counted from here.
const BEGIN_MICROS: i64 = 1_767_225_600_000_000;
/// When the first request is received.
const NOW_MICROS: i64 = BEGIN_MICROS + 60_000_000;

/// What one client sends in one request.
#[derive(Clone, Debug)]
pub enum Sending {
    /// One event.
    One(Event),
    /// Several at once.
    Batch(Vec<Event>),
}

impl Sending {
    /// The events in it.
    pub fn events(&self) -> &[Event] {
        match self {
            Self::One(event) => std::slice::from_ref(event),
            Self::Batch(events) => events,
        }
    }
}

/// Who sends what, and what may go wrong.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// When events are too many.
    pub rules: Rules,
    /// What is stored, told by the stream and judged beforehand.
    pub before: Vec<Event>,
    /// What is sent at the same time, each by its own client.
    pub sendings: Vec<Sending>,
    /// How many calls may be cut and tasks may die.
    pub faults: u32,
    /// How often a client that got no answer may send the same again.
    pub retries: u32,
    /// How much later that is.
    pub retry_after_micros: i64,
    /// Whether a full page says that there may be more although it holds the last item, as DynamoDB's do.
    pub full_page_says_more: bool,
    /// What is taken away.
    pub flaws: Flaws,
}

impl Scenario {
    /// Sound tables, no faults, nothing there yet.
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

    /// The tables at the beginning.
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

    /// What the server makes of what `client` sends for the n-th time, from 0.
    pub fn received(&self, client: usize, attempt: u32, config: &Config) -> Vec<ReceivedEvent> {
        let micros = NOW_MICROS + client as i64 + i64::from(attempt) * self.retry_after_micros;
        let received_at = Timestamp::from_micros(micros).expect("in range");
        let events = self.sendings[client].events().iter().cloned();
        events.map(|event| ReceivedEvent::new(event, received_at, &config.detection)).collect()
    }
}

/// An event of user `u` at agent `a`, `micros` after the beginning.
pub fn event(id: &str, micros: i64, signal_type: &str) -> Event {
    Event {
        user_id: UserId::try_from("u").expect("a user"),
        agent_id: AgentId::try_from("a").expect("an agent"),
        signal_type: SignalType::try_from(signal_type).expect("a signal type"),
        timestamp: at(micros),
        sent_at: None,
        event_id: Some(EventId::try_from(id).expect("an id")),
        payload: Payload::default(),
    }
}

/// The same event by a clock that is wrong by as much as shows in `sent_at`: its time is put right, and comes out later
/// at every attempt.
pub fn by_a_wrong_clock(event: Event) -> Event {
    let micros = event.timestamp.micros() - BEGIN_MICROS;
    Event { timestamp: at(micros - 3_600_000_000), sent_at: Some(at(60_000_000 - 3_600_000_000)), ..event }
}

/// `micros` after the beginning.
pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(BEGIN_MICROS + micros).expect("in range")
}

/// A time, or the text of a key, without the day.
pub fn short(text: &str) -> &str {
    text.split_once("T00:").map_or(text, |(_, time)| time)
}
