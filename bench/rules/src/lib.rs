//! Micro-benchmarks: each rule with the input of a busy user, for timing and for counting instructions.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use shared::aws::StoreError;
use shared::config::Config;
use shared::ids::{AgentId, EventId, Signal, SignalType, UserId};
use shared::integrity::Event;
use shared::integrity::detection::{WindowEvent, detect};
use shared::integrity::key::EventKey;
use shared::logging::chart::{self, ChartData, ChartOptions};
use shared::logging::segment::Segment;
use shared::logging::store::{GetLog, KeyPage, ListLogs};
use shared::logging::{Classifier, Conversation, Interaction, Span, Summary, reader};
use shared::time::Timestamp;
use uuid::Uuid;

/// Repeatable work.
pub type Run = Box<dyn FnMut()>;

/// Prepares a rule's input; `None` if the rule's result is not the expected one.
pub type Prepare = fn() -> Option<Run>;

/// All rules by name.
pub const RULES: [(&str, Prepare); 6] = [
    ("classify", classify),
    ("detect-window", detect_window),
    ("parse-event", parse_event),
    ("parse-log", parse_log),
    ("summarise-1000", summarise),
    ("draw-chart", draw_chart),
];

/// Prepares the rule `name`; `None` if the name is unknown.
pub fn prepare(name: &str) -> Option<Run> {
    RULES.iter().find(|(other, _)| *other == name).and_then(|(_, prepare)| prepare())
}

const INPUT: &str = "I have been trying to change the delivery address of my order since this morning, the page keeps \
                     loading and then says that something went wrong. The agent before you told me to wait for a day.";

fn classify() -> Option<Run> {
    let classifier = Classifier::new(&Config::load().ok()?.classifier);
    Some(Box::new(move || drop(black_box(classifier.classify(black_box(INPUT))))))
}

fn detect_window() -> Option<Run> {
    let detection = Config::load().ok()?.detection;
    let user = UserId::try_from("user-1").ok()?;
    let events = (0..20).map(event).collect::<Option<Vec<_>>>()?;
    detect(&user, &events, &detection).first()?;
    Some(Box::new(move || drop(black_box(detect(&user, black_box(&events), &detection)))))
}

/// Returns the event `number`; events are a quarter of a second apart.
fn event(number: i64) -> Option<WindowEvent> {
    let time = Timestamp::from_micros(1_790_000_000_000_000 + number * 250_000)?;
    let event_id = EventId::try_from(format!("event-{number:05}")).ok()?;
    let key = EventKey { time, agent_id: AgentId::try_from("agent-1").ok()?, event_id };
    Some(WindowEvent { key, signal_type: SignalType::try_from("stressed").ok()?, received_at: time })
}

fn parse_event() -> Option<Run> {
    let body = br#"{"user_id":"user-1","agent_id":"agent-1","signal_type":"stressed",
        "timestamp":"2026-01-01T12:30:00.123456+01:00","payload":{"score":0.25,"tags":["delivery","address"],
        "text":"the page keeps loading and then says that something went wrong"}}"#;
    Event::parse(body).ok()?;
    Some(Box::new(move || drop(black_box(Event::parse(black_box(body))))))
}

fn parse_log() -> Option<Run> {
    let body = serde_json::to_vec(&serde_json::json!({
        "agent_id": "agent-1", "user_id": "user-1", "user_input": INPUT, "response_type": "apology",
    }));
    let body = body.ok()?;
    Interaction::parse(&body).ok()?;
    Some(Box::new(move || drop(black_box(Interaction::parse(black_box(&body))))))
}

fn conversation() -> Option<Conversation> {
    Some(Conversation { agent_id: AgentId::try_from("agent-1").ok()?, user_id: UserId::try_from("user-1").ok()? })
}

/// A bucket whose log fits into one listing.
struct Keys(Vec<String>);

impl ListLogs for Keys {
    async fn list(&self, _: &str, _: Option<&str>, _: i32) -> Result<KeyPage, StoreError> {
        Ok(KeyPage { keys: self.0.clone(), more: false })
    }
}

impl GetLog for Keys {
    async fn get(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
}

fn summarise() -> Option<Run> {
    let conversation = conversation()?;
    let signals = Signal::STANDARD.map(|name| Signal::try_from(name).ok());
    let key = |number: usize| {
        let time = 1_790_000_000_000 + i64::try_from(number).ok()? * 60_000;
        let id = Uuid::from_u128(number as u128 + 1);
        let segment = Segment::of(&[((time, id), signals[number % signals.len()].clone()?)]).ok()?;
        Some(segment.key(&conversation))
    };
    // Newest first, as S3 lists them.
    let keys = Keys((0..reader::SUMMARY_ENTRIES).rev().map(key).collect::<Option<_>>()?);
    let summarise = move || {
        // The future never waits.
        match pin!(reader::summarise(&keys, black_box(&conversation))).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(summary) => summary.ok(),
            Poll::Pending => None,
        }
    };
    let counted: u64 = summarise()?.in_order().iter().map(|(_, count)| count).sum();
    (counted == reader::SUMMARY_ENTRIES as u64).then_some(())?;
    Some(Box::new(move || drop(black_box(summarise()))))
}

fn draw_chart() -> Option<Run> {
    let conversation = conversation()?;
    let counts = Signal::STANDARD.into_iter().zip([412, 120, 33, 78]);
    let summary: Summary =
        counts.map(|(name, count)| Some((Signal::try_from(name).ok()?, count))).collect::<Option<_>>()?;
    let draw = move || {
        let data = ChartData::of(&conversation, &summary, Span::default());
        chart::png(black_box(&data), ChartOptions::default())
    };
    draw().ok()?;
    Some(Box::new(move || drop(black_box(draw()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_does_what_it_is_there_for() {
        for (name, prepare) in RULES {
            let mut run = prepare().unwrap_or_else(|| panic!("{name}"));
            run();
        }
        assert!(prepare("none").is_none());
    }
}
